"""What ``facegender predict`` makes of photos beside the records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facegender.cli.root import say
from facegender.inference.finished import Finished
from facegender.inference.options import Options
from facegender.inference.pictures import check_folder
from facegender.inference.run import Collection
from facegender.inference.sidecars import write_sidecars
from facegender.progress import track
from facegender.sheet import check_report, write_report
from facegender.weights.terms import Network, terms_line
from facegender.wording import counted

#: The value of ``--xmp`` for sidecars beside the photos; ``./beside`` is a folder of that name.
BESIDE = "beside"


@dataclass(frozen=True)
class Made:
    """What is wanted; None: not that.

    Attributes:
        annotate: folder for copies of the photos with their faces and answers drawn in.
        crops: folder for the aligned crops of the faces.
        report: folder for a page with all faces.
        xmp: folder for sidecars; `BESIDE` for each beside its photo.
    """

    annotate: Path | None = None
    crops: Path | None = None
    report: Path | None = None
    xmp: str | None = None

    @property
    def needs_records(self) -> bool:
        """Whether something is made of the records when the run has ended."""
        return self.report is not None or self.xmp is not None

    @property
    def _sidecars(self) -> Path | None:
        """The folder for sidecars; None where they are wanted beside the photos, or not at all."""
        return None if self.xmp in (None, BESIDE) else Path(self.xmp)

    def check(self) -> None:
        """OutputError, before a run, where what is made when it has ended could not be written."""
        if self.report is not None:
            check_report(self.report)
        if self._sidecars is not None:
            check_folder(self._sidecars)

    def finish(
        self,
        finished: Finished,
        collection: Collection,
        options: Options,
        network: Network | None,
        model: Callable[[], str],
    ) -> None:
        """Make what is made of the records when the run has ended. `model` gives the name of the network."""
        if self.report is not None:
            pairs = track(finished.pairs(collection.photos), "report", collection.total)
            terms = "" if network is None else terms_line(network)
            say(f"report: {write_report(self.report, pairs, terms=terms, max_pixels=options.max_pixels)}")
        if self.xmp is not None:
            pairs = track(finished.pairs(collection.photos), "sidecars", collection.total)
            counts = write_sidecars(pairs, self._sidecars, model())
            say(f"{counted(counts.written, 'sidecar')} written, {counts.current:,} up to date")
            if counts.kept:
                left = f"{counted(counts.kept, 'sidecar')} left alone, not written by facegender or changed since"
                say(f"{left}, the first is {counts.first_kept}")
            if counts.placeless:
                placeless = f"{counted(counts.placeless, 'photo')} in archives, at URLs or with a long name"
                say(f"no sidecar for {placeless}: --xmp DIR writes them into a folder")
            if counts.unread:
                say(f"no sidecar for {counted(counts.unread, 'photo')} that could not be read again")
