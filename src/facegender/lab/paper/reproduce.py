"""Every experiment of the paper that the available data allow, and the report about them.

Each part writes below the output folder and is read back where it is done, so an interrupted reproduction is resumed::

    stores/NAME/           prepared datasets
    folds/KEY/             LFW's folds, one run each
    crossdataset/NETWORK/  a run a training set, the matrix, the leaks
    benchmark/             inference time
    figures/               PNG and SVG
    report.html, report.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facegender.errors import InputError
from facegender.lab.benchmark import BATCHES, PRECISIONS, Benchmark, benchmark, read_benchmark, registered
from facegender.lab.datasets.listing import prepare
from facegender.lab.datasets.store import Store, open_store, read_manifest
from facegender.lab.evaluation.crossdataset import MatrixCell, cross_dataset
from facegender.lab.paper import figures, sections
from facegender.lab.paper.data import DATASETS, find_datasets
from facegender.lab.paper.scale import FoldOutcome, Scale, run_folds
from facegender.lab.training.hardware import Hardware, is_main_process
from facegender.machine import hardware as machine_here
from facegender.machine import machine
from facegender.report import Section, write_report
from facegender.wording import counted, display_name


def reproduce(
    scale: Scale,
    output: Path,
    *,
    data: Path | None = None,
    stores: Path | None = None,
    hardware: Hardware | None = None,
    on_part: Callable[[str], None] = lambda part: None,
    on_image: Callable[[int], None] = lambda total: None,
) -> Path:
    """Run the experiments at a scale and write the report.

    Args:
        output: folder for everything; what is done there is not repeated.
        data: folder with the datasets as their authors ship them (`find_datasets`).
        stores: folder with prepared stores by name, which go before `data`; `output`/stores unless given.
        on_image: called after each image that is prepared, with their total number.

    Returns:
        the HTML report.

    Raises:
        InputError: no dataset is available.
        DatasetError: one that is not what it should be.
        StoreError: a prepared one that is damaged or of another version.
        OutputError: `output` cannot be written.
    """
    hardware = hardware or Hardware()
    opened, counts = _stores(data, stores or output / "stores", on_part, on_image)
    lfw = opened.get("lfw")
    outcomes: list[FoldOutcome] = []
    by_person: list[FoldOutcome] = []
    if lfw is not None:
        outcomes = run_folds(
            lfw, scale.fold_runs, output / "folds", hardware, lambda run: on_part(f"LFW: {run.network}, {run.terms}")
        )
        by_person = run_folds(
            lfw, scale.person_runs, output / "folds", hardware, lambda run: on_part(f"LFW by person: {run.terms}")
        )
    crossed: dict[str, list[MatrixCell]] = {}
    for network, recipe in scale.cross:
        on_part(f"across datasets: {network}, {recipe.epochs} epochs")
        folder = output / "crossdataset" / network.lower().replace(" ", "-")
        crossed[network] = cross_dataset(recipe, opened, folder, hardware=hardware)
    if not is_main_process():  # the first alone times and writes
        return output / "report.html"
    on_part("inference time")
    timed = _benchmark(scale, lfw, output / "benchmark")
    on_part("report")
    option = "" if scale.name == "standard" else f" --{scale.name}"
    celeba = _celeba(scale, crossed)
    parts: Sequence[Section | None] = (
        sections.parameters(),
        sections.images(counts),
        figures.timing(timed, output),
        figures.folds(outcomes, output) if outcomes else None,
        figures.people(by_person) if by_person else None,
        figures.roc(outcomes, celeba, output),
        _errors(lfw, outcomes, output),
        sections.table5(outcomes, celeba),
        sections.cross(crossed, dict(scale.cross)),
        sections.contradictions(),
    )
    return write_report(
        output,
        "report",
        "Gender classification with a custom CNN: the paper, reproduced",
        [
            'F. H. Kamaru Zaman, "Gender classification using custom convolutional neural networks architecture", '
            "IJECE 10(6), 2020, beside what was measured here. The networks estimate how a face is *perceived*; they "
            "do not know anybody's gender identity.",
            f"Scale: **{scale.name}**: {scale.says}. Data at hand: {_at_hand(opened)}. Machine: {machine('torch')}.",
            f"All of it again: `facegender reproduce{option} --data DATA --output DIR`. What is done is kept.",
        ],
        [part for part in parts if part is not None],
    )


def _stores(
    data: Path | None, folder: Path, on_part: Callable[[str], None], on_image: Callable[[int], None]
) -> tuple[dict[str, Store], dict[str, Sequence[tuple[str, int, int]]]]:
    """All stores, prepared where they are not, and the counts that their preparation reported."""
    ready = {name for name in DATASETS if (folder / name).is_dir() and read_manifest(folder / name)}
    listings = find_datasets(data) if data is not None else {}
    for name, listed in listings.items():
        if name not in ready:
            on_part(f"preparing {name}")
            prepare(listed(), folder / name, on_image=on_image)
    names = [name for name in DATASETS if name in ready | set(listings)]
    if not names:
        raise InputError(f"no prepared dataset in {folder}", remedy="give --data FOLDER, or --stores FOLDER")
    counts: dict[str, Sequence[tuple[str, int, int]]] = {}
    for name in names:
        report: Mapping[str, Any] = read_manifest(folder / name).get("report", {})
        counts[name] = [(text, female, male) for text, female, male in report.get("counts", ())]
    return {name: open_store(folder / name) for name in names}, counts


def _benchmark(scale: Scale, store: Store | None, folder: Path) -> Benchmark:
    """The paper's three networks, the custom CNN in both variants; read back where it is done, so, on this machine."""
    done = folder / "benchmark.json"
    quick = scale.name == "quick"
    precisions, batches = (("fp32",), (1, 64)) if quick else (PRECISIONS, BATCHES)
    words = ["facegender benchmark", *([store.name] if store else []), *(f"-n {n}" for n in scale.benchmark_networks)]
    words += [*(f"--precision {name}" for name in precisions), f"--batches {','.join(map(str, batches))}"]
    command = " ".join([*words, f"--seconds {scale.benchmark_seconds:g}", "--output DIR"])
    if done.exists() and (timed := read_benchmark(done)).command == command and timed.machine == machine_here():
        return timed
    benchmark(
        [registered(name) for name in scale.benchmark_networks],
        store,
        precisions=precisions,
        batches=batches,
        seconds=scale.benchmark_seconds,
        command=command,
    ).write(folder)
    return read_benchmark(done)  # as rounded there: a report made again is the same


def _celeba(scale: Scale, crossed: Mapping[str, list[MatrixCell]]) -> list[tuple[str, MatrixCell]]:
    """The networks trained and tested on CelebA, by their registry names."""
    return [
        (recipe.network, cell)
        for network, recipe in scale.cross
        for cell in crossed[network]
        if cell.trained_on == cell.tested_on == "celeba"
    ]


def _errors(store: Store | None, outcomes: Sequence[FoldOutcome], output: Path) -> Section | None:
    """The mistakes of the custom CNN's last run in RGB: the one with our recipe, where there is one."""
    runs = [o for o in outcomes if o.run.network == "custom CNN" and o.run.recipe.colour == "rgb"]
    if store is None or not runs or (result := runs[-1].result) is None:
        return None
    assignment = store.fold("random")
    index = np.concatenate([np.flatnonzero(assignment == fold) for fold in sorted(result.per_fold)])
    which = f"LFW, random folds, {runs[-1].run.terms}"
    return figures.errors(store, index, result, output, which)


def _at_hand(stores: Mapping[str, Store]) -> str:
    return ", ".join(f"{display_name(name)} ({counted(len(store), 'face')})" for name, store in stores.items())
