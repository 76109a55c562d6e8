import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from outputs import asked, fill, interrupt, output, paths, record, take_up, widths

from facegender.errors import InputError, OutputError
from facegender.inference import journal
from facegender.inference.journal import content_digests, journal_file
from facegender.inference.provenance import run_file


def test_one_run_at_a_time(tmp_path):
    path = tmp_path / "out.csv"
    with output(path) as out:
        out.write([record("a")])
        with pytest.raises(OutputError, match="another run"), output(path):
            pass
    assert paths(path) == ["a"]


def test_records_are_safe_after_some_and_after_a_while(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    with output(path) as out:
        commits = []
        out._journal._base.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        out.write([record("a")] * journal.COMMIT_RECORDS)
        assert len(commits) == 1
        out.write([record("b")])
        assert len(commits) == 1
        later = time.monotonic() + 2 * journal.COMMIT_SECONDS
        monkeypatch.setattr(journal.time, "monotonic", lambda: later)
        out.write([record("c")])
        assert len(commits) == 2


# Runs the same work again and again in processes of their own. Each is killed at the first line of the journal's code
# that finds other files than the line before; after every second kill, one more such line is let pass. At the lines
# between, a kill would leave the same files.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from outputs import take_up
from facegender.inference import journal, output

path = Path({path!r})
code = (journal.__file__, output.__file__)

def files():
    return [file.read_bytes() for file in sorted(path.parent.iterdir())]

def run(step):
    seen, changes = files(), 0
    def watch(frame, event, argument):
        nonlocal seen, changes
        if frame.f_code.co_filename not in code:
            return None
        if event == "line" and seen != (now := files()):
            seen, changes = now, changes + 1
            if changes == step:
                os.kill(os.getpid(), signal.SIGKILL)
        return watch
    sys.settrace(watch)
    take_up(path, **{options!r})
    os._exit(0)

step, kills = 1, 0
while True:
    child = os.fork()
    if not child:
        run(step)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    kills += 1
    step = 1 + kills // 2
print(kills)
"""


def killed_again_and_again(path, **options):
    code = KILLED.format(tests=str(Path(__file__).parent), path=str(path), options=options)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_line_loses_and_doubles_nothing(tmp_path):
    path = tmp_path / "out.jsonl"
    fill(tmp_path, a="1", b="1", c="1")
    assert killed_again_and_again(path) > 30
    assert widths(path) == [("a", 1), ("b", 1), ("c", 1)]
    # A second night: one replaced, one new, one gone.
    fill(tmp_path, b="four", d="1")
    (tmp_path / "a.png").unlink()
    assert killed_again_and_again(path, prune=True) > 30
    assert widths(path) == [("b", 4), ("c", 1), ("d", 1)]
    assert json.loads(run_file(path).read_text())["photos"] == 3
    # A third, with the file edited meanwhile.
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert killed_again_and_again(path) > 20
    assert widths(path) == [("b", 4), ("c", 1), ("d", 1)]
    assert sorted(p.name for p in tmp_path.glob("out*")) == [path.name, journal_file(path).name, run_file(path).name]


def test_a_kill_of_a_run_that_starts_afresh_doubles_nothing(tmp_path):
    path = tmp_path / "out.jsonl"
    fill(tmp_path, a="1", b="1")
    take_up(path)
    before = path.read_bytes()
    interrupt(output(path, resume=False))
    assert path.read_bytes() == before
    take_up(path)
    assert [r["path"] for r in map(json.loads, path.read_text().splitlines())][:2] == ["a", "b"]
    assert [stem for stem, _ in widths(path)] == ["a", "b"] * 2  # those of the run afresh, then this one's


def test_digests_are_known_beside_the_results(tmp_path):
    path = tmp_path / "out.csv"
    fill(tmp_path, a="same", b="same", c="other")
    asked(path)
    digests = {Path(name).stem: digest for name, digest in content_digests(path).items()}
    assert digests["a"] == digests["b"] == hashlib.sha256(b"same").hexdigest() != digests["c"]
    assert content_digests(tmp_path / "absent.csv") == {}


def test_a_damaged_journal(tmp_path):
    path = tmp_path / "out.csv"
    fill(tmp_path, a="1")
    asked(path)
    journal_file(path).write_bytes(b"no database at all, whatever its name" * 100)
    with pytest.raises(InputError, match=r"out\.csv\.journal is damaged.*--no-resume"), output(path):
        pass
    assert asked(path, resume=False) == ["a"]


def test_two_runs_that_find_a_damaged_journal_do_not_both_begin(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    journal_file(path).write_bytes(b"no database at all" * 100)
    is_damage, others = journal.is_damage, []

    def another_run_is_faster(error):
        damaged = is_damage(error)
        if not others:
            others.append(output(path, resume=False))
            others[0].__enter__()
        return damaged

    monkeypatch.setattr(journal, "is_damage", another_run_is_faster)
    with pytest.raises(OutputError, match="another run"), output(path, resume=False):
        pass
    others[0].write([record("a")])
    others[0].__exit__(None, None, None)
    assert paths(path) == ["a"]
