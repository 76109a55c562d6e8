"""One progress bar for all verbs: on standard error, only where a person watches, only when there is a wait."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")

#: Shorter waits need no bar.
SHOW_AFTER_SECONDS = 2.0


class Bar:
    """Counts steps; appears once the work has lasted a while, and goes when it is done.

    Args:
        total: how many steps there will be, where that is known.
        wanted: False keeps it away, for instance where records are printed on the same terminal.
    """

    def __init__(self, description: str, total: int | None = None, *, wanted: bool = True) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(description, total=total, status="")
        self._wanted = wanted and console.is_terminal
        self._shown = False
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def step(self, steps: int = 1, *, total: int | None = None, status: str = "") -> None:
        """Count `steps` more; `total` corrects the total, `status` stands at the end of the line."""
        self._progress.update(self._task, advance=steps, total=total, status=status)
        if self._wanted and not self._shown and time.monotonic() - self._began > SHOW_AFTER_SECONDS:
            self._progress.start()
            self._shown = True

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._progress.stop()


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items while a bar counts them."""
    with Bar(description, total) as bar:
        for item in items:
            yield item
            bar.step()
