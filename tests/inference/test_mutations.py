"""Some of the damaged images of the study: each becomes an answer or an error."""

import functools
import importlib
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import PIL.Image
import pytest

from facegender.faces.types import PhotoResult

pytest.importorskip("pillow_heif")

COUNT = 616


@pytest.fixture(scope="module")
def study():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "studies" / "robustness")  # for its processes too
        yield importlib.import_module("mutations")
        for name in ("mutations", "damage"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def files(study, astronaut):
    return study.seeds(PIL.Image.fromarray(astronaut))


def test_each_becomes_an_answer_or_an_error(study, files):
    analyzer = study.make_analyzer()
    for kind, some in files.items():
        assert [study.outcome(analyzer, data) for data in some] == ["answers"] * len(some), kind
    counts = Counter()
    for number in range(COUNT):
        kind, data = study.mutated(files, 7, number)
        said = study.outcome(analyzer, data)
        assert not said.startswith("exceptions"), f"{number} ({kind}): {said}"
        counts[said] += 1
    assert set(counts) == {"answers", "truncated", "not_an_image", "pixel_limit"}
    assert counts["answers"] > COUNT / 10


def test_a_number_gives_the_same_image_again(study, files):
    some = [study.mutated(files, 7, number) for number in range(COUNT)]
    assert [kind for kind, _ in some[: len(files)]] == list(files)
    assert some == [study.mutated(files, 7, number) for number in range(COUNT)]
    assert some != [study.mutated(files, 8, number) for number in range(COUNT)]
    assert len(set(some)) > 0.95 * COUNT


def test_the_table(study, astronaut, tmp_path, monkeypatch):
    PIL.Image.fromarray(astronaut).save(tmp_path / "a.png")
    output = tmp_path / "out.csv"
    words = [str(tmp_path), "--count", "44", "--workers", "1", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["mutations.py", *words])
    study.main()
    header, *rows = [line.split(",") for line in output.read_text().splitlines()]
    assert header[:3] == ["format", "mutated", "answers"]
    assert len(rows) == 11
    for row in rows:
        assert row[1] == "4"
        assert sum(map(int, row[2 : header.index("exceptions")])) == 4
        assert row[header.index("exceptions") : header.index("slowest_s")] == ["0", "0", "0"]
        assert float(row[header.index("peak_mb")]) > 10


class _Mortal:
    """In place of the analyzer: its process does not survive the third image."""

    def __init__(self, end):
        self._end, self._left = end, 3

    def analyze(self, data):
        self._left -= 1
        if self._left == 0:
            if self._end == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            time.sleep(60)
        return PhotoResult("", 1, 1)


@pytest.mark.parametrize(("end", "word"), [("crash", "crashes status -11"), ("hang", "hangs")])
def test_a_process_that_does_not_survive_is_seen(end, word, study, monkeypatch):
    monkeypatch.setattr(study, "PATIENCE", 1.5)
    files = {"PPM": [b"P5 1 1 255 x" * 3]}
    results = study.run(files, 5, seed=1, workers=1, make=functools.partial(_Mortal, end))
    assert [(number, said) for number, said, _, _ in results] == [
        (number, word if number == 2 else "answers") for number in range(5)
    ]
