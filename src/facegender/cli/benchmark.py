"""``facegender benchmark``: how fast the networks are here, in every runtime."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from facegender.cli.laboratory import require_training
from facegender.cli.params import FormatOption, TableFormat
from facegender.cli.root import app, command_line, numbers, results_console, say

if TYPE_CHECKING:
    from facegender.lab.benchmark import Benchmark, Timing


@app.command()
def benchmark(
    store: Annotated[
        Path | None, typer.Argument(help="A prepared store whose crops are classified; none: seeded noise.")
    ] = None,
    *,
    network: Annotated[
        list[str] | None,
        typer.Option("--network", "-n", help="Such as residual, weights as initialised; repeatable."),
    ] = None,
    model: Annotated[list[Path] | None, typer.Option(help="A run's model.safetensors; repeatable.")] = None,
    onnx: Annotated[list[str] | None, typer.Option(help="An ONNX file, or a shipped network; repeatable.")] = None,
    runtime: Annotated[
        list[str] | None, typer.Option(help="onnxruntime, openvino or torch; repeatable. Default: all.")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="cpu, cuda, gpu, npu or auto (OpenVINO's choice); repeatable. Default: all."),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32, bf16, fp16 or int8; repeatable. Default: all.")
    ] = None,
    batches: Annotated[str, typer.Option(help="Crops per call.", metavar="N,N,...")] = "1,8,32,64,128,256",
    streams: Annotated[
        str | None,
        typer.Option(
            help="Calls at the same time, which share the threads. Default: 1, and one per thread.", metavar="N,N,..."
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: all usable cores.", min=1)] = None,
    seconds: Annotated[
        float,
        typer.Option(min=0.01, max=3600.0, help="Time spent on each case: a network, a way to run it, a batch size."),
    ] = 2.0,
    rounds: Annotated[int, typer.Option(help="Every case is timed once in each.", min=1)] = 10,
    crops: Annotated[int, typer.Option(help="How many crops to classify.", min=1)] = 1200,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for benchmark.json, benchmark.csv, figure3.png and figure3.svg."),
    ] = None,
    form: FormatOption = "table",
) -> None:
    """Time networks at batch 1 and at the best batch, in every runtime and precision that this machine has.

    Without --network, --model and --onnx: the paper's three, the custom CNN in both variants. Ratios are against the
    first of --model, then --network, then --onnx.
    """
    require_training()
    from facegender.lab.benchmark import PRECISIONS, Interrupted, exported, registered, trained
    from facegender.lab.benchmark import benchmark as run
    from facegender.lab.datasets.store import open_store
    from facegender.lab.evaluation.figures import PRINTED_NAMES

    if not (network or model or onnx):
        network = list(PRINTED_NAMES)
    subjects = [
        *(trained(path) for path in model or ()),
        *(registered(name) for name in network or ()),
        *(exported(name) for name in onnx or ()),
    ]
    try:
        result = run(
            subjects,
            None if store is None else open_store(store),
            crops=crops,
            runtimes=runtime,
            devices=device,
            precisions=precision or PRECISIONS,
            batches=_numbers(batches, "--batches"),
            streams=None if streams is None else _numbers(streams, "--streams"),
            threads=threads,
            seconds=seconds,
            rounds=rounds,
            command=command_line(),
        )
    except Interrupted as stop:
        _write_out(stop.partial, output, form)
        stop.add_note(f"what has been measured is {'above' if output is None else f'in {output}'}")
        raise
    _write_out(result, output, form)


def _numbers(text: str, option: str) -> list[int]:
    try:
        return sorted({int(number) for number in text.split(",")})
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of whole numbers", param_hint=option) from None


def _write_out(result: Benchmark, output: Path | None, form: TableFormat) -> None:
    from facegender.lab.paper.figure3 import save_figure3

    if form == "csv":
        typer.echo(result.to_csv(), nl=False)
    elif form == "json":
        typer.echo(result.to_json(), nl=False)
    else:
        _tables(result)
    if output is not None:
        result.write(output)
        for path in (output / "benchmark.json", output / "benchmark.csv", *save_figure3(result, output)):
            say(str(path))


def _tables(result: Benchmark) -> None:
    console = results_console(120)
    single = result.find(batch=1, streams=1)
    if single:
        headings = numbers("mean", "median", "p10-p90", "ratio", "of matmul", no_wrap=True)
        table = Table("runtime", "network", *headings, title="One crop at a time, milliseconds", title_justify="left")
        for t, name in _by_way(single, table):
            ratio = "-" if t.ratio is None else f"{t.ratio:.3g} ({t.ratio_p10:.3g}-{t.ratio_p90:.3g})"
            spread = f"{t.p10_ms:.3g}-{t.p90_ms:.3g}"
            table.add_row(name, t.network, f"{t.image_ms:.3g}", f"{t.median_ms:.3g}", spread, ratio, _share(t))
        console.print(table)
    headings = numbers("batch", "streams", "per second", "of matmul", no_wrap=True)
    table = Table("runtime", "network", *headings, title="Crops per second at the best batch", title_justify="left")
    for t, name in _by_way(result.fastest(), table):
        table.add_row(name, t.network, str(t.batch), str(t.streams), f"{t.images_per_second:,.0f}", _share(t))
    console.print(table)
    low, middle, high = (f"{rate / 1e9:.1f}" for rate in result.ceiling)
    versions = ", ".join(f"{name} {number}" for name, number in result.versions.items())
    typer.echo(
        f"{result.crops}; {result.machine}, {result.threads} threads; {versions}\n"
        "ratio: mean time over the first network's in the same round, median (p10-p90) of the rounds.\n"
        "of matmul: multiply-accumulates per second over those of a float32 matrix product, "
        f"{middle} (p10-p90 {low}-{high}) thousand million."
    )
    for way, what in _skips(result).items():
        typer.echo(f"not timed: {way} ({'; '.join(what)})")


def _by_way(timings: list[Timing], table: Table) -> Iterator[tuple[Timing, str]]:
    """Each timing with the way in which it ran, named once; a line in the table between two ways."""
    last = ""
    for timing in timings:
        way = f"{timing.runtime} {timing.device} {timing.precision}"
        if way != last and last:
            table.add_section()
        yield timing, "" if way == last else way
        last = way


def _share(timing: Timing) -> str:
    return "-" if timing.ceiling_share is None else f"{timing.ceiling_share:.0%}"


def _skips(result: Benchmark) -> dict[str, list[str]]:
    """By way to run and reason, which networks and batches were not timed."""
    skips: dict[str, list[str]] = defaultdict(list)
    batches: dict[tuple[str, str], list[str]] = defaultdict(list)
    for skip in result.skipped:
        way = " ".join(part for part in (skip.runtime, skip.device, skip.precision) if part)
        batches[f"{way}: {skip.reason}", skip.network].append("" if skip.batch is None else str(skip.batch))
    for (way, network), sizes in batches.items():
        skips[way].append(f"{network or 'all networks'}{' at batch ' if sizes[0] else ''}{', '.join(sizes)}")
    return skips
