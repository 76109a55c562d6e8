"""Damaged images of every format against the analyzer: each must become an answer or an error, and nothing else.

python studies/robustness/mutations.py PHOTOS --count 100000 --seed 1 --workers 2

Photos of the folder are shrunk and written in all formats that can be read; then each of COUNT times one of these
files is damaged, by a rule and a place that SEED and its number decide, and given to `FaceAnalyzer.analyze`. Processes
do that, so that one that crashes or hangs is seen, and which damage led to it; `--only NUMBER` repeats one of them
here, and `--keep FOLDER` writes the file.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path

import PIL.Image
from damage import mutated, seeds

from facegender import FaceAnalyzer
from facegender.lab.study import study_parser, write_results
from facegender.progress import Bar
from facegender.sources import SUFFIXES

#: Sizes in damaged headers that are larger are refused, as they are with the default limit.
MAX_PIXELS = 2_000_000
#: Seconds that one image may take.
PATIENCE = 20.0

Maker = Callable[[], FaceAnalyzer]


def make_analyzer() -> FaceAnalyzer:
    """What is put to the test."""
    return FaceAnalyzer(max_pixels=MAX_PIXELS, threads=1)


def outcome(analyzer: FaceAnalyzer, data: bytes) -> str:
    """``answers``, the kind of error that the record tells, or ``exceptions``, for warnings too, and which."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = analyzer.analyze(data)
        except BaseException as error:
            return f"exceptions {type(error).__name__}: {error}"
    if caught:
        return f"exceptions {caught[0].category.__name__}: {caught[0].message}"
    return "answers" if result.error is None else result.error.kind


def read_seeds(folder: Path, photos: int) -> dict[str, list[bytes]]:
    """`seeds` of the first `photos` photos of a folder and its folders."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[:photos]
    if not paths:
        raise SystemExit(f"no photos in {folder}")
    files: dict[str, list[bytes]] = {}
    for path in paths:
        with PIL.Image.open(path) as photo:
            for kind, some in seeds(photo).items():
                files.setdefault(kind, []).extend(some)
    return files


def _work(make: Maker, files: dict[str, list[bytes]], seed: int, numbers: range, pipe: Connection) -> None:
    """Analyse some of the damaged images; before each its number goes through the pipe, after it the outcome."""
    analyzer = make()
    for number in numbers:
        _, data = mutated(files, seed, number)
        pipe.send(number)
        began = time.perf_counter()
        said = outcome(analyzer, data)
        pipe.send((said, time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6))
    pipe.close()


class _Watched:
    """A process at work on some of the numbers, started anew after each that it does not survive."""

    def __init__(self, make: Maker, files: dict[str, list[bytes]], seed: int, numbers: range) -> None:
        self._make, self._files, self._seed, self._numbers = make, files, seed, numbers
        self._number: int | None = None
        self._start()

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, far = spawn.Pipe(duplex=False)
        work = (self._make, self._files, self._seed, self._numbers, far)
        self._process = spawn.Process(target=_work, args=work, daemon=True)
        self._process.start()
        far.close()
        self._since = time.monotonic()

    def receive(self) -> tuple[int, str, float, float] | None:
        """What came through the pipe: number, outcome, seconds, peak in MB; None for the start of another image."""
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            return self._lost(f"crashes status {self._process.exitcode}")
        if isinstance(message, int):
            self._number, self._since = message, time.monotonic()
            return None
        number, self._number = self._number, None
        return number, *message

    def hung(self) -> tuple[int, str, float, float] | None:
        """The image that takes too long, if there is one; the process is ended."""
        if self._number is None or time.monotonic() - self._since < PATIENCE:
            return None
        self._process.kill()
        self._process.join()
        return self._lost("hangs")

    def _lost(self, how: str) -> tuple[int, str, float, float] | None:
        self.pipe.close()
        number, self._number = self._number, None
        if number is None:
            if self._process.exitcode:
                raise SystemExit(f"a process ended with {self._process.exitcode} before its first image")
            return None  # all done
        self._numbers = range(number + self._numbers.step, self._numbers.stop, self._numbers.step)
        self._start()
        return number, how, time.monotonic() - self._since, 0.0


def run(
    files: dict[str, list[bytes]], count: int, seed: int, workers: int, *, make: Maker = make_analyzer
) -> Iterator[tuple[int, str, float, float]]:
    """Number, outcome, seconds and peak memory in MB of each of `count` damaged images."""
    watched = [_Watched(make, files, seed, range(first, count, workers)) for first in range(workers)]
    while alive := [one for one in watched if not one.pipe.closed]:
        ready = wait([one.pipe for one in alive], timeout=1.0)
        for one in alive:
            result = one.receive() if one.pipe in ready else one.hung()
            if result is not None:
                yield result


def main() -> None:
    parser = study_parser(__doc__, "robustness/mutations.csv")
    parser.add_argument("folder", type=Path, metavar="PHOTOS")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--photos", type=int, default=4, help="how many photos of the folder are damaged")
    parser.add_argument("--only", type=int, metavar="NUMBER")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()

    files = read_seeds(arguments.folder, arguments.photos)
    if arguments.only is not None:
        kind, data = mutated(files, arguments.seed, arguments.only)
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            (arguments.keep / f"{arguments.only}.{kind.lower()}").write_bytes(data)
        print(kind, outcome(make_analyzer(), data))
        return

    kinds = list(files)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    slowest, peak = dict.fromkeys(kinds, 0.0), 0.0
    with Bar("images", arguments.count) as bar:
        for number, said, seconds, memory in run(files, arguments.count, arguments.seed, arguments.workers):
            kind = kinds[number % len(kinds)]
            what, _, detail = said.partition(" ")
            counts[kind][what] += 1
            slowest[kind], peak = max(slowest[kind], seconds), max(peak, memory)
            if what in ("exceptions", "crashes", "hangs"):
                print(f"{number} ({kind}): {what} {detail}", file=sys.stderr)
            bar.step()

    errors = sorted({what for row in counts.values() for what in row} - {"answers", "exceptions", "crashes", "hangs"})
    columns = ["answers", *errors, "exceptions", "crashes", "hangs"]
    records = []
    for kind, row in counts.items():
        records.append(
            {"format": kind, "mutated": row.total()}
            | {name: row[name] for name in columns}
            | {"slowest_s": f"{slowest[kind]:.2f}", "peak_mb": round(peak)}
        )
        print(f"{kind:9s} {row.total():7d}  " + "  ".join(f"{name} {row[name]}" for name in columns))
    write_results(arguments.output, records, "pillow", "pillow-heif", "numpy", "onnxruntime")


if __name__ == "__main__":
    main()
