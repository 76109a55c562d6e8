"""A cluster of one machine, started once for all that needs it."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import InputError

ray = pytest.importorskip("ray")
parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = [
    pytest.mark.slow,
    # Ray's own, on Python and on pandas.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def predict(tiny_model, tiny_detector):
    def run(*args):
        networks = ["--model", str(tiny_model), "--detector-model", str(tiny_detector)]
        return CliRunner().invoke(app, ["predict", *networks, *map(str, args)])

    return run


def rows(folder):
    return [
        row for file in sorted(folder.glob("part-*.parquet")) for row in parquet.ParquetFile(file).read().to_pylist()
    ]


def test_the_same_answers_and_a_run_that_goes_on(predict, save, tmp_path, monkeypatch):
    monkeypatch.setattr("facegender.cluster.BATCH_PHOTOS", 4)
    rng = np.random.default_rng(0)
    for number in range(9):
        image = np.repeat(rng.integers(0, 256, (120, 150, 1), dtype=np.uint8), 3, axis=2)
        image[40:90, 50:100] = (255 - 10 * number, 0, 0)
        save(f"photos/{number}.png", image)
    (tmp_path / "photos" / "letter.jpg").write_text("Dear reader")
    local, cluster = tmp_path / "local.parquet", tmp_path / "cluster"
    assert predict(tmp_path / "photos", "-o", local).exit_code == 3
    done = predict(tmp_path / "photos", "--engine", "ray", "-o", cluster, "--workers", "2")
    assert done.exit_code == 3, (done.output, done.exception)
    assert "1 photos could not be read" in done.stderr

    def by_path(found):
        return sorted(found, key=lambda row: (row["path"], row["face"] or 0))

    assert by_path(rows(cluster)) == by_path(parquet.ParquetFile(local).read().to_pylist())
    assert len(list(cluster.glob("part-*"))) == 3
    assert json.loads((cluster / "run.json").read_text())["model"]["name"] == "tiny"

    again = predict(tmp_path / "photos", "--engine", "ray", "-o", cluster)
    assert (again.exit_code, again.stderr) == (0, f"{cluster} holds all 10 photos already\n")
    next(cluster.glob("part-*")).unlink()
    assert predict(tmp_path / "photos", "--engine", "ray", "-o", cluster, "--workers", "1").exit_code in (0, 3)
    assert Counter(row["path"] for row in rows(cluster)) == Counter(
        row["path"] for row in parquet.ParquetFile(local).read().to_pylist()
    )


def test_a_folder_of_other_settings_is_refused(predict, save, tmp_path):
    photo = save("a.png", np.zeros((9, 9, 3), np.uint8))
    (tmp_path / "out").mkdir()
    assert predict(photo, "-o", tmp_path / "out" / "part-0.parquet").exit_code == 0
    run = predict(photo, "--engine", "ray", "-o", tmp_path / "out")
    assert isinstance(run.exception, InputError)
    (Path(tmp_path) / "file").touch()
    assert "is a file" in str(predict(photo, "--engine", "ray", "-o", tmp_path / "file").exception)


def test_usage(predict, tmp_path):
    for args in (["--engine", "ray"], ["--engine", "ray", "-o", "out", "--crops", "c"], ["--address", "here:1"]):
        assert predict(tmp_path / "a.jpg", *args).exit_code == 2
