"""Training on painted faces, a few steps at a time."""

import csv
from dataclasses import make_dataclass, replace

import numpy as np
import pytest
import torch

from facegender.errors import CheckpointError, DatasetError, InputError, OutputError
from facegender.lab.detection import loop
from facegender.lab.detection.loop import train_detector
from facegender.lab.detection.recipe import DetectorRecipe, SceneSettings, load_detector_recipe
from facegender.lab.detection.scenes import SceneMaker
from facegender.lab.training.checkpoint import CHECKPOINT, MODEL
from facegender.lab.training.hardware import Hardware

QUICK = DetectorRecipe(
    name="quick",
    steps=4,
    batch_size=2,
    learning_rate=0.01,
    ema=0.9,
    precision="32-true",
    scenes=SceneSettings(canvas=64, smallest_face=12.0, largest_face=50.0),
)
CPU = Hardware("cpu")


@pytest.fixture
def photos(labelled):
    return [labelled((80, 70, 50)), labelled((40, 50, 30), (110, 100, 60)), labelled()]


@pytest.fixture
def run(photos, labelled, tmp_path, monkeypatch):
    """Train into a folder with a checkpoint every other step."""
    monkeypatch.setattr(loop, "ROUND", 2)
    validation = [labelled((60, 60, 40))]

    def train(name, recipe=QUICK):
        return train_detector(recipe, photos, validation, tmp_path / name, CPU)

    return train


def assert_same(one, other):
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def interrupt_after(monkeypatch, images):
    """Ctrl-C once so many images have been prepared."""
    seen, assign = [], loop.assign

    def stop(*arguments):
        seen.append(None)
        if len(seen) > images:
            raise KeyboardInterrupt
        return assign(*arguments)

    monkeypatch.setattr(loop, "assign", stop)


def test_it_learns_and_leaves_everything_beside_the_model(run, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "ROUND", 10)
    network = run("run", replace(QUICK, steps=40, batch_size=4))
    assert not network.training
    assert {path.name for path in (tmp_path / "run").iterdir()} == {MODEL, "recipe.toml", "history.csv"}
    assert load_detector_recipe(tmp_path / "run" / "recipe.toml") == replace(QUICK, steps=40, batch_size=4)
    with (tmp_path / "run" / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    assert [int(row["step"]) for row in history] == [10, 20, 30, 40]
    assert float(history[-1]["loss"]) < 0.9 * float(history[0]["loss"])
    assert float(history[-1]["validation_loss"]) < float(history[0]["validation_loss"])
    assert all(np.isfinite(float(value)) for row in history for value in row.values())


def test_a_finished_run_is_read_not_repeated(run, tmp_path):
    first = run("run")
    before = (tmp_path / "run" / MODEL).stat().st_mtime_ns
    assert_same(first, run("run"))
    assert (tmp_path / "run" / MODEL).stat().st_mtime_ns == before


def test_the_seed_decides(run):
    one, other = run("one"), run("other", replace(QUICK, seed=1))
    assert_same(one, run("again"))
    assert not torch.equal(one.stem[0].weight, other.stem[0].weight)


def test_every_step_has_its_own_scenes(photos):
    maker = SceneMaker(photos, QUICK.scenes)
    first, second, third = (images for images, _ in loop._batches(maker, QUICK, range(3)))
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    [(again, _)] = loop._batches(maker, QUICK, range(1, 2))
    assert torch.equal(again, second)
    [(validation, _)] = loop._batches(maker, QUICK, range(-1, 0))
    assert not any(torch.equal(validation, images) for images in (first, second, third))


# A step looks at 2 images and a round ends with 8 of validation: in the second round, in the first look at
# validation, at once.
@pytest.mark.parametrize(("images", "done"), [(15, 2), (7, 0), (0, 0)])
def test_killed_and_resumed_is_the_same_as_uninterrupted(run, tmp_path, monkeypatch, images, done):
    with monkeypatch.context() as patch:
        interrupt_after(patch, images)
        with pytest.raises(KeyboardInterrupt) as stop:
            run("killed")
    assert f"{done} of 4 steps are in {tmp_path / 'killed'}" in stop.value.__notes__[0]
    assert (tmp_path / "killed" / CHECKPOINT).exists() == (done > 0)
    assert not (tmp_path / "killed" / MODEL).exists()

    looked = []
    batches = loop._batches
    monkeypatch.setattr(
        loop, "_batches", lambda maker, recipe, steps: looked.append(steps) or batches(maker, recipe, steps)
    )
    resumed = run("killed")
    assert sum(len(steps) for steps in looked if steps.start >= 0) == 4 - done
    assert_same(resumed, run("whole"))
    texts = [(tmp_path / name / "history.csv").read_text() for name in ("killed", "whole")]
    one, other = ([line.rpartition(",")[0] for line in text.splitlines()] for text in texts)  # without the speed
    assert one == other
    assert not (tmp_path / "killed" / CHECKPOINT).exists()


def test_killed_before_the_model_was_written(run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(loop._DetectorTrainer, "_finish", lambda run: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run("killed")
    assert_same(run("killed"), run("whole"))


def test_a_run_with_another_recipe_is_refused(run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 15)
        with pytest.raises(KeyboardInterrupt):
            run("run")
    saved = (tmp_path / "run" / CHECKPOINT).read_bytes()
    changed = replace(QUICK, scenes=replace(QUICK.scenes, jpeg=0.5))
    with pytest.raises(CheckpointError, match=r"checkpoint.*another recipe.*--output"):
        run("run", changed)
    assert (tmp_path / "run" / CHECKPOINT).read_bytes() == saved
    assert load_detector_recipe(tmp_path / "run" / "recipe.toml") == QUICK
    run("run")
    with pytest.raises(CheckpointError, match=r"model.*another recipe"):
        run("run", changed)


def test_a_checkpoint_of_another_version(run, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 15)
        with pytest.raises(KeyboardInterrupt):
            run("run")
    monkeypatch.setattr(loop._DetectorTrainer, "record", make_dataclass("Record", ["step", "loss"]))
    with pytest.raises(CheckpointError, match=r"another version.*delete it"):
        run("run")


@pytest.mark.parametrize("name", [CHECKPOINT, MODEL])
def test_a_file_cut_short_is_named(run, tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_bytes(b"\x08")
    with pytest.raises(CheckpointError, match=rf"{name} is cut short.*delete it"):
        run("run")


def test_half_precision(run):
    network = run("run", replace(QUICK, steps=2, precision="bf16-mixed"))
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_photos_without_faces(photos, labelled, tmp_path):
    with pytest.raises(DatasetError, match="no face"):
        train_detector(QUICK, [labelled()], photos, tmp_path, CPU)
    with pytest.raises(DatasetError, match="no face"):
        train_detector(QUICK, photos, [], tmp_path, CPU)


def test_hardware_that_is_not_there(photos, tmp_path):
    with pytest.raises(InputError, match="--accelerator cpu"):
        train_detector(QUICK, photos, photos, tmp_path, Hardware(accelerator="abacus"))


def test_an_output_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        run("file/run")
