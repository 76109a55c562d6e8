"""Counts, durations and the names of datasets in sentences for people."""

from __future__ import annotations

#: What readers see of a dataset, by the name of its listing and store.
DISPLAY_NAMES = {
    "all-age-faces": "All-Age-Faces",
    "celeba": "CelebA",
    "fairface": "FairFace",
    "imdb": "IMDB",
    "lfw": "LFW",
    "stills": "film stills",
    "utkface": "UTKFace",
    "wiki": "WIKI",
}


def display_name(store: str) -> str:
    """Such as ``FairFace``, or ``FairFace, CelebA`` for ``fairface+celeba``; an unknown name stays as it is."""
    return ", ".join(DISPLAY_NAMES.get(name, name) for name in store.split("+"))


def counted(count: int, noun: str) -> str:
    """Such as ``1 photo`` or ``1,204 photos``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """Such as ``3 s``, ``4 min 20 s`` or ``2 h 5 min``."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
