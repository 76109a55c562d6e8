"""From a TOML file to a checked dataclass: how every recipe is read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_type_hints

from facegender.errors import RecipeError

T = TypeVar("T")

#: From 0 to 1.
Share: TypeAlias = Annotated[float, 0.0, 1.0]


@dataclass(frozen=True)
class Limited:
    """Settings in which the annotation of a number may hold its least and greatest value.

    Raises:
        RecipeError: a number lies outside.
    """

    def __post_init__(self) -> None:
        for key, hint in get_type_hints(type(self), include_extras=True).items():
            if limits := getattr(hint, "__metadata__", ()):
                low, high = limits
                if not low <= (value := getattr(self, key)) <= high:
                    raise RecipeError(f"{key} must lie between {low:g} and {high:g}, not {value}")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, as TOML holds them."""
        return asdict(self)


def recipe_names(folder: Any) -> list[str]:
    """The recipes in a folder of the package."""
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def read_settings(kind: type[T], source: str | Path, folder: Any, changes: Mapping[str, Any]) -> T:
    """Read a dataclass of settings by its name in the package or from a TOML file.

    Args:
        kind: the dataclass; its annotations say what each setting may be.
        source: a name in `folder`, or a path that ends in ``.toml``.
        folder: of the package's own recipes.
        changes: settings that replace those of the file, table by table; None leaves the file's.

    Raises:
        RecipeError: no such recipe, a setting that does not exist, or a value of the wrong kind.
    """
    if str(source) in recipe_names(folder):
        text = (folder / f"{source}.toml").read_text(encoding="utf-8")
    elif Path(source).suffix == ".toml" and Path(source).is_file():
        text = Path(source).read_text(encoding="utf-8", errors="replace")
    else:
        raise RecipeError(
            f"there is no recipe {str(source)!r}",
            remedy=f"a .toml file, or one of {', '.join(recipe_names(folder))}",
        )
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source} is not valid TOML: {error}") from error
    _replace(values, changes)
    return build_settings(kind, values, where=str(source))


def read_changes(words: Iterable[str]) -> dict[str, Any]:
    """Settings from the command line, for `read_settings`.

    Args:
        words: such as ``epochs=5``, ``network=alexnet`` or ``augmentation.blur=0.2``: a value is TOML, or else text; of
            two for one setting the later counts.

    Raises:
        RecipeError: one is not NAME=VALUE.
    """
    changes: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        names = name.strip().split(".")
        if not (equals and all(names)):
            raise RecipeError(f"--set {word!r} is not NAME=VALUE", remedy="such as epochs=5")
        change = _value(text.strip())
        for part in reversed(names):
            change = {part: change}
        _replace(changes, change)
    return changes


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return read["value"] if len(read) == 1 else text


def _replace(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            _replace(values[key], value)
        elif value is not None:
            values[key] = value


def build_settings(kind: type[T], values: dict[str, Any], where: str) -> T:
    """Build a dataclass of settings, and the dataclasses within it, from plain values.

    Raises:
        RecipeError: a setting that does not exist, or a value of the wrong kind.
    """
    hints = get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            known = ", ".join(f.name for f in fields(kind))  # type: ignore[arg-type]
            raise RecipeError(f"{where}: unknown setting {key!r}", remedy=f"known: {known}")
        wanted = hints[key]
        choices = get_args(wanted)
        if isinstance(wanted, type) and is_dataclass(wanted) and isinstance(value, dict):
            arguments[key] = build_settings(wanted, value, f"{where}.{key}")
        elif choices and value in choices:
            arguments[key] = value
        elif wanted is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            arguments[key] = float(value)
        elif not choices and type(value) is wanted:
            arguments[key] = value
        else:
            expected = ", ".join(map(repr, choices)) or getattr(wanted, "__name__", str(wanted))
            raise RecipeError(f"{where}: {key} = {value!r} is not {expected}")
    try:
        return kind(**arguments)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error
