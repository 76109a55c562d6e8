"""What the notes of many photos come to, in sentences for the end of a run."""

from __future__ import annotations

from collections.abc import Mapping

from facegender.wording import counted

#: For one photo and for several, of each kind of `facegender.faces.types.Note`.
_SENTENCES = {
    "pages": ("has further pages that were not analysed", "have further pages that were not analysed"),
    "screen": (
        "is printed with a halftone screen, which was smoothed before the search",
        "are printed with a halftone screen, which was smoothed before the search",
    ),
    "grain": (
        "has heavy grain, which was smoothed before the search",
        "have heavy grain, which was smoothed before the search",
    ),
    "turned": ("has faces that lie on their side or upside down", "have faces that lie on their side or upside down"),
}


def remarks(counts: Mapping[str, int]) -> list[str]:
    """One sentence without its end for each kind of note, given how many photos have it: "2 photos have ..."."""
    return [
        f"{counted(counts[kind], 'photo')} {one if counts[kind] == 1 else several}"
        for kind, (one, several) in _SENTENCES.items()
        if counts.get(kind)
    ]
