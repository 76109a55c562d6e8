"""The terms of use of the default network, said to each user once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Protocol

from facegender.weights import list_models

#: Longer terms are not printed whole after each run.
_SHORT = 60
#: The narrowest of the terms of the shipped networks.
_RESEARCH = "non-commercial research only"


class Network(Protocol):
    """What is said of a network: its card has it, and a server tells it of its own."""

    @property
    def name(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def confidence_for_error(self) -> dict[str, float]: ...


def terms_line(card: Network) -> str:
    """Such as ``model research: non-commercial research only``."""
    return f"model {card.name}: {card.licence}"


def short_terms(card: Network) -> str:
    """What follows every run, such as ``model research: non-commercial research only (terms: MODEL_CARD.md)``."""
    if len(card.licence) <= _SHORT:
        return terms_line(card)
    use = _RESEARCH if _RESEARCH in card.licence else card.licence.partition(" (")[0].replace(": ", ", ")
    where = "MODEL_CARD.md" if card.name in list_models() else f"{card.name}.json"
    return f"model {card.name}: {use:.{_SHORT}} (terms: {where})"


def first_use(card: Network) -> str | None:
    """What to say of the default network to a user who has not been told yet; None to one who has.

    It is noted in the user's folder of settings. Where that cannot be written, it is said each time.
    """
    try:
        marker = _folder() / f"terms-{card.sha256[:16]}"
        if marker.exists():
            return None
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(f"{terms_line(card)}\n", encoding="utf-8")
    except OSError:  # a service's user may have no home, or one that is read-only
        pass
    return f"terms of use of the default network, {card.name}: {card.licence} (said once; MODEL_CARD.md has more)"


def _folder() -> Path:
    """Where this user's settings lie; OSError where it is not known."""
    base = Path(os.environ.get("APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path.home() / ".config"
        except RuntimeError as error:
            raise OSError("the user has no home") from error
    return Path(base, "facegender")
