"""Options of the verbs that train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StoreArgument = Annotated[Path, typer.Argument(help="A prepared store (see: facegender prepare).")]
RecipeOption = Annotated[
    str, typer.Option("--recipe", "-r", help="paper, tuned, flagship, paper-baseline, tuned-baseline, or a TOML file.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Another value for a setting of the recipe, such as `seed=7` or `precision=32-true`; repeatable.",
    ),
]
AcceleratorOption = Annotated[str, typer.Option(help="auto, cpu, cuda, ... (Lightning Fabric).")]
DevicesOption = Annotated[int, typer.Option(help="Processes or accelerators.", min=1)]
