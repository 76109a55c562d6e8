"""Names of every kind through every format, a run that is taken up, and a survey: none is lost, none doubled."""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facegender.formats.records import FACES, printable, unprinted, visible
from facegender.formats.registry import by_name
from facegender.inference.journal import journal_file
from facegender.inference.output import Output
from facegender.sources import LocalFile
from facegender.survey.results import read_results

BYTES = st.binary(min_size=1, max_size=255).map(os.fsdecode)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
CONTROL = st.text(st.characters(categories=["Cc", "Cf", "Zl", "Zp"]), min_size=1, max_size=20)
MEANT = st.text(st.sampled_from("\t\n\r\x1b\",;'\\ux5cdf0 \udcff\ufeff"), min_size=1, max_size=20)
NAMES = (BYTES | TEXT | CONTROL | MEANT).map(lambda name: name.replace("\0", "0").replace("/", "1"))

FORMATS = pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet", "sqlite"])


def record(path, faces):
    face = {"box": [1.0, 2.0, 3.0, 4.0], "score": 1.0, "quality": 0.5, "p_male": 0.25, "label": "female"}
    error = None if faces else {"kind": "truncated", "message": f"{path} is cut short"}
    return {"path": path, "width": 9, "height": 9, "weight": 1.0, "faces": [face] * faces, "error": error}


def run(path, format_, names):
    """A run over the names; those it asks for."""
    asked = []
    with Output(path, by_name(format_), FACES, {"model": None}) as out:
        for number, name in enumerate(names):
            if not out.is_done(LocalFile(name, "no file")):
                asked.append(name)
                out.write([record(name, number % 3)])
    return asked


@FORMATS
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(NAMES, min_size=2, max_size=12, unique=True), st.booleans())
def test_no_name_is_lost_or_doubled(tmp_path_factory, format_, names, with_journal):
    path = tmp_path_factory.mktemp("names") / "out"
    half = len(names) // 2
    assert run(path, format_, names[:half]) == names[:half]
    if not with_journal:
        journal_file(path).unlink()
    assert run(path, format_, names) == names[half:]
    assert run(path, format_, names) == []
    found = [each["path"] for each in by_name(format_).records(path, FACES)]
    assert found == names
    photos = read_results([path]).photos
    assert list(photos["path"]) == [printable(name) for name in names]


@FORMATS
@settings(max_examples=20, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=8))
def test_a_name_that_is_given_twice_has_two_records(tmp_path_factory, format_, names):
    path = tmp_path_factory.mktemp("names") / "out"
    run(path, format_, names[1:])
    run(path, format_, names)
    assert Counter(each["path"] for each in by_name(format_).records(path, FACES)) == Counter(names)


@given(NAMES)
def test_names_as_they_are_printed_and_shown(name):
    assert unprinted(printable(name)) == name
    printable(name).encode()
    assert not set("\x1b\r\n\x07\x9b\u202e\u2028\x7f") & set(visible(name))
