"""Three nights of one command over a folder that changes by day, and what the file says each morning.

    python studies/survey/nightly.py LFW.tar

2,000 photos are analysed. Each day after that 50 are replaced by others under their names, 30 are deleted and 20 moved
into another folder; each night `facegender predict FOLDER --recursive --output faces.jsonl --prune` runs again. A row a
night: photos there and records; `stale` are records of photos that are gone, `doubled` records beyond the first of a
path, `missing` photos without one, `differing` those that say something else than a new file of the same folder does.
Exit status 1 if any of these is not 0.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from facegender.lab.study import study_parser, write_results
from facegender.progress import track

_PHOTOS, _NIGHTS = 2000, 3
_CHANGED, _DELETED, _MOVED = 50, 30, 20
_WRONG = ("stale", "doubled", "missing", "differing")


def main() -> int:
    parser = study_parser(__doc__, "survey/nightly.csv")
    parser.add_argument("photos", type=Path, help="tar archive of JPEGs")
    arguments = parser.parse_args()
    generator = random.Random(2020)
    with tempfile.TemporaryDirectory() as temporary:
        folder, output = Path(temporary, "photos"), Path(temporary, "faces.jsonl")
        spare = unpack(arguments.photos, folder, _PHOTOS, _CHANGED * (_NIGHTS - 1))
        rows = []
        for night in range(1, _NIGHTS + 1):
            if night > 1:
                day(folder, spare, generator)
            started = time.perf_counter()
            said = predict(folder, output)
            seconds = time.perf_counter() - started
            again = Path(temporary, f"again-{night}.jsonl")
            predict(folder, again)
            rows.append({"night": night, **compared(folder, output, again), "seconds": round(seconds, 1), "said": said})
    write_results(arguments.output, rows)
    return int(any(row[column] for row in rows for column in _WRONG))


def unpack(archive: Path, folder: Path, count: int, spare: int) -> list[bytes]:
    """Every sixth photo into a folder, until there are enough; the bytes of others, to replace some of them with."""
    folder.mkdir()
    left: list[bytes] = []
    with tarfile.open(archive) as tar:
        members = [member for member in tar if member.isfile() and member.name.endswith(".jpg")][::6]
        for number, member in enumerate(track(members[: count + spare], "unpacking")):
            file = tar.extractfile(member)
            assert file is not None
            if number < count:
                (folder / Path(member.name).name).write_bytes(file.read())
            else:
                left.append(file.read())
    return left


def day(folder: Path, spare: list[bytes], generator: random.Random) -> None:
    """What people do to a folder."""
    paths = sorted(path for path in folder.rglob("*.jpg"))
    some = generator.sample(paths, _CHANGED + _DELETED + _MOVED)
    for path in some[:_CHANGED]:
        path.write_bytes(spare.pop())
    for path in some[_CHANGED : _CHANGED + _DELETED]:
        path.unlink()
    moved = folder / "moved"
    moved.mkdir(exist_ok=True)
    for path in some[_CHANGED + _DELETED :]:
        path.rename(moved / path.name)


def predict(folder: Path, output: Path) -> str:
    """Run the command; its line that says how many photos it analysed."""
    arguments = ["predict", str(folder), "--recursive", "--output", str(output), "--prune"]
    done = subprocess.run([sys.executable, "-m", "facegender", *arguments], capture_output=True, text=True, check=True)
    return next((line for line in done.stderr.splitlines() if " photos in " in line), "")


def compared(folder: Path, output: Path, again: Path) -> dict[str, object]:
    """The records of a run that went on, against the folder and against a new run."""
    there = {str(path) for path in folder.rglob("*.jpg")}
    records, fresh = read(output), read(again)
    paths = [str(record["path"]) for record in records]
    by_path = {str(record["path"]): answer(record) for record in records}
    return {
        "photos": len(there),
        "records": len(records),
        "stale": len(set(paths) - there),
        "doubled": len(paths) - len(set(paths)),
        "missing": len(there - set(paths)),
        "differing": sum(by_path.get(str(record["path"])) != answer(record) for record in fresh),
    }


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answer(record: dict[str, object]) -> object:
    """What a record says of the photo, without how long it took."""
    return {key: value for key, value in record.items() if key != "seconds"}


if __name__ == "__main__":
    sys.exit(main())
