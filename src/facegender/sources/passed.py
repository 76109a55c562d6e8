"""What a listing passes over is counted, so that no photo is left out in silence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from facegender.sources.kinds import SUFFIXES, is_hidden, is_video, suffix_of
from facegender.wording import counted

#: What runs keep beside their results, and what lies beside photos.
_BESIDE = (".journal", ".journal-journal", ".run.json", ".xmp")
#: Suffixes that are named in a summary.
_NAMED = 6


@dataclass
class PassedOver:
    """Files that were not taken for photos.

    Attributes:
        suffixes: how many of each suffix; the empty one where there is none.
        kinds: the others: hidden photos, videos, folders that are links, pictures that an earlier run made.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, name: str) -> None:
        """Count a file by its name; not what lies beside results or photos."""
        if name.endswith(_BESIDE):
            return
        if is_video(name):
            self.kinds["videos"] += 1
        elif not is_hidden(name):
            self.suffixes[suffix_of(name)] += 1
        elif suffix_of(name) in SUFFIXES:  # other hidden files are meant to be
            self.kinds["hidden"] += 1

    def __len__(self) -> int:
        return self.suffixes.total() + self.kinds.total()

    def __str__(self) -> str:
        """Such as ``7 files passed over (suffixes: none 2, .pdf 1; hidden 1; videos 3)``."""
        most = sorted(self.suffixes.items(), key=lambda found: (-found[1], found[0]))
        named = [f"{suffix or 'none'} {count}" for suffix, count in most[:_NAMED]]
        if rest := sum(count for _, count in most[_NAMED:]):
            named.append(f"others {rest}")
        parts = [f"suffixes: {', '.join(named)}"] if named else []
        parts += [f"{kind} {count}" for kind, count in sorted(self.kinds.items())]
        return f"{counted(len(self), 'file')} passed over ({'; '.join(parts)})"
