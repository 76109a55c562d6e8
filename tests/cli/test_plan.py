"""`predict --dry-run`: what would be done; nothing is written."""

import hashlib
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facegender.errors import InputError, OutputError
from facegender.inference.journal import journal_file
from facegender.inference.provenance import run_file

ESTIMATE = r"estimated time: about .+, from \d+ photos? analysed just now"


@pytest.fixture
def networks(networks):
    """In one process."""
    return [*networks, "--workers", "1"]


@pytest.fixture
def photos(save, tmp_path):
    """Three photos in a folder, and two files that are none."""
    for number in range(3):
        image = np.full((110, 120, 3), 90, np.uint8)
        image[30:80, 40:90] = (255, 0, number)
        save(f"in put/{number}.png", image)
    (tmp_path / "in put" / "a.pdf").touch()
    (tmp_path / "in put" / "b.pdf").touch()
    return tmp_path / "in put"


def state(folder):
    """Every file with its content and time."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [(str(p), p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]


def planned(run, folder, *args):
    """The lines of a dry run that writes nothing and takes nothing away."""
    before = state(folder)
    done = run(*args, "--dry-run")
    assert (done.exit_code, done.stderr) == (0, "")
    assert state(folder) == before
    assert not [path for path in folder.iterdir() if path.name in ("drawn", "crops")]
    *lines, last = done.stdout.splitlines()
    assert last == "nothing was written"
    return lines


def test_without_an_output(run, photos, tmp_path):
    *lines, time = planned(run, tmp_path, photos, "--annotate", tmp_path / "drawn", "--crops", tmp_path / "crops")
    assert lines == ["3 photos found", "2 files passed over (suffixes: .pdf 2)", "3 photos would be analysed"]
    assert re.fullmatch(ESTIMATE, time)
    assert planned(run, tmp_path, photos, "--limit", 2)[0] == "2 photos found"


def test_the_output_holds_some(run, photos, save, tmp_path):
    out = tmp_path / "out.csv"
    assert planned(run, tmp_path, photos, "-o", out)[2] == f"0 done in {out} already"
    assert run(photos, "-o", out, "--limit", 2).exit_code == 0
    lines = planned(run, tmp_path, photos, "-o", out)
    assert lines[2:4] == [f"2 done in {out} already", "1 photo would be analysed"]
    assert run(photos, "-o", out).exit_code == 0
    assert planned(run, tmp_path, photos, "-o", out)[2:] == [f"3 done in {out} already", "0 photos would be analysed"]
    save("in put/0.png", np.zeros((30, 30, 3), np.uint8))
    (photos / "1.png").unlink()
    lines = planned(run, tmp_path, photos, "-o", out, "--prune")
    assert lines[0] == "2 photos found"
    assert lines[2:5] == [
        *(f"1 done in {out} already", "1 photo would be analysed"),
        "the records of 1 photo that are gone would be dropped",
    ]
    assert "the answers that are there would be relabelled" in planned(
        run, tmp_path, photos, "-o", out, "--min-confidence", "1"
    )
    lines = planned(run, tmp_path, photos, "-o", out, "--no-resume")
    assert lines[2:4] == [f"0 done in {out} already", "2 photos would be analysed"]
    lines = planned(run, tmp_path, photos, "-o", out, "--annotate", tmp_path / "drawn")
    assert lines[2:4] == [f"0 done in {out} already", "2 photos would be analysed"]


@pytest.mark.parametrize("journal", ["kept", "gone"])
def test_what_a_run_would_refuse_is_refused(run, photos, tmp_path, journal):
    out = tmp_path / "out.csv"
    run(photos, "-o", out)
    if journal == "gone":
        journal_file(out).unlink()
        assert planned(run, tmp_path, photos, "-o", out)[2] == f"3 done in {out} already"
    before = state(tmp_path)
    assert isinstance(run(photos, "-o", out, "--min-face", 30, "--dry-run").exception, InputError)
    assert state(tmp_path) == before


def test_while_another_run_writes(run, photos, tmp_path):
    out = tmp_path / "out.csv"
    run(photos, "-o", out)
    base = sqlite3.connect(journal_file(out))
    base.execute("BEGIN EXCLUSIVE")
    error = run(photos, "-o", out, "--dry-run").exception
    base.close()
    assert isinstance(error, OutputError)
    assert "another run is writing" in str(error)


def test_after_a_kill(run, photos, tmp_path):
    """A journal with a transaction half written is read as the next run would find it."""
    out = tmp_path / "out.csv"
    run(photos, "-o", out)
    code = (
        "import os, signal, sqlite3, sys; base = sqlite3.connect(sys.argv[1]); base.execute('PRAGMA cache_size = 1');"
        "base.execute('UPDATE photos SET record = 0'); base.execute('CREATE TABLE x AS SELECT zeroblob(99999) AS y');"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, journal_file(out)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Path(f"{journal_file(out)}-journal").stat().st_size
    assert planned(run, tmp_path, photos, "-o", out)[2] == f"3 done in {out} already"


def test_not_for_videos(run, tmp_path):
    (tmp_path / "a.mp4").touch()
    done = run(tmp_path / "a.mp4", "--dry-run")
    assert done.exit_code == 2
    assert "--dry-run" in done.stderr
    assert not run_file(tmp_path / "a.mp4").exists()
