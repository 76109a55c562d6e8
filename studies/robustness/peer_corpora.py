"""Test images of image libraries through `facegender predict`: each has to end as an answer or a true refusal.

    python studies/robustness/peer_corpora.py pillow=PILLOW/Tests/images sharp=SHARP/test/fixtures

A row a corpus: what became of its files. `failed`, `crashed` and `timeout` are errors that no photo should lead to;
`tracebacks` counts them in what the command says. A refusal is true if Pillow cannot read the file either, or if the
photo is above the pixel limit: the others are named and counted as `refused_wrongly`. `untold` are files that are
neither in a record nor counted as passed over. Exit status 1 if any of these is not 0.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import PIL.Image

from facegender.faces.decode import DEFAULT_MAX_PIXELS
from facegender.faces.quiet import quiet
from facegender.lab.study import study_parser
from facegender.machine import machine
from facegender.tables import write_csv

UNFORESEEN = ("failed", "crashed", "timeout")


def main() -> int:
    parser = study_parser(__doc__, "robustness/peer_corpora.csv")
    parser.add_argument("corpora", nargs="+", metavar="NAME=FOLDER")
    arguments = parser.parse_args()
    named = [corpus.partition("=")[::2] for corpus in arguments.corpora]
    command = shlex.join(
        ["python", "studies/robustness/peer_corpora.py", *(f"{name}={name.upper()}" for name, _ in named)]
    )
    rows = [run(name, Path(folder)) | {"command": command, "machine": machine()} for name, folder in named]
    write_csv(arguments.output, rows)
    wrong = ("failed", "crashed", "timeout", "tracebacks", "refused_wrongly", "untold")
    return int(any(row[column] for row in rows for column in wrong))


def run(name: str, folder: Path) -> dict[str, object]:
    """What became of the files of one corpus."""
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary, "faces.jsonl")
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "facegender", "predict", str(folder), "--recursive", "--output", str(output)],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - started
        records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    errors = Counter(record["error"]["kind"] for record in records if record.get("error"))
    passed_over = re.search(r"^(\d[\d,]*) files? passed over", done.stderr, re.MULTILINE)
    number = int(passed_over[1].replace(",", "")) if passed_over else 0
    files = sum(path.is_file() for path in folder.rglob("*"))
    wrongly = [record["path"] for record in records if record.get("error") and not is_true(record)]
    for path in wrongly:
        print(f"refused, though Pillow reads it: {path}", file=sys.stderr)
    return {
        "corpus": name,
        "files": files,
        "photos": len(records),
        "passed_over": number,
        "untold": files - len(records) - number,
        "with_faces": sum(bool(record["faces"]) for record in records if not record.get("error")),
        "refused": sum(count for kind, count in errors.items() if kind not in UNFORESEEN),
        "refused_wrongly": len(wrongly),
        **{kind: errors[kind] for kind in UNFORESEEN},
        "kinds": "; ".join(f"{kind} {count}" for kind, count in errors.most_common()),
        "tracebacks": (done.stdout + done.stderr).count("Traceback (most recent call last)"),
        "exit_status": done.returncode,
        "seconds": round(seconds, 1),
    }


def is_true(record: dict[str, object]) -> bool:
    """Whether a refusal is right: Pillow cannot read the file either, or it has more pixels than are allowed."""
    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")
        try:
            with PIL.Image.open(str(record["path"])) as image:
                if image.width * image.height <= DEFAULT_MAX_PIXELS:
                    image.load()
                    return False
                return record["error"]["kind"] == "pixel_limit"  # type: ignore[index]
        except Exception:  # whatever a plugin raises
            return True


if __name__ == "__main__":
    sys.exit(main())
