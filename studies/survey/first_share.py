"""From a machine with Python and pip alone to a share that can be published, step by step, with the time of each.

    python studies/survey/first_share.py LFW.tar LISTS

The commands of docs/archives.md, in a new environment, on 300 press photos of one face each, half of them of women. A
person would need some ten minutes to label 200 faces; here the answers that are known are given to the page of
`facegender label` over HTTP, one after another, so that step has the time of the machine alone. A row a step; two also
have the share of women, its interval, and the share that is true.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from facegender.faces.decode import decode
from facegender.faces.types import Picture
from facegender.inference.detector import OnnxDetector
from facegender.lab.datasets.images import read_images
from facegender.lab.datasets.lfw import list_lfw
from facegender.lab.study import study_parser, write_results

_ROOT = Path(__file__).parents[2]
_PHOTOS, _LABELS = 300, 200


def main() -> None:
    parser = study_parser(__doc__, "survey/first_share.csv")
    parser.add_argument("photos", type=Path, help="LFW as a tar archive")
    parser.add_argument("lists", type=Path, help="folder of male_names.txt and female_names.txt")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        truth = unpack(arguments.photos, arguments.lists, here / "photos")
        rows = walk(here, truth)
    write_results(arguments.output, rows, columns=("step", "seconds", "women", "low", "high", "true"))


def unpack(archive: Path, lists: Path, folder: Path) -> dict[str, int]:
    """Photos drawn at random, half of them of women, in which one face is found: the label of each file name."""
    folder.mkdir()
    entries = list_lfw(archive, lists).entries
    random.Random(2020).shuffle(entries)
    labels = {str(entry.path): entry.label for entry in entries}
    detector, truth = OnnxDetector(), dict[str, int]()
    photos = dict(read_images(archive, labels, key=str))
    for path, label in labels.items():
        if list(truth.values()).count(label) == _PHOTOS // 2:
            continue
        (faces,) = detector.detect([Picture.of(decode(photos[path]))])
        if len(faces) == 1:
            truth[Path(path).name] = label
            (folder / Path(path).name).write_bytes(photos[path])
    return truth


def walk(here: Path, truth: dict[str, int]) -> list[dict[str, object]]:
    """The steps, each with its seconds."""
    environment, command = here / "environment", str(here / "environment" / "bin" / "facegender")
    pip, survey = [str(environment / "bin" / "pip")], [command, "survey", "faces.jsonl"]
    steps: list[tuple[str, Sequence[str]]] = [
        ("make an environment", [sys.executable, "-m", "venv", str(environment)]),
        ("pip install '.[survey]'", [*pip, "install", "-q", f"{_ROOT}[survey]", "-c", str(_ROOT / "constraints.txt")]),
        ("facegender predict", [command, "predict", "photos", "--recursive", "--output", "faces.jsonl"]),
        ("facegender survey", [*survey, "--output", "first"]),
        ("facegender label", [command, "label", "faces.jsonl", "--number", str(_LABELS)]),
        ("facegender survey --labelled", [*survey, "--labelled", "labels.csv", "--output", "survey"]),
    ]
    women = sum(label == 0 for label in truth.values()) / len(truth)
    rows = []
    for name, words in steps:
        started = time.perf_counter()
        if name == "facegender label":
            label(words, here, truth)
        else:
            subprocess.run(words, cwd=here, check=True, stdout=subprocess.DEVNULL)
        row: dict[str, object] = {"step": name, "seconds": round(time.perf_counter() - started, 1)}
        print(f"{name}: {row['seconds']} s", flush=True)
        output = {"facegender survey": "first", "facegender survey --labelled": "survey"}.get(name)
        if output:
            everyone = pd.read_csv(here / output / "survey.csv").iloc[0]
            shares = {"women": "women", "low": "women_low", "high": "women_high"}
            row |= {key: round(float(everyone[column]), 3) for key, column in shares.items()}
            row["true"] = round(women, 3)
        rows.append(row)
    return rows


def label(words: Sequence[str], here: Path, truth: dict[str, int]) -> None:
    """Answer on the page of `facegender label` the label of each face."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        words, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+/\S+/", line) for line in process.stdout)))
        url = urlsplit(found[0])
        connection = http.client.HTTPConnection("127.0.0.1", url.port or 80)

        def ask(path: str, said: dict[str, str] | None = None) -> dict[str, object]:
            connection.request("POST" if said else "GET", url.path + path, json.dumps(said) if said else None)
            answer: dict[str, object] = json.loads(connection.getresponse().read())
            return answer

        for place in range(int(str(ask("state")["count"]))):
            photo = Path(str(ask(f"item/{place}")["photo"])).name
            ask(f"item/{place}", {"answer": ("female", "male")[truth[photo]]})
        process.send_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
