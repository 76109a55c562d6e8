"""Photos of random names through every format and back: each has one record, also after runs that were taken up.

python studies/robustness/names.py --count 2000 --seed 1

COUNT small photos get names of 1 to 255 bytes: of any bytes, of characters of all Unicode planes, of control characters
and what CSV and terminals give a meaning to. For each format, `facegender predict` reads their names from standard
input, separated by NUL: first half of them, then all, then all again, with annotated copies and crops. The records are
read as a run that is taken up reads them, and as `facegender survey` does.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from facegender.formats.records import FACES, printable
from facegender.formats.registry import by_suffix, formats
from facegender.lab.study import study_parser, write_results
from facegender.survey.results import read_results

#: Of a name in bytes.
LIMIT = 255
_MEANT = "\t\n\r\x1b\x07\x7f\x85\x9b\u2028\u202e\",;|'\\#*?[]{}%~ -=@+"


def random_name(generator: random.Random) -> bytes:
    """A name that a file can have."""
    size = generator.choice((1, 2, 3, 8, 40, LIMIT, generator.randint(1, LIMIT)))
    kind = generator.randrange(4)
    if kind == 0:
        name = generator.randbytes(size)
    elif kind == 1:
        name = "".join(map(chr, generator.choices(range(1, 32), k=size))).encode()
    elif kind == 2:
        name = "".join(generator.choices(_MEANT, k=size)).encode()
    else:
        planes = (
            generator.randrange(plane << 16, (plane << 16) + 0xFFFE) for plane in generator.choices(range(17), k=size)
        )
        name = "".join(chr(code) for code in planes if not 0xD800 <= code < 0xE000).encode()
    return name.translate(None, b"\0/")[:LIMIT]


def random_names(count: int, seed: int) -> list[bytes]:
    """This many names, no two alike, and two that only differ in how they are written."""
    generator = random.Random(seed)
    names = dict.fromkeys([b"\xff", rb"\udcff", rb"\x5cudcff"])
    while len(names) < count:
        name = random_name(generator)
        if name.strip() and name not in (b".", b".."):
            names[name] = None
    return list(names)


def predict(folder: Path, names: Sequence[bytes], output: Path, *options: object) -> None:
    """Run the command in the folder of the photos, with their names on standard input."""
    command = [sys.executable, "-m", "facegender", "predict", "-", "-o", str(output), *map(str, options)]
    done = subprocess.run(command, input=b"\0".join(names), cwd=folder, capture_output=True, check=False)
    if done.returncode or b"Traceback" in done.stderr:
        raise RuntimeError(done.stderr.decode(errors="replace"))


def main() -> None:
    parser = study_parser(__doc__, "robustness/names.csv")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    names = random_names(arguments.count, arguments.seed)
    wanted = Counter(map(os.fsdecode, names))
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "photos")
        folder.mkdir()
        photo = Path(place, "photo.png")
        PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(photo)
        for number, name in enumerate(names):  # different contents, so that none is a copy
            with open(os.path.join(os.fsencode(folder), name), "wb") as file:  # noqa: PTH118, PTH123 (bytes)
                file.write(photo.read_bytes() + number.to_bytes(4, "big"))
        for format_ in formats():
            output, drawn = Path(place, f"out{format_.suffixes[0]}"), Path(place, format_.name)
            predict(folder, names[::2], output)
            predict(folder, names, output)
            predict(folder, names, output, "--annotate", drawn, "--crops", drawn)
            found = Counter(record["path"] for record in by_suffix(output).records(output, FACES))
            surveyed = Counter(read_results([output]).photos["path"])
            printed = Counter(printable(name) for name in wanted.elements())
            rows.append(
                {
                    "format": format_.name,
                    "names": len(names),
                    "records": found.total(),
                    "lost": (wanted - found).total(),
                    "doubled": (found - wanted).total(),
                    "surveyed": surveyed.total(),
                    "lost_in_survey": (printed - surveyed).total(),
                    "doubled_in_survey": (surveyed - printed).total(),
                    "annotated": sum(1 for path in drawn.iterdir()),
                }
            )
            print(rows[-1])
    write_results(arguments.output, rows, "pyarrow", "pandas")


if __name__ == "__main__":
    main()
