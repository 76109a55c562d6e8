"""Files and folders that are whole or not there, whatever their names lead to."""

import os
from pathlib import PureWindowsPath

import pytest

from facegender.errors import OutputError
from facegender.files import atomic_file, atomic_folder, read_only_uri


def test_a_link_stays_and_its_file_is_written(tmp_path):
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    with atomic_file(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_sqlite_reads_a_windows_share():
    share = PureWindowsPath(r"\\nas\photos\a b.db").as_uri()
    assert read_only_uri(share) == "file:////nas/photos/a%20b.db?mode=ro"
    assert read_only_uri("file:///a%20b.db") == "file:///a%20b.db?mode=ro"


def test_a_pipe_is_no_file_to_be_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="no regular file"), atomic_file(tmp_path / "pipe"):
        pass
    assert not (tmp_path / "pipe").is_file()


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(OutputError, match="too long"), atomic_file(tmp_path / ("x" * 300)):
        pass


def test_the_folder_that_one_is_in(tmp_path, monkeypatch):
    place = tmp_path / "site"
    place.mkdir()
    (place / "old").touch()
    monkeypatch.chdir(place)
    with atomic_folder(type(place)(".")) as folder:
        (folder / "new").touch()
    assert [path.name for path in place.iterdir()] == ["new"]


def test_a_folder_is_there_when_stopped_between_the_renames(tmp_path, monkeypatch):
    place = tmp_path / "store"
    place.mkdir()
    (place / "crops").write_text("hours of work")
    rename, calls = type(place).rename, []

    def stopped(path, to):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(path, to)

    monkeypatch.setattr(type(place), "rename", stopped)
    with pytest.raises(KeyboardInterrupt), atomic_folder(place) as folder:
        (folder / "crops").write_text("more")
    assert (place / "crops").read_text() == "hours of work"
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
