"""``facegender train-detector``, from folders of photos to a detector."""

import json
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import CheckpointError, RecipeError, WeightsError
from facegender.faces.types import Picture
from facegender.inference.detector import OnnxDetector
from facegender.lab.detection import export
from facegender.lab.detection.photos import split_of
from facegender.lab.detection.teacher import Teacher
from facegender.lab.training.checkpoint import MODEL

MODELS = Path(os.environ.get("FACEGENDER_DATA", Path(__file__).parents[3] / "shared" / "datasets")).parent / "models"
YUNET = MODELS / "yunet_n_640_640.onnx"


def call(*arguments):
    return CliRunner().invoke(app, ["train-detector", *map(str, arguments)])


def test_help():
    result = CliRunner().invoke(app, ["train-detector", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 0
    for word in ("SOURCES", "--teacher", "--output", "--train-only", "--recipe", "--set", "--licence"):
        assert word.lower() in result.output.lower()


@pytest.mark.parametrize(
    "arguments",
    [["photos", "-o", "run"], ["photos", "--teacher", "yunet.onnx"], ["--teacher", "yunet.onnx", "-o", "run"]],
    ids=["no teacher", "no output", "no photos"],
)
def test_usage(arguments):
    assert call(*arguments).exit_code == 2


def test_a_missing_teacher_is_named(tmp_path):
    result = call(tmp_path, "--teacher", tmp_path / "yunet.onnx", "-o", tmp_path / "run")
    assert isinstance(result.exception, WeightsError)
    assert str(tmp_path / "yunet.onnx") in str(result.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [["--recipe", "paper"], ["--set", "steps=0"], ["--set", "precision=8"]], ids=str)
def test_a_wrong_recipe(tmp_path, options):
    result = call(tmp_path, "--teacher", tmp_path / "yunet.onnx", "-o", tmp_path / "run", *options)
    assert isinstance(result.exception, RecipeError)


def names(split, count):
    every = (f"person{number}_0001.jpg" for number in range(1000))
    return [name for name in every if split_of(name) == split][:count]


@pytest.fixture
def sources(astronaut, tmp_path):
    """A folder of portraits of all splits, each of another size and place, and one of noise."""
    rng = np.random.default_rng(0)
    portrait = PIL.Image.fromarray(astronaut).crop((97, 2, 347, 252))
    for folder in ("portraits", "noise"):
        (tmp_path / folder).mkdir()
    for number, name in enumerate([*names("train", 4), *names("validation", 2), *names("test", 2)]):
        side = 90 + 20 * number
        photo = PIL.Image.fromarray(rng.integers(0, 256, (260, 300, 3), dtype=np.uint8))
        photo.paste(portrait.resize((side, side)), (8 * number, 5 * number))
        photo.save(tmp_path / "portraits" / name, quality=95)
    for name in names("test", 3):
        PIL.Image.fromarray(rng.integers(0, 256, (100, 120, 3), dtype=np.uint8)).save(tmp_path / "noise" / name)
    return tmp_path / "portraits", tmp_path / "noise"


@pytest.mark.data
@pytest.mark.skipif(not YUNET.exists(), reason=f"{YUNET} is absent")
def test_from_photos_to_a_detector_and_again(sources, tmp_path, monkeypatch):
    portraits, noise = sources
    run = tmp_path / "run"
    recipe = tmp_path / "small.toml"
    recipe.write_text('batch_size = 2\nprecision = "32-true"\n[scenes]\ncanvas = 96\n')
    arguments = [portraits, "--train-only", noise, "--teacher", YUNET, "-o", run, "-r", recipe, "--accelerator", "cpu"]
    result = call(*arguments, "--set", "steps=3", "--licence", "public domain")
    assert result.exit_code == 0, result.output
    assert f"{run / 'face-detector.onnx'}, faces from score" in result.stdout
    assert "portraits test: photos 2, faces 2" in result.stdout

    rows = [json.loads(line) for line in (run / "photos" / "photos.jsonl").read_text().splitlines()]
    assert [row["split"] for row in rows if row["source"] == str(noise)] == ["train"] * 3
    seen = {row["file"]: (row["split"], len(row["faces"])) for row in rows if row["source"] == str(portraits)}
    assert seen == {name: (split, 1) for split, n in (("train", 4), ("validation", 2)) for name in names(split, n)}
    detector = OnnxDetector(run / "face-detector.onnx")
    assert detector.card.licence == "public domain"
    assert detector.card.training_data == "7 photos, labelled by YuNet: portraits, noise"
    card = json.loads((run / "face-detector.json").read_text())
    assert (card["recipe"]["steps"], card["recipe"]["scenes"]["canvas"]) == (3, 96)
    assert card["accuracy"].keys() == {"portraits test"}
    detector.detect([Picture.of(np.zeros((50, 70, 3), np.uint8))])

    # Again: nothing is labelled or trained, and what comes out is the same.
    before = (run / MODEL).stat().st_mtime_ns
    written = (run / "face-detector.onnx").read_bytes()
    monkeypatch.setattr(export, "detector_onnx", lambda network: written)  # it takes seconds
    monkeypatch.setattr(Teacher, "label", None)
    assert call(*arguments, "--set", "steps=3", "--licence", "public domain").exit_code == 0
    assert (run / MODEL).stat().st_mtime_ns == before
    again = json.loads((run / "face-detector.json").read_text())
    assert again == card
    other = call(*arguments, "--set", "steps=4")
    assert isinstance(other.exception, CheckpointError)
