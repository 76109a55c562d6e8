"""The sections of the reproduction report that draw: Figures 3 to 8, measured beside published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from facegender.lab.benchmark import Benchmark
from facegender.lab.datasets.store import Store
from facegender.lab.evaluation.crossdataset import MatrixCell
from facegender.lab.evaluation.crossval import CrossValidation
from facegender.lab.evaluation.figures import (
    MEASURES,
    PRINTED_NAMES,
    MeasuredNetwork,
    RocCurve,
    draw_folds,
    draw_measures,
    draw_roc,
)
from facegender.lab.evaluation.gallery import mistakes, write_gallery
from facegender.lab.evaluation.metrics import Predictions
from facegender.lab.paper import published
from facegender.lab.paper.figure3 import save_figure3
from facegender.lab.paper.scale import FoldOutcome
from facegender.report import Section, command, picture, table

FIGURES = "figures"
#: The other recipe is the paper's.
_OURS = "our recipe"

#: Faces shown of each gender in the gallery of errors.
_SHOWN_ERRORS = 16


def timing(result: Benchmark, output: Path) -> Section:
    """Figure 3: milliseconds an image at batch 1, and how many images a second at the best batch."""
    printed = {row.network: row for row in published.figure3()}
    ours = printed["custom CNN"]
    fastest = {(t.network, t.runtime, t.device, t.precision): t for t in result.fastest()}
    rows: list[Sequence[object]] = []
    for row in result.find(batch=1, streams=1):
        name = PRINTED_NAMES[row.architecture]
        claim = printed[name].cpu_i7_6700 / ours.cpu_i7_6700
        best = fastest[row.network, row.runtime, row.device, row.precision]
        rows.append(
            [
                row.network,
                f"{row.runtime}, {row.device}, {row.precision}",
                f"{row.image_ms:.3f} ({row.p10_ms:.3f} to {row.p90_ms:.3f})",
                "-" if row.ratio is None else f"{row.ratio:.1f}",
                f"{claim:.1f}",
                f"{best.images_per_second:,.0f}",
                f"{best.batch} x {best.streams}",
                "-" if best.ceiling_share is None else f"{100 * best.ceiling_share:.0f}",
            ]
        )
    save_figure3(result, output / FIGURES)
    return Section(
        "Figure 3: inference time",
        [
            "The paper's sentence speaks of classifying 1200 images; its times are per image, averaged over them. "
            f"Measured: {result.crops}, {result.threads} threads, every case once a round, {result.rounds} rounds.",
            table(
                ["network", "published GPU", "published CPU", "published VPU, ms"],
                [[r.network, r.gpu_gtx1080ti, r.cpu_i7_6700, r.vpu_movidius_ncs] for r in published.figure3()],
            ),
            table(
                [
                    *("network", "runtime", "ms an image at batch 1 (p10 to p90)", "times the first", "published, CPU"),
                    *("images/s at best", "batch x streams", "% of matmul"),
                ],
                rows,
            ),
            picture(f"{FIGURES}/figure3.png", "Figure 3: published and measured, log axis"),
            command(result.command),
        ],
    )


def folds(outcomes: Sequence[FoldOutcome], output: Path) -> Section:
    """Figures 4 to 6: LFW's random folds."""
    printed = {row.network: row for row in published.figure5()}
    rows: list[Sequence[object]] = []
    panels: dict[str, list[MeasuredNetwork]] = {}
    several: dict[str, dict[str, dict[int, float]]] = {}
    for outcome in outcomes:
        run, result = outcome.run, outcome.result
        claim = printed[run.network] if run.recipe.colour == "rgb" else None
        if result is None:
            rows.append([run.network, run.terms, f"diverged: {outcome.failure}", *[""] * 5])
            continue
        mean = {name: result.mean(name) for name in MEASURES}
        deviation = {name: result.std(name) for name in MEASURES} if len(result.per_fold) > 1 else {}
        cells = _measured(result)
        beside = f"{100 * claim.accuracy:.0f} / {100 * claim.tpr:.0f}" if claim else "-"
        difference = f"{100 * (mean['accuracy'] - claim.accuracy):+.1f}" if claim else "-"
        rows.append([run.network, run.terms, *cells, beside, difference])
        whose = "the paper's recipe" if run.recipe.name.startswith("paper") else _OURS
        claims = {"accuracy": claim.accuracy, "tpr": claim.tpr} if claim else {}
        panel = panels.setdefault(f"{'RGB' if run.recipe.colour == 'rgb' else 'gray'}, {whose}", [])
        panel.append(MeasuredNetwork(run.network, mean, deviation, claims))
        if len(result.per_fold) > 1 and run.recipe.colour == "rgb":
            several.setdefault(whose, {})[run.network] = {f: m.accuracy for f, m in result.per_fold.items()}
    header = ["network", "recipe", *MEASURES.values(), "published accuracy / TPR", "difference of accuracy"]
    blocks = [
        "LFW, the paper's random folds: the same person may stand on both sides. Percent; `male` is the positive "
        "class; ± is the standard deviation over folds. The paper says that gray is about one point lower for all.",
        table(header, rows),
    ]
    if panels:
        _both(output, "figures4-6", lambda path: draw_measures(path, panels, "LFW, random folds"))
        blocks.append(
            picture(f"{FIGURES}/figures4-6.png", "Figures 4 to 6: measured (filled) and published (outlined)")
        )
    for whose, networks in several.items():
        title = f"LFW, random folds, RGB, {whose}"
        name = "folds" if whose == _OURS else "folds-paper"
        _both(output, name, partial(draw_folds, folds=networks, title=title))
        blocks.append(picture(f"{FIGURES}/{name}.png", f"Accuracy fold by fold: {title}"))
    blocks += [
        "AlexNet and GoogLeNet were trained from random weights: no pretrained ones could be had. Their crops are the "
        "same 64x64 pixels, enlarged to the network's input.",
        command(*(outcome.run.command for outcome in outcomes)),
    ]
    return Section("Figures 4 to 6: LFW, fold by fold", blocks)


def people(outcomes: Sequence[FoldOutcome]) -> Section:
    """The custom CNN on folds that share no person (contradiction 6 of the paper)."""
    rows: list[Sequence[object]] = [
        [o.run.network, o.run.terms, *(_measured(o.result) if o.result else [f"diverged: {o.failure}", *[""] * 3])]
        for o in outcomes
    ]
    return Section(
        "LFW, folds by person",
        [
            "In the paper's random folds a network may be tested on people whom it was trained on. Here no person is "
            "on both sides. Percent.",
            table(["network", "recipe", *MEASURES.values()], rows),
            command(*(outcome.run.command for outcome in outcomes)),
        ],
    )


def roc(outcomes: Sequence[FoldOutcome], celeba: Sequence[tuple[str, MatrixCell]], output: Path) -> Section:
    """Figure 7: on LFW, and on CelebA's test images by network's registry name where such runs are available."""
    blocks = []
    lfw = [
        RocCurve(o.run.recipe.network, f"{o.run.network}, {o.run.recipe.name}", o.result)
        for o in outcomes
        if o.result is not None and o.run.recipe.colour == "rgb"
    ]
    # One line a network: the first of its runs that was trained with our recipe, else with the paper's.
    by_network = {curve.network: curve for curve in sorted(lfw, key=lambda curve: "tuned" in curve.label)}
    if by_network:
        _both(output, "figure7-lfw", lambda path: draw_roc(path, list(by_network.values()), "LFW, random folds"))
        blocks.append(picture(f"{FIGURES}/figure7-lfw.png", "Figure 7: ROC on LFW"))
    curves = [RocCurve(network, network, cell.predictions) for network, cell in celeba]
    if curves:
        _both(output, "figure7-celeba", lambda path: draw_roc(path, curves, "CelebA, test images at hand"))
        blocks.append(picture(f"{FIGURES}/figure7-celeba.png", "Figure 7: ROC on CelebA"))
    blocks.append(
        "The paper prints the curves without figures for the areas, and says that the custom CNN has the largest on "
        "CelebA."
    )
    return Section("Figure 7: ROC", blocks)


def errors(store: Store, index: np.ndarray, predictions: Predictions, output: Path, which: str) -> Section:
    """Figure 8: the misclassified faces of one test, drawn for whoever has the data."""
    found = mistakes(store, index, predictions.p_male)
    write_gallery(output / FIGURES / "figure8", store, found, _SHOWN_ERRORS, which)
    return Section(
        "Figure 8: the misclassified",
        [
            f"{len(found):,} of {len(index):,} faces; the most confident mistakes first. The paper names angular or "
            "round features, pose, sunglasses and microphones as reasons. The photos are those of the dataset: do not "
            "pass this figure on without looking at its terms.",
            picture(f"{FIGURES}/figure8/errors.png", f"Figure 8: {which}"),
            command("facegender errors STORE MODEL --output DIR"),
        ],
    )


def _measured(result: CrossValidation) -> list[str]:
    """A cell a measure, with the standard deviation of several folds."""
    several = len(result.per_fold) > 1
    return [
        f"{100 * result.mean(name):.1f}" + (f" ± {100 * result.std(name):.1f}" if several else "") for name in MEASURES
    ]


def _both(output: Path, name: str, draw: Callable[[Path], None]) -> None:
    for suffix in ("png", "svg"):
        draw(output / FIGURES / f"{name}.{suffix}")
