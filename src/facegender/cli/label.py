"""``facegender label``: label faces of a collection by eye, on a local page."""

from __future__ import annotations

import re
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from facegender.cli.root import app, require, say
from facegender.errors import InputError
from facegender.wording import counted


@app.command()
def label(
    results: Annotated[list[Path], typer.Argument(help="Files that facegender predict wrote, of photos.")],
    photos: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE",
            help="The folder or archive that facegender predict was given, if the photos have moved since; repeatable.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The labels; what the file holds is kept.  [default: labels.csv, or labels.NAME.csv with "
            "--labeller, beside the results]",
        ),
    ] = None,
    labeller: Annotated[
        str,
        typer.Option(metavar="NAME", help="Who labels. Two people label the same faces, each in a separate file."),
    ] = "",
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="Faces to label; more can be added later.")
    ] = 200,
    review: Annotated[
        bool, typer.Option("--review", help="Go through the faces whose answer is uncertain, all of them.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw; the same for all labellers.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On this machine only; 0 takes a free one.")] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Label faces by eye on a local page, without seeing the answers, so that a survey knows how the classifier errs.

    Nothing leaves this machine. Every answer is saved at once; end with Ctrl-C and start again to continue. The letters
    F, M, U, Z and P work as keys; a switch on the page turns them off. Then:
    facegender survey RESULTS --labelled labels.csv
    """
    require("survey", "pandas", "scipy")
    from facegender.label.draw import draw
    from facegender.label.pictures import Pictures
    from facegender.label.session import LabellingSession, all_labels
    from facegender.label.site import LabellingApp, serving
    from facegender.survey.results import read_results

    if not re.fullmatch(r"[\w-]*", labeller):
        raise typer.BadParameter(f"a name may have letters, digits, _ and -, not {labeller!r}", param_hint="--labeller")
    path = output or results[0].with_name(f"labels.{labeller}.csv" if labeller else "labels.csv")
    collection = read_results(results)
    count = None if review else number
    session = LabellingSession(collection, draw(collection, seed), path, labeller=labeller, count=count, review=review)
    names = (session.item(place).photo for place in range(len(session)))
    labelling = LabellingApp(session, Pictures.find(names, results, photos or ()), review=review)
    try:
        with serving(labelling, port) as url:
            say(f"label {counted(len(session), 'face')} at {url} (on this machine only); end with Ctrl-C")
            say(f"labels are saved in {session.path}")
            if open_:
                webbrowser.open(url)
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    except OSError as error:
        raise InputError(f"cannot listen on port {port}: {error.strerror}") from error
    have = "has" if len(session) == 1 else "have"
    say(f"{session.done:,} of {counted(len(session), 'face')} {have} an answer, in {session.path}")
    if (labels := all_labels(session)) is not None and (agreed := labels.agreement) is not None:
        kappa = "" if agreed.kappa is None else f", Cohen's kappa {agreed.kappa:.2f}"
        say(f"the labellers agree on {100 * agreed.share:.1f} % of {counted(agreed.faces, 'face')}{kappa}")
