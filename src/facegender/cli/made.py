"""What ``facegender predict`` makes of photos beside the records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facegender.cli.root import say
from facegender.inference.finished import Finished
from facegender.inference.options import Options
from facegender.inference.run import Collection
from facegender.progress import track
from facegender.sheet import check_report, write_report
from facegender.weights import Card
from facegender.weights.terms import terms_line


@dataclass(frozen=True)
class Made:
    """What is wanted; None: not that.

    Attributes:
        annotate: folder for copies of the photos with their faces and answers drawn in.
        crops: folder for the aligned crops of the faces.
        report: folder for a page with all faces.
    """

    annotate: Path | None = None
    crops: Path | None = None
    report: Path | None = None

    @property
    def needs_records(self) -> bool:
        """Whether something is made of the records when the run has ended."""
        return self.report is not None

    def check(self) -> None:
        """OutputError, before a run, where what is made when it has ended could not be written."""
        if self.report is not None:
            check_report(self.report)

    def finish(self, finished: Finished, collection: Collection, options: Options, card: Card | None) -> None:
        """Make what is made of the records when the run has ended."""
        if self.report is not None:
            pairs = track(finished.pairs(collection.photos), "report", collection.total)
            terms = "" if card is None else terms_line(card)
            say(f"report: {write_report(self.report, pairs, terms=terms, max_pixels=options.max_pixels)}")
