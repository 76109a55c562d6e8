"""Counts and durations in sentences for people."""

from __future__ import annotations


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
