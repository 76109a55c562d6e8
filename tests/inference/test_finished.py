import sqlite3
import tracemalloc

import pytest
from outputs import output, record

from facegender.errors import InputError, OutputError
from facegender.inference.finished import Finished
from facegender.sources import Source


def found(finished, *names):
    return [(photo.name, made["width"]) for photo, made in finished.pairs([Source.file(name) for name in names])]


def made(name, width):
    return {**record(name), "width": width}


def fill(path):
    with output(path) as out:
        out.write([made("a", 1), made("twice", 2), made("twice", 3), made("\udcff\n'", 4)])


def check(finished):
    for _ in range(2):  # once for the report, once for the sidecars
        assert found(finished, "b", "twice", "a", "twice", "twice", "\udcff\n'") == [
            *(("twice", 2), ("a", 1), ("twice", 3), ("\udcff\n'", 4)),
        ]


def test_records_of_a_run_without_a_file():
    with Finished() as finished:
        for each in (made("a", 1), made("twice", 2), made("twice", 3), made("\udcff\n'", 4)):
            finished.add(each)
        check(finished)


def test_records_of_an_output_which_no_run_changes_meanwhile(tmp_path):
    path = tmp_path / "out.csv"
    fill(path)
    with Finished(path) as finished:
        check(finished)
        with pytest.raises(OutputError, match="another run"), output(path):
            pass
        check(finished)
    with output(path) as out:
        assert out.done == 4


def test_records_that_cannot_be_had(tmp_path):
    path = tmp_path / "out.csv"
    with pytest.raises(InputError, match=r"out\.csv\.journal"):
        Finished(path)
    with output(path) as out:
        out.write([record("a")])
        with pytest.raises(InputError, match="locked"):
            Finished(path)
    (tmp_path / "out.csv.journal").write_bytes(b"x" * 9999)
    with pytest.raises(InputError, match="not a database"):
        Finished(path)


def test_a_full_disk_under_kept_records():
    def fill_up(finished):
        for number in range(1000):
            finished.add(record(f"photo {number}"))

    with Finished() as finished:
        finished._journal._base.execute("PRAGMA max_page_count = 8")
        with pytest.raises(OutputError, match="TMPDIR"):
            fill_up(finished)
    with pytest.raises(sqlite3.ProgrammingError):
        finished._journal.count()  # it is closed


def test_memory_does_not_grow_with_the_records(tmp_path):
    def peak(count):
        names = [str(number) for number in range(count)]
        tracemalloc.start()
        with Finished() as finished:
            for name in names:
                finished.add(record(name))
            assert sum(1 for _ in finished.pairs(map(Source.file, names))) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    assert min(peak(2000) for _ in range(3)) - min(peak(200) for _ in range(3)) < 20_000
