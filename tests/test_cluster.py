"""A cluster of one machine, started once for all that needs it."""

import importlib.util
import json
import re

import numpy as np
import pytest

from facegender.cluster import RayEngine
from facegender.errors import InputError
from facegender.inference.options import Options
from facegender.inference.run import analyze

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
    # Ray's own, on Python and on pandas.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    import ray  # half a second, which the processes that run other tests save

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def photos(save, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(9):
        image = np.repeat(rng.integers(0, 256, (120, 150, 1), dtype=np.uint8), 3, axis=2)
        image[40:90, 50:100] = (255 - 10 * number, 0, 0)
        save(f"photos/{number}.png", image)
    (tmp_path / "photos" / "letter.jpg").write_text("Dear reader")
    return tmp_path / "photos"


def without_time(summary):
    return re.sub(r" in [^:]+:", ":", summary)


def test_the_same_file_as_here_and_a_run_that_goes_on(run, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("facegender.cluster.BATCH_PHOTOS", 4)
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    done = run(photos, "-o", here)
    sent = run(photos, "--on", "ray", "-o", there, "--workers", "2")
    assert (sent.exit_code, without_time(sent.stderr)) == (3, without_time(done.stderr))
    assert there.read_bytes() == here.read_bytes()
    assert json.loads((tmp_path / "there.parquet.run.json").read_text())["model"]["name"] == "tiny"
    again = run(photos, "--on", "ray", "-o", there)
    assert (again.exit_code, again.stderr) == (0, f"{there} holds all 10 photos already\n")
    (photos / "new.png").write_bytes((photos / "3.png").read_bytes())
    for out, where in ((here, "here"), (there, "ray")):
        assert run(photos, "--on", where, "-o", out, "--workers", "1").exit_code == 0
    assert there.read_bytes() == here.read_bytes()


def test_a_table(run, photos):
    assert run(photos, "--on", "ray", "--workers", "1").stdout == run(photos).stdout


def test_no_pictures(photos, tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        analyze(photos, options=Options(), output=tmp_path / "a.jsonl", crops=tmp_path / "c", engine=RayEngine())


@pytest.mark.parametrize(
    "args", [["--on", "ray", "--crops", "c"], ["--on", "ray", "--annotate", "c"], ["--on", "spark"], ["--on", ""]]
)
def test_usage(args, run, tmp_path):
    assert run(tmp_path / "a.jpg", *args).exit_code == 2
