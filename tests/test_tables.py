"""CSV files of results: written whole, or rows added and replaced."""

import pytest

from facegender.errors import DatasetError
from facegender.tables import read_table, update_csv, write_csv


def test_rows_of_the_same_measure_are_replaced_and_others_stay(tmp_path):
    path = tmp_path / "speed.csv"
    update_csv(path, [{"measure": "a, b", "value": 1}, {"measure": "c", "value": 2}], by="measure")
    update_csv(path, [{"measure": "d", "value": 3}, {"measure": "a, b", "value": 4.5}], by="measure")
    assert path.read_text() == 'measure,value\nc,2\nd,3\n"a, b",4.5\n'


def test_several_rows_of_one_command_go_together_and_numbers_compare_as_text(tmp_path):
    path = tmp_path / "counts.csv"
    update_csv(path, [{"run": 1, "n": 1}, {"run": 1, "n": 2}, {"run": 2, "n": 3}], by="run")
    update_csv(path, [{"run": 1, "n": 9}], by="run")
    assert path.read_text() == "run,n\n2,3\n1,9\n"


def test_a_table_without_that_column_is_refused_and_stays(tmp_path):
    path = tmp_path / "other.csv"
    write_csv(path, [{"name": "x"}])
    with pytest.raises(DatasetError, match="no column named measure"):
        update_csv(path, [{"measure": "a"}], by="measure")
    assert path.read_text() == "name\nx\n"


def test_a_quote_that_does_not_end(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text('path,label\n"' + "x" * 140_000)
    with pytest.raises(DatasetError, match="is no sound CSV"):
        read_table(path, ["path"])
