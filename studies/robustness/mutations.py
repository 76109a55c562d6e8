"""Damaged images of every format against the analyzer: each must become an answer or an error, and nothing else.

python studies/robustness/mutations.py PHOTOS --count 100000 --seed 1 --workers 2

Photos of the folder are shrunk and written in all formats that can be read; then each of COUNT times one of these
files is damaged, by a rule and a place that SEED and its number decide, and given to `FaceAnalyzer.analyze`. Processes
do that, so that one that crashes or hangs is seen, and which damage led to it; `--only NUMBER` repeats one of them
here, and `--keep FOLDER` writes the file.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import random
import resource
import shlex
import struct
import sys
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
import PIL.Image
from PIL import ImageCms, ImageOps
from pillow_heif import HeifFile, from_pillow

from facegender import FaceAnalyzer
from facegender.machine import machine
from facegender.progress import Bar
from facegender.sources import SUFFIXES
from facegender.tables import write_csv

#: Width and height of the files that are damaged, in pixels.
SIZE = (128, 96)
#: Sizes in damaged headers that are larger are refused, as they are with the default limit.
MAX_PIXELS = 2_000_000
#: Seconds that one image may take.
PATIENCE = 20.0

#: Numbers that break what computes with them.
_NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_METADATA = (
    b"Exif\0\0",
    b"EXIF",
    b"eXIf",
    b"ICC_PROFILE",
    b"ICCP",
    b"iCCP",
    b"acsp",
    b"colr",
    b"MPF\0",
    b"II*\0",
    b"MM\0*",
)

Maker = Callable[[], FaceAnalyzer]
Rule = Callable[[bytearray, random.Random, Sequence[bytes]], bytearray]


def seeds(photo: PIL.Image.Image) -> dict[str, list[bytes]]:
    """A photo written in every way that its format has and Pillow writes; by the name of the format."""
    photo = ImageOps.fit(photo.convert("RGB"), SIZE)
    turned = photo.transpose(PIL.Image.Transpose.ROTATE_90)
    gray, palette, clear, ink = (photo.convert(mode) for mode in ("L", "P", "RGBA", "CMYK"))
    clear.putalpha(gray)
    deep = PIL.Image.fromarray(np.asarray(gray).astype(np.uint16) << 8)
    real = PIL.Image.fromarray(np.asarray(gray) / np.float32(255))
    line = photo.convert("1")
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker" * 5
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    notes = {"exif": exif, "icc_profile": srgb.replace(b"sRGB", b"mine")}
    more = {"save_all": True, "append_images": [photo]}
    plans: dict[str, list[tuple[PIL.Image.Image, dict[str, object]]]] = {
        "JPEG": [
            (photo, notes),
            (photo, {"progressive": True, "subsampling": 0, "icc_profile": icc}),
            (gray, {"exif": exif}),
            (ink, {"restart_marker_blocks": 3}),
        ],
        "MPO": [(photo, {"save_all": True, "append_images": [turned], "exif": exif})],
        "PNG": [
            (photo, notes),
            (palette, {"transparency": 3}),
            (deep, {}),
            (clear, {}),
            (line, {"exif": exif}),
            (photo, more),
        ],
        "WEBP": [(photo, notes), (clear, {"lossless": True, "method": 0}), (photo, more)],
        "GIF": [(palette, {}), (palette, {"transparency": 5, **more}), (gray, {"interlace": True})],
        "TIFF": [
            *(
                (photo, {"compression": kind} | notes)
                for kind in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
            ),
            *((line, {"compression": kind}) for kind in ("group3", "group4")),
            (ink, {"compression": "tiff_lzw"}),
            (deep, {"compression": "tiff_deflate"}),
            (real, {}),
            (palette, more),
            (photo, {"big_tiff": True}),
        ],
        "BMP": [(photo, {}), (palette, {}), (line, {}), (clear, {})],
        "PPM": [(photo, {}), (gray, {}), (line, {}), (deep, {}), (real, {})],
        "JPEG2000": [
            (photo, {}),
            (gray, {"no_jp2": True}),
            (clear, {"irreversible": True}),
            (photo, {"num_resolutions": 2, "tile_size": (64, 64)}),
        ],
        "AVIF": [(photo, {"speed": 10, **notes}), (clear, {"speed": 10}), (photo, {"speed": 10, **more})],
    }
    written = {kind: [_written(image, kind, options) for image, options in plan] for kind, plan in plans.items()}
    written["HEIC"] = [_heic(from_pillow(image), notes) for image in (photo, clear)]
    written["PNG"].append(_interlaced(photo))
    return written


def _written(image: PIL.Image.Image, kind: str, options: dict[str, object]) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _heic(image: HeifFile, notes: dict[str, object]) -> bytes:
    file = io.BytesIO()
    image.save(file, quality=50, exif=notes["exif"].tobytes(), icc_profile=notes["icc_profile"])
    return file.getvalue()


def _interlaced(photo: PIL.Image.Image) -> bytes:
    """A PNG in Adam7 passes, which Pillow does not write (PNG 1.2, section 2.6)."""
    pixels = np.asarray(photo)
    rows = b""
    for x, y, right, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        part = pixels[y::down, x::right]
        rows += b"".join(b"\0" + row.tobytes() for row in part) if part.size else b""
    header = struct.pack(">2L5B", *photo.size, 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(d)) + k + d + struct.pack(">L", zlib.crc32(k + d)) for k, d in chunks
    )


def _flip(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Flip up to 64 bits, in half of the cases all among the first 512 bytes."""
    end = min(len(data), 512) if rng.random() < 0.5 else len(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        data[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return data


def _truncate(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Cut the end off."""
    return data[: rng.randrange(len(data))]


def _wrong_header(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Begin as another file does."""
    length = rng.choice((4, 8, 12, 16, 32, 128))
    return bytearray(rng.choice(others)[:length]) + data[length:]


def _splice(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Put a piece of this or another file at another place, or take a piece out."""
    source = data if rng.random() < 0.5 else rng.choice(others)
    start = rng.randrange(len(source))
    piece = source[start : start + rng.choice((1, 4, 16, 64, 512, 4096))]
    at = rng.randrange(len(data))
    if rng.random() < 0.3:
        return data[:at] + data[at + len(piece) :]
    return data[:at] + piece + data[at + (len(piece) if rng.random() < 0.5 else 0) :]


def _wrong_size(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Write another number where the width or the height stands."""
    layouts = [struct.pack(layout, side) for layout in (">H", "<H", ">L", "<L") for side in SIZE]
    places = [(at, len(text)) for text in layouts for at in _places(data, text, 4096)]
    places += [(at, len(text)) for text in (str(side).encode() for side in SIZE) for at in _places(data, text, 16)]
    if not places:
        return _wrong_number(data, rng, others)
    at, length = rng.choice(places)
    number = rng.choice((*_NUMBERS, *(side + step for side in SIZE for step in (-1, 1, 8))))
    data[at : at + length] = (number % 256**length).to_bytes(length, rng.choice(("big", "little")))
    return data


def _wrong_number(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Write a number that is hard to compute with somewhere, mostly near the start: lengths, offsets, counts."""
    at = rng.randrange(min(len(data), rng.choice((64, 512, 10**9))))
    length = rng.choice((1, 2, 4, 8))
    number = rng.choice(_NUMBERS) % 256**length
    data[at : at + length] = number.to_bytes(length, rng.choice(("big", "little")))
    return data


def _metadata(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Damage the EXIF block or the colour profile."""
    places = [at for mark in _METADATA for at in _places(data, mark, len(data))]
    if not places:
        return _flip(data, rng, others)
    start = rng.choice(places)
    for _ in range(rng.choice((1, 4, 16))):
        at = min(start + rng.randrange(400), len(data) - 1)
        data[at] = rng.choice((0, 255, data[at] ^ 1 << rng.randrange(8)))
    return data


def _blank(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Overwrite a run of bytes with one value, as a disk that lost a sector does."""
    at, length = rng.randrange(len(data)), rng.choice((16, 512, 4096))
    length = min(length, len(data) - at)
    data[at : at + length] = bytes([rng.choice((0, 255))]) * length
    return data


RULES: tuple[Rule, ...] = (_flip, _truncate, _wrong_header, _splice, _wrong_size, _wrong_number, _metadata, _blank)


def _places(data: bytearray, text: bytes, end: int) -> Iterator[int]:
    at = data.find(text, 0, end)
    while at >= 0:
        yield at
        at = data.find(text, at + 1, end)


def _with_checksums(data: bytearray) -> bytearray:
    """A PNG file with the checksums of its chunks put right, so that damage gets past them."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return data


def mutated(files: dict[str, list[bytes]], seed: int, number: int) -> tuple[str, bytes]:
    """The format and the bytes of one damaged image: the same for the same files, seed and number.

    Args:
        files: by format, as `seeds` gives them for one photo or several.
        seed, number: they decide; formats and rules come round in turn.
    """
    rng = random.Random(f"{seed}/{number}")
    kinds = list(files)
    kind = kinds[number % len(kinds)]
    data = bytearray(rng.choice(files[kind]))
    others = [text for some in files.values() for text in some[:1]]
    rules = [RULES[number // len(kinds) % len(RULES)], *rng.choices(RULES, k=rng.choice((0, 0, 1, 2)))]
    for rule in rules:
        if len(data) > 16:
            data = rule(data, rng, others)
    if kind == "PNG" and rng.random() < 0.7:
        data = _with_checksums(data)
    return kind, bytes(data)


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="PHOTOS")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--photos", type=int, default=4, help="how many photos of the folder are damaged")
    parser.add_argument("--output", type=Path, default=Path("results/robustness/mutations.csv"))
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
    options = ["--count", arguments.count, "--seed", arguments.seed, "--workers", arguments.workers]
    command = shlex.join(["python", "studies/robustness/mutations.py", "PHOTOS", *map(str, options)])
    where = machine("pillow", "pillow-heif", "numpy", "onnxruntime")
    records = []
    for kind, row in counts.items():
        records.append(
            {"format": kind, "mutated": row.total()}
            | {name: row[name] for name in columns}
            | {"slowest_s": f"{slowest[kind]:.2f}", "peak_mb": round(peak), "command": command, "machine": where}
        )
        print(f"{kind:9s} {row.total():7d}  " + "  ".join(f"{name} {row[name]}" for name in columns))
    write_csv(arguments.output, records)


if __name__ == "__main__":
    main()
