"""``facegender predict``: the faces in photos, however many and wherever they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from facegender.cli.made import BESIDE, Made
from facegender.cli.photos import Destination, plan_photos, predict_photos
from facegender.cli.predict_options import (
    TABLE,
    Detector,
    check_folders,
    check_server_options,
    check_video_options,
    engine_on,
    file_format,
    is_url,
    network_of,
    videos_in,
    with_detector,
)
from facegender.cli.root import (
    app,
    before_writing,
    check_exclusive,
    command_line,
    given,
    say,
    usage,
    worker_count,
)
from facegender.cli.video import predict_videos
from facegender.faces.decode import DEFAULT_MAX_PIXELS
from facegender.formats.registry import formats
from facegender.inference.detector import Orientations
from facegender.inference.options import Options
from facegender.inference.run import Rows, collect
from facegender.inference.workers import TIME_LIMIT
from facegender.video.run import VideoFiles
from facegender.weights import DEFAULT
from facegender.weights.terms import first_use


@app.command()
def predict(
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Photos, folders, `'globs/**/*.jpg'`, lists (.txt, .csv or .parquet with a column `path`), tar "
            "and zip archives, URLs, or `-` for a photo or a list on standard input; or videos.",
        ),
    ],
    *,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Also search subfolders.")] = False,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar=f"<{'|'.join([TABLE, *(known.name for known in formats())])}>",
            help="Output format. Default: from the suffix of --output, else a table.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here instead of standard output.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="Continue what an earlier run of the same command left in --output, or replace it.",
        ),
    ] = True,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Drop from --output the records of photos that are gone since an earlier run."),
    ] = False,
    rows: Annotated[
        Rows,
        typer.Option(
            help="One row per face, or one per photo with the number of faces for each answer; likewise the objects of "
            "JSON Lines."
        ),
    ] = "face",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say how many photos would be analysed and estimate the time from a few of them. Nothing is written.",
        ),
    ] = False,
    annotate: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save each photo with its faces and answers drawn in.")
    ] = None,
    crops: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save each face as it is classified, 64x64 pixels, aligned.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photos: write a page with all faces, to look through them.")
    ] = None,
    xmp: Annotated[
        str | None,
        typer.Option(
            metavar="beside|DIR",
            help="Photos: write the answers as XMP sidecars for picture software, PHOTO.xmp, beside each photo or "
            "in a folder. Sidecars by other software are left alone.",
        ),
    ] = None,
    fps: Annotated[
        float,
        typer.Option(
            min=0.0, max=1000.0, metavar="RATE", help="Frames to analyse per second of video; 0 for every frame."
        ),
    ] = 2.0,
    timeline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Videos: write every sighting of a face, as CSV or Parquet.")
    ] = None,
    subtitles: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Videos: write the answers as ASS subtitles, with boxes, and as WebVTT."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Analyse N photos drawn at random; each one's `weight` says for how many it stands.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of the random draw for --sample.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Analyse only the first N photos or videos that are listed.")
    ] = None,
    workers: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Processes of one thread each. `auto`: one for each core; up to 64 photos get a single one that uses "
            "all cores.",
        ),
    ] = "auto",
    time_limit: Annotated[
        float,
        typer.Option(min=0.1, max=86_400.0, metavar="SECONDS", help="Time for one photo, after which it is an error."),
    ] = TIME_LIMIT,
    on: Annotated[
        str,
        typer.Option(
            metavar="here|ray[:ADDRESS]|URL",
            help="Where photos are analysed: on this machine; on a Ray cluster, a new one on this machine unless its "
            "address is given; or by a server (`facegender serve`), which has its own detector and limits. A server's "
            "token is taken from the environment variable FACEGENDER_TOKEN.",
        ),
    ] = "here",
    model: Annotated[
        str, typer.Option(metavar="NAME", help="A shipped network, or the path of an .onnx file.")
    ] = DEFAULT,
    device: Annotated[Literal["cpu", "cuda", "auto"], typer.Option(help="Where the networks run.")] = "cpu",
    detector: Annotated[Detector, typer.Option(help="The face detector; `yunet` needs --detector-model.")] = "builtin",
    detector_model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The detector's .onnx file, instead of the package's.")
    ] = None,
    min_face: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="PIXELS",
            help="Side of the smallest face to look for in the full photo; smaller takes longer, and photos are "
            "enlarged at most twice. Default: 11 in photos of up to 850 pixels on the longest side, 50 in one of "
            "4000.",
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1.0,
            metavar="S",
            help="Leave out faces with a lower score of the detector. Default: the detector's own value.",
        ),
    ] = None,
    orientations: Annotated[
        Orientations,
        typer.Option(
            help="Orientations in which faces are searched in photos: upright; auto (all four if no confident face is "
            "found upright); all (four times as long)."
        ),
    ] = "auto",
    max_error: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.5,
            metavar="RATE",
            help="Accepted error: at most this share of the answers other than `uncertain` is wrong, on faces like "
            "the validation faces. Default: 0.01.",
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            max=1.0,
            metavar="P",
            help="Instead of --max-error: answers that are less probable than this are `uncertain`.",
        ),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, metavar="N", help="Do not read photos with more pixels.")
    ] = DEFAULT_MAX_PIXELS,
) -> None:
    """Find the faces in photos and estimate how each is likely to be *perceived*.

    A run that writes to --output can be stopped at any time, even killed: the same command continues it.

    Exit status: 0 all photos were read; 1 nothing could be done; 2 wrong usage; 3 some photos could not
    be read (each has its error in the output); 130 interrupted.
    """
    check_exclusive(ctx, "sample", "limit")
    check_exclusive(ctx, "max_error", "min_confidence")
    check_folders(
        annotate=annotate, crops=crops, report=report, xmp=None if xmp == BESIDE else xmp, subtitles=subtitles
    )
    if is_url(on):
        check_server_options(ctx, paths)
    if detector == "yunet" and detector_model is None:
        raise typer.BadParameter("yunet needs --detector-model FILE", param_hint="--detector")
    engine = engine_on(on, worker_count(workers), time_limit)
    if prune and output is None:
        raise typer.BadParameter("it needs --output FILE", param_hint="--prune")
    destination = Destination(file_format(format_, output), output, resume, command_line(), prune, rows)
    with usage():
        options = Options(
            model=model if given(ctx, "model") else None,
            device=device,
            max_pixels=max_pixels,
            max_error=max_error,
            min_confidence=min_confidence,
        )
    options = with_detector(options, detector, detector_model, min_face, min_score, orientations)
    network = network_of(on, engine, options)
    if network is not None and network.name == DEFAULT and not dry_run and (terms := first_use(network)):
        say(terms)
    if every := videos_in(paths, recursive):
        videos = every[:limit]
        check_video_options(ctx, timeline, output)
        files = VideoFiles(timeline, subtitles, annotate)
        limited = None if limit is None else len(videos) < len(every)
        about = fps or None, worker_count(workers), limited
        raise typer.Exit(predict_videos(videos, options, destination, files, network, *about))
    if timeline or subtitles:
        raise typer.BadParameter("these are for videos", param_hint="--timeline, --subtitles")
    if on.startswith("ray") and (annotate or crops):
        raise typer.BadParameter("a Ray cluster makes no pictures", param_hint="--annotate, --crops")
    with before_writing():
        photos = collect(paths, recursive=recursive, draw=sample, seed=seed, limit=limit)
    made = Made(annotate, crops, report, xmp)
    if dry_run:
        plan_photos(photos, options, engine, destination, made)
        return
    raise typer.Exit(predict_photos(photos, options, engine, destination, made, network))
