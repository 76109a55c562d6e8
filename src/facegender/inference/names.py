"""How often each photo or video occurs in records that are there already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from facegender.formats.records import printable


class Names:
    """How often each name of a record occurs, in little memory: 64 bits of a hash and a count each."""

    def __init__(self, names: Iterable[str]) -> None:
        hashes = np.fromiter(map(_hash, names), np.uint64)
        self.total = len(hashes)
        self._hashes, self._counts = np.unique(hashes, return_counts=True)

    def take(self, name: str) -> bool:
        """Whether the name is left; then there is one less of it."""
        wanted = _hash(printable(name))
        place = int(np.searchsorted(self._hashes, wanted))
        if place == len(self._hashes) or self._hashes[place] != wanted or not self._counts[place]:
            return False
        self._counts[place] -= 1
        return True


def _hash(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))
