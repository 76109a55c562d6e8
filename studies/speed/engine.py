"""What the engine does with many photos, measured beside the yardsticks of the same run.

    python studies/speed/engine.py PHOTOS small large
    python studies/speed/engine.py PHOTOS collection --count 200000
    python studies/speed/engine.py PHOTOS kills
    python studies/speed/engine.py PHOTOS ray

PHOTOS is a folder of photos of about 250 x 250 pixels; larger ones are made from them. Adds its rows to
results/speed/engine.csv, or replaces them.
"""

from __future__ import annotations

import functools
import io
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import psutil

from facegender.faces.decode import decode
from facegender.inference.engines import Workers
from facegender.inference.journal import journal_file
from facegender.inference.options import Options
from facegender.inference.pipeline import FaceAnalyzer
from facegender.inference.tasks import Job, Task
from facegender.lab.study import study_parser
from facegender.machine import machine
from facegender.progress import track
from facegender.sources import Source
from facegender.tables import update_csv

COLUMNS = ("measure", "value", "yardstick", "yardstick_value", "ratio", "command", "machine")
WORKERS = 2
#: What other face tools need for a photo of 250 pixels on such a machine, in milliseconds.
OTHERS_MS = (150, 330)

Row = tuple[str, float, str, float | str]


def main() -> None:
    parser = study_parser(__doc__, "speed/engine.csv")
    parser.add_argument("photos", type=Path)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--count", type=int, default=200_000, help="photos of `collection`")
    arguments = parser.parse_args()
    photos = sorted(map(str, arguments.photos.resolve().iterdir()))
    for part in arguments.parts:
        command = f"python studies/speed/engine.py PHOTOS {part}"
        if part == "collection":
            rows = collection(photos, arguments.count)
            command += f" --count {arguments.count}"
        else:
            rows = PARTS[part](photos)
        write(arguments.output, rows, command)


def predict(listed: Path, output: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "facegender", "predict", str(listed), "--workers", str(WORKERS)),
        *("--output", str(output)),
    ]


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def write_list(path: Path, photos: Sequence[str]) -> Path:
    path.write_text("".join(f"{photo}\n" for photo in photos), encoding="utf-8")
    return path


def small(photos: Sequence[str]) -> list[Row]:
    """The whole path from file to record against a loop over the API for one photo."""
    analyzer = FaceAnalyzer()
    rates: dict[str, list[float]] = {"engine": [], "loop": []}
    bytes_out = {}
    with tempfile.TemporaryDirectory() as folder:
        listed = write_list(Path(folder, "list.txt"), photos)
        for number, suffix in enumerate(("jsonl", "jsonl", "parquet")):
            out = Path(folder, f"{number}.{suffix}")
            seconds = timed(lambda out=out: subprocess.run(predict(listed, out), check=True))
            bytes_out[suffix] = out.stat().st_size / len(photos)
            rates["engine"].append(len(photos) / seconds)
            some = photos[number * 1500 : (number + 1) * 1500]
            rates["loop"].append(len(some) / timed(lambda some=some: [analyzer.analyze(path) for path in some]))
    engine, loop = (statistics.median(rates[name]) for name in ("engine", "loop"))
    size = statistics.mean(Path(photo).stat().st_size for photo in photos) / 1e3
    what = f"250 x 250 pixels ({size:.0f} kB), {len(photos)} files to records, {WORKERS} workers"
    return [
        ("bytes of records a photo, JSON Lines", bytes_out["jsonl"], "Parquet", bytes_out["parquet"]),
        (f"{what}, photos/s", engine, "loop over FaceAnalyzer.analyze, photos/s", loop),
        (f"{what}, ms a photo", 1000 / engine, "other face tools, ms a photo, at their best", OTHERS_MS[0]),
    ]


def large(photos: Sequence[str]) -> list[Row]:
    """Photos of 1 and 12 megapixels against their full decoding by Pillow alone."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, width, height in (("1 megapixel", 1155, 866), ("12 megapixels", 4000, 3000)):
            paths = [_enlarged(photo, Path(folder), width, height) for photo in photos[:: len(photos) // 40][:40]]
            one = FaceAnalyzer(threads=1)
            cv2.setNumThreads(1)
            seconds: dict[str, list[float]] = {"Pillow": [], "one": []}
            one.analyze(paths[0])
            for path in paths:  # in turn, so that both meet the same moods of the machine
                seconds["Pillow"].append(timed(functools.partial(_pillow, path)))
                seconds["one"].append(timed(functools.partial(one.analyze, path)))
            tasks = [Task(Source.file(path)) for path in paths * 8]
            results = Workers(WORKERS).run(tasks, Job(Options()))
            next(results)  # the processes have started
            began, done = time.perf_counter(), sum(len(chunk) for chunk in results)
            engine = (time.perf_counter() - began) / done
            pillow, alone = (1000 * statistics.mean(seconds[key]) for key in ("Pillow", "one"))
            size = statistics.mean(Path(path).stat().st_size for path in paths) / 1e6
            what = f"JPEG of {name} ({size:.1f} MB), ms a photo"
            yardstick = "full decoding by Pillow, one core, ms"
            rows += [
                (f"{what}, one core", alone, yardstick, pillow),
                (f"{what}, {WORKERS} workers", 1000 * engine, yardstick, pillow),
            ]
    return rows


def _enlarged(photo: str, folder: Path, width: int, height: int) -> str:
    path = folder / f"{width}-{Path(photo).stem}.jpg"
    path.write_bytes(camera_photo(photo, width, height))
    return str(path)


def camera_photo(photo: str | Path, width: int, height: int) -> bytes:
    """A real photo at another size, with the noise of a sensor, as a camera would save it."""
    image = cv2.resize(decode(photo), (width, height), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(0).normal(0, 4, (height, width, 1))
    return jpeg(PIL.Image.fromarray((image + noise).clip(0, 255).astype(np.uint8)))


def jpeg(image: PIL.Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=90)
    return file.getvalue()


def _pillow(path: str) -> None:
    with PIL.Image.open(path) as image:
        np.asarray(image.convert("RGB"))


def collection(photos: Sequence[str], count: int) -> list[Row]:
    """Memory and cost over many photos: links to real files."""
    sizes = [size for size in (1_000, 3_000, 10_000, 30_000) if size < count] + [count]
    taken: list[float] = []
    memory: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in track(sizes, "collections"):
            links = Path(folder, f"links-{size}")
            for number in range(size):
                place = links / f"{number // 1000:04d}"
                if number % 1000 == 0:
                    place.mkdir(parents=True)
                (place / f"{number:07d}.jpg").symlink_to(photos[number % len(photos)])
            out = Path(folder, f"{size}.jsonl")
            command = [*predict(links, out), "--recursive"]
            process = subprocess.Popen(command)
            watch = threading.Thread(target=_watch, args=(process.pid, out, memory if size == count else []))
            watch.start()
            began = time.perf_counter()
            if process.wait():
                raise RuntimeError(f"{command} failed")
            taken.append(time.perf_counter() - began)
            watch.join()
            shutil.rmtree(links)
    slope, start = np.polyfit(sizes, taken, 1)
    fitted = start + slope * np.array(sizes)
    spread = 1 - ((np.array(taken) - fitted) ** 2).sum() / np.var(taken) / len(taken)
    # The journal grows with the photos that are done.
    early = max((size for done, size in memory if done <= memory[-1][0] * 2_000 / count), default=memory[0][1])
    most = max(size for _, size in memory)
    what = f"{count} photos, {WORKERS} workers"
    # Per photo once each size's own start is taken off; the largest ones tell whether the line is straight.
    rows: list[Row] = [
        (f"{what}, most memory of all processes, MB", most, "after the first 2,000 photos, MB", early),
        (f"{what}, ms a photo, slope of the line", 1000 * slope, "R squared of the line", round(spread, 6)),
        (f"{what}, seconds to start, where the line begins", start, "", ""),
    ]
    for size, seconds in zip(sizes, taken, strict=True):
        rows.append((f"{size} photos, seconds", seconds, "the line, seconds", start + slope * size))
    return rows


def _watch(pid: int, out: Path, memory: list[tuple[int, float]]) -> None:
    """Bytes of the journal and memory of all processes in MB (proportional set size), twice a second."""
    main = psutil.Process(pid)
    while main.is_running() and main.status() != psutil.STATUS_ZOMBIE:
        try:
            size = sum(p.memory_full_info().pss for p in [main, *main.children(recursive=True)]) / 2**20
            memory.append((journal_file(out).stat().st_size, size))
        except (psutil.Error, OSError):
            pass
        time.sleep(0.5)


def kills(photos: Sequence[str]) -> list[Row]:
    """Runs killed at random moments and taken up again, against one that was not."""
    generator = random.Random(0)
    chosen = [photos[number % len(photos)] for number in range(10_000)]
    with tempfile.TemporaryDirectory() as folder:
        listed = write_list(Path(folder, "list.txt"), chosen)
        whole, killed = Path(folder, "whole.jsonl"), Path(folder, "killed.jsonl")
        seconds = timed(lambda: subprocess.run(predict(listed, whole), check=True))
        done = 0
        while not killed.exists():
            process = subprocess.Popen(predict(listed, killed))
            if done == 20:
                process.wait()
                continue
            try:
                process.wait(generator.uniform(0.5, seconds / 8))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                done += 1
        same = killed.read_bytes() == whole.read_bytes()
        names = [json.loads(line)["path"] for line in killed.read_text(encoding="utf-8").splitlines()]
        lost, doubled = len(set(chosen) - set(names)), len(names) - len(chosen)
    return [
        ("10,000 photos, kills survived", done, "", ""),
        ("10,000 photos after the kills, byte for byte as without (1 yes)", int(same), "", ""),
        ("10,000 photos after the kills, lost", lost, "doubled", doubled),
    ]


def ray(photos: Sequence[str]) -> list[Row]:
    """Two actors of a local cluster against one, from the first finished batch to the last."""
    from facegender import cluster

    rates = []
    chosen = [photos[number % len(photos)] for number in range(8_192)]
    for workers in (1, 2):
        tasks = [Task(Source.file(path)) for path in chosen]
        done, began = 0, 0.0
        for number, batch in enumerate(cluster.RayEngine(workers=workers).run(tasks, Job(Options()))):
            if number < workers:
                began = time.perf_counter()
            else:
                done += len(batch)
        rates.append(done / (time.perf_counter() - began))
    return [("Ray on one machine, 2 actors, photos/s", rates[1], "1 actor, photos/s", rates[0])]


def write(path: Path, rows: Sequence[Row], command: str) -> None:
    """Print rows, and put them into the table in which others have theirs; those of the same measures go."""
    here = machine("onnxruntime", "opencv-python-headless", "pillow")
    records = []
    for measure, value, yardstick, other in rows:
        print(measure, value, yardstick, other, sep=" | ", flush=True)
        ratio = f"{value / other:.3f}" if isinstance(other, (int, float)) and other else ""
        first, second = (f"{each:.6g}" if isinstance(each, (int, float)) else each for each in (value, other))
        records.append(dict(zip(COLUMNS, (measure, first, yardstick, second, ratio, command, here), strict=True)))
    update_csv(path, records, by="measure")


PARTS = {"small": small, "large": large, "collection": collection, "kills": kills, "ray": ray}

if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
