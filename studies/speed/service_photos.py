"""The photos that the studies of the service send, and what must come back."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from engine import camera_photo

from facegender.inference.pipeline import FaceAnalyzer
from facegender.server import Limits

#: Of a hundred photos, how many are unchanged, of 640 x 480 and 4000 x 3000 pixels, and broken.
MIXTURE = {"small": 70, "medium": 20, "large": 6, "broken": 4}
#: Different photos of each kind.
KINDS = {"small": 60, "medium": 20, "large": 8}


@dataclass(frozen=True)
class Sample:
    """A photo to be sent, and what must come back: the record of `FaceAnalyzer`."""

    data: bytes = field(repr=False)
    record: dict[str, Any] = field(repr=False)

    def differences(self, answer: bytes) -> tuple[float, float] | None:
        """How far an answer of ``/v1/analyze`` is from the record: in pixels of the boxes, and in the probabilities.

        None where it has other faces, or another error.
        """
        [record] = json.loads(answer)["photos"]
        faces = self.record["faces"]
        if len(record["faces"]) != len(faces) or any(record[k] != self.record[k] for k in ("width", "height", "error")):
            return None
        pairs = list(zip(record["faces"], faces, strict=True))
        return (
            max((float(np.abs(np.subtract(a["box"], b["box"])).max()) for a, b in pairs), default=0.0),
            max((abs(a["p_male"] - b["p_male"]) for a, b in pairs), default=0.0),
        )


class Photos:
    """Photos of several sizes.

    Args:
        folder: of photos of about 250 x 250 pixels; larger ones are made from them.
        mixed: False has the small ones alone.
    """

    def __init__(self, folder: Path, *, mixed: bool = True) -> None:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
        sample = paths[:: max(1, len(paths) // KINDS["small"])][: KINDS["small"]]
        analyzer = FaceAnalyzer(max_pixels=Limits().max_pixels)
        kinds = {"small": [path.read_bytes() for path in sample]}
        if mixed:
            kinds["medium"] = [camera_photo(path, 640, 480) for path in sample[: KINDS["medium"]]]
            kinds["large"] = [camera_photo(path, 4000, 3000) for path in sample[: KINDS["large"]]]
            kinds["broken"] = [kinds["small"][0][:3000], b"Dear reader", b"", png_bomb(50_000, 50_000)]
        self.kinds = {
            kind: [Sample(data, analyzer.analyze(data).to_dict()) for data in photos] for kind, photos in kinds.items()
        }

    def endless(self, seed: int) -> Iterator[Sample]:
        """Photos at random, in the shares of `MIXTURE`."""
        generator = np.random.default_rng(seed)
        names = list(self.kinds)
        shares = np.array([MIXTURE[name] for name in names], float)
        while True:
            for kind in generator.choice(names, 1000, p=shares / shares.sum()):
                photos = self.kinds[kind]
                yield photos[generator.integers(len(photos))]


def png_bomb(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG file whose header claims this many pixels; `rows`: its compressed pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
