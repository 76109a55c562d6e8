"""How stored frames are turned and mirrored to be displayed."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from facegender.faces.types import Image

#: The two rows of a display matrix that turn and mirror, a, c and b, d: where x and y of the stored frame go.
Matrix: TypeAlias = tuple[int, int, int, int]


def display_matrix(frame: Any) -> Matrix | None:
    """How a stored frame is turned and mirrored to be displayed; None where it isn't, or to no multiple of 90 degrees.

    FFmpeg keeps nine 32-bit integers, a, b, u, c, d, v, x, y, w: (p, q) goes to (a p + c q + x, b p + d q + y).
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), "=i4", 9).tolist()
    signs: Matrix = (_sign(a, b, c, d), _sign(c, d, a, b), _sign(b, a, c, d), _sign(d, c, a, b))
    right_angled = sorted(map(abs, signs)) == [0, 0, 1, 1] and bool(signs[0]) == bool(signs[3])
    return signs if right_angled and signs != (1, 0, 0, 1) else None


def _sign(value: int, *others: int) -> int:
    """1 or -1 for an entry that is about as large as the largest, else 0."""
    return 0 if abs(value) * 2 <= max(map(abs, (value, *others))) else (1 if value > 0 else -1)


def oriented(pixels: Image, matrix: Matrix) -> Image:
    """The stored pixels as they are displayed: uint8, H x W x 3."""
    a, c, b, d = matrix
    if a == 0:
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(pixels[::d, ::a])
