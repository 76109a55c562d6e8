"""``facegender serve``: the page and the service for programs."""

from __future__ import annotations

import os
import webbrowser
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from facegender.cli.root import app, check_exclusive, require, say, usage, worker_count
from facegender.errors import InputError
from facegender.machine import usable_cores
from facegender.server.settings import ServerSettings
from facegender.weights import DEFAULT, load_card
from facegender.weights.terms import first_use
from facegender.wire import Limits

#: A secret is better in the environment or a file than among the arguments, which every user of the machine can list.
TOKEN_VARIABLE = "FACEGENDER_TOKEN"


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on. All but loopback addresses need a token.")] = (
        ServerSettings.host
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = ServerSettings.port,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A shipped network, or the path of an .onnx file; repeatable, and the first is the one that "
            f"answers unless a request names another.  [default: {DEFAULT}]",
        ),
    ] = None,
    detector_model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The detector's .onnx file, instead of the package's.")
    ] = None,
    workers: Annotated[
        str, typer.Option(metavar="N", help="Processes, of one thread each. `auto`: one for each core.")
    ] = "auto",
    max_bytes: Annotated[int, typer.Option(metavar="N", help="Largest request body, in bytes.")] = Limits.max_bytes,
    max_photos: Annotated[int, typer.Option(metavar="N", help="Most photos in one request.")] = Limits.max_photos,
    max_pixels: Annotated[int, typer.Option(metavar="N", help="Most pixels of one photo.")] = Limits.max_pixels,
    max_queue: Annotated[
        int, typer.Option(metavar="N", help="Most photos that wait, of all requests.")
    ] = Limits.max_queue,
    max_wait: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Refuse requests whose expected wait is longer."),
    ] = Limits.max_wait,
    max_memory: Annotated[
        int, typer.Option(metavar="N", help="Most bytes of request bodies held at one time.")
    ] = Limits.max_memory,
    body_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time in which a request body must arrive.")
    ] = Limits.body_timeout,
    time_limit: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Time for a batch of photos; then as long for them one by one."),
    ] = Limits.time_limit,
    grace: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time to finish accepted requests after a signal to end.")
    ] = ServerSettings.grace,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"File with the token that requests must send. Default: the environment variable {TOKEN_VARIABLE}.",
        ),
    ] = None,
    no_token: Annotated[
        bool,
        typer.Option(
            "--no-token",
            help="Open access: no request needs a token, not even from other machines; the variable is ignored.",
        ),
    ] = False,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A web page's origin that may use the service; repeatable."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Another host name under which the service is reached, such as a proxy's; repeatable."
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = False,
) -> None:
    """Serve the page, and the service for programs, until a signal ends it.

    Exit status: 0 all accepted requests were answered; 1 the server could not start, or accepted requests were not
    finished within --grace.
    """
    require("server", "fastapi", "uvicorn", "python-multipart", "prometheus-client")
    from facegender.server.run import serve as run

    check_exclusive(ctx, "token_file", "no_token")
    with usage():
        settings = ServerSettings(
            models=tuple(model or [DEFAULT]),
            detector_model=None if detector_model is None else str(detector_model),
            workers=worker_count(workers) or usable_cores(),
            limits=Limits(**{limit.name: ctx.params[limit.name] for limit in fields(Limits)}),  # its options' names
            grace=grace,
            host=host,
            port=port,
            token=None if no_token else _token(token_file),
            open_to_all=no_token,
            origins=tuple(cors or ()),
            allowed_hosts=tuple(allow_host or ()),
        )

    if DEFAULT in settings.models and (terms := first_use(load_card(DEFAULT))):
        say(terms)

    def ready(url: str) -> None:
        say(f"serving {url} (the page), {url}openapi.json (for programs); end with Ctrl-C")
        if open_:
            webbrowser.open(url)

    if not run(settings, ready):
        say("not all that was accepted could be finished within the grace")
        raise typer.Exit(1)


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the token file {file}: {error}") from error
