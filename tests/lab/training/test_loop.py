"""Training on a store that a network learns in a second."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import CheckpointError, DivergedError, InputError, OutputError
from facegender.lab.training.checkpoint import CHECKPOINT, MODEL, load_checkpoint, save_checkpoint
from facegender.lab.training.hardware import Hardware
from facegender.lab.training.loop import Examples, train
from facegender.lab.training.model import channel_statistics, classifier_from_recipe, load_model
from facegender.lab.training.optimization import class_weights, learning_rate
from facegender.lab.training.recipe import Augmentation, Recipe
from facegender.lab.training.trainer import Trainer

QUICK = Recipe(
    name="quick",
    epochs=3,
    batch_size=20,
    optimizer="adamw",
    learning_rate=0.003,
    schedule="one-cycle",
    dropout=0.1,
    ema=0.9,
    precision="32-true",
    augmentation=Augmentation(flip=True, shift=0.05),
)
LONGER = replace(QUICK, epochs=6)


def run(store, folder, recipe=QUICK):
    index = np.arange(len(store))
    return train(recipe, Examples(store, index[index % 5 > 0], index[index % 5 == 0]), folder)


@pytest.fixture(scope="module")
def finished(store, tmp_path_factory):
    """The folder of a finished run of six epochs, not to be changed, and what training gave."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, run(store, folder, LONGER)


def test_it_learns_and_leaves_everything_beside_the_model(store, finished):
    folder, trained = finished
    assert trained.history[-1].accuracy > 0.9
    assert trained.history[-1].heldout_accuracy > 0.9
    assert {p.name for p in folder.iterdir()} == {
        MODEL,
        "recipe.toml",
        "history.csv",
        "curve.png",
    }
    loaded = load_model(folder / MODEL)
    crops = torch.from_numpy(np.array(store.crops[:4]))
    with torch.inference_mode():
        assert torch.equal(loaded.classifier(crops), trained.classifier(crops))


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_convolutions_compute_in_the_precision_that_is_asked_for(precision, dtype, store, tmp_path):
    seen = set()

    def note(module, _, output):
        if module.training and isinstance(module, torch.nn.Conv2d):
            seen.add(output.dtype)

    hook = torch.nn.modules.module.register_module_forward_hook(note)
    try:
        run(store, tmp_path / "run", replace(QUICK, epochs=1, precision=precision, population_statistics=False))
    finally:
        hook.remove()
    assert seen == {dtype}


@pytest.mark.parametrize(
    ("first", "then", "precisions"),
    [
        ("AVX512", "AVX512", ["bf16-mixed"]),
        ("AVX2", "AVX512", ["32-true"]),
        ("AVX512", "AVX2", ["bf16-mixed", "32-true"]),
    ],
)
def test_a_run_that_goes_on_elsewhere_keeps_its_precision(
    store, tmp_path, monkeypatch, caplog, first, then, precisions
):
    def stop(trainer):
        save(trainer)
        raise KeyboardInterrupt

    recipe = replace(QUICK, precision="auto", epochs=2, population_statistics=False)
    save = Trainer._save
    with monkeypatch.context() as patch:
        patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: first)
        patch.setattr(Trainer, "_save", stop)
        with pytest.raises(KeyboardInterrupt):
            run(store, tmp_path, recipe)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: then)
    run(store, tmp_path, recipe)
    assert load_checkpoint(tmp_path / MODEL).details["precisions"] == precisions
    assert ("goes on in 32-true" in caplog.text) == (len(precisions) == 2)


def test_a_finished_run_is_read_not_repeated(store, finished):
    folder, _ = finished
    before = (folder / MODEL).stat().st_mtime_ns
    run(store, folder, LONGER)
    assert (folder / MODEL).stat().st_mtime_ns == before
    # A run from before a setting was added has its default.
    saved = load_checkpoint(folder / MODEL)
    older = {**saved.details, "recipe": {k: v for k, v in saved.details["recipe"].items() if k != "class_balance"}}
    save_checkpoint(folder / MODEL, saved.tensors, older)
    run(store, folder, LONGER)
    save_checkpoint(folder / MODEL, saved.tensors, saved.details)
    with pytest.raises(CheckpointError, match="another recipe"):
        run(store, folder, replace(LONGER, seed=1))
    with pytest.raises(CheckpointError, match="other data"):
        train(LONGER, Examples(store, np.arange(60)), folder)
    with pytest.raises(CheckpointError, match="other data"):  # other crops with the same labels
        run(replace(store, digest="0" * 64), folder, LONGER)


def test_a_loss_without_end_is_told_at_once(store, tmp_path):
    with pytest.raises(DivergedError, match=r"step \d+ of epoch 1.*lower learning_rate"):
        run(store, tmp_path / "run", replace(QUICK, optimizer="sgd", learning_rate=1e3, schedule="step"))


def test_enlarged_crops_and_another_start(store, tmp_path):
    recipe = replace(QUICK, network="alexnet", input_size=67, initialization="he", epochs=1, batch_size=8)
    trained = train(recipe, Examples(store, np.arange(40, 56)), tmp_path / "run")
    assert trained.classifier.size == 67
    large = replace(recipe, input_size=96)
    with torch.inference_mode():
        assert classifier_from_recipe(large, (128.0,) * 3, (60.0,) * 3)(
            torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
        ).shape == (2, 2)


# Both runs and the one that is killed in one program: each start of PyTorch takes seconds.
KILLED = """
import os, signal, sys, time
from pathlib import Path
from facegender.cli import app
import facegender.lab.training.loop

killed, whole, folder = {killed!r}, {whole!r}, Path({folder!r})
checkpoint, model = folder / {checkpoint!r}, folder / {model!r}
child = os.fork()
if not child:
    app(killed, standalone_mode=False)
    os._exit(0)
while not checkpoint.exists() and not os.waitpid(child, os.WNOHANG)[0]:
    time.sleep(0.01)
os.kill(child, signal.SIGKILL)
status = os.waitpid(child, 0)[1]
if os.WTERMSIG(status) != signal.SIGKILL or not checkpoint.exists() or model.exists():
    sys.exit(f"the run ended by itself: {{status}}")
for given in (killed, whole):
    app(given, standalone_mode=False)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_and_resumed_is_the_same_as_uninterrupted(store_folder, tmp_path):
    """kill -9 in the middle of a run; the second start ends with the weights of a run that was left alone."""
    recipe = tmp_path / "slow.toml"
    recipe.write_text(
        'optimizer = "adamw"\nlearning_rate = 0.003\nschedule = "one-cycle"\nema = 0.9\n'
        'epochs = 6\nbatch_size = 20\nprecision = "32-true"\npruning = 0.5\n'
        "first_size = 48\n[augmentation]\nflip = true\nrotate = 5.0\n"
    )
    killed, whole = (
        ["train", str(store_folder), "--recipe", str(recipe), "--output", str(tmp_path / name)]
        for name in ("killed", "whole")
    )
    folder = str(tmp_path / "killed")
    code = KILLED.format(killed=killed, whole=whole, folder=folder, checkpoint=CHECKPOINT, model=MODEL)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    resumed, whole = (load_model(tmp_path / name / MODEL) for name in ("killed", "whole"))
    assert len(resumed.history) == 6
    for a, b in zip(resumed.classifier.state_dict().values(), whole.classifier.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_residual_network_with_growing_crops(store, tmp_path):
    recipe = replace(QUICK, network="residual-nano", first_size=32, pruning=0.3, epochs=6, population_statistics=False)
    trained = run(store, tmp_path / "run", recipe)
    assert trained.history[-1].heldout_accuracy > 0.9
    assert trained.classifier.size == 64


def test_a_checkpoint_cut_short_is_named(store, finished, tmp_path):
    data = (finished[0] / MODEL).read_bytes()
    (tmp_path / "run").mkdir()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / CHECKPOINT).write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors is cut short.*delete it"):
        run(store, tmp_path / "cut")
    (tmp_path / "run" / MODEL).write_bytes(b"")
    with pytest.raises(CheckpointError, match="cut short"):
        run(store, tmp_path / "run")


def test_one_label_only(store):
    with pytest.raises(InputError, match="training crops of made are not of both labels"):
        Examples(store, np.flatnonzero(store.labels == 1))
    with pytest.raises(InputError, match="held-out crops"):
        Examples(store, np.arange(len(store)), np.flatnonzero(store.labels == 0))


@pytest.mark.parametrize("index", [[1, 0, 70, 71], [0, 0, 70, 71]])
def test_training_crops_in_no_order(store, index):
    with pytest.raises(ValueError, match="have to ascend"):
        Examples(store, np.array(index))


def test_hardware_that_is_not_there(store, tmp_path):
    examples = Examples(store, np.arange(len(store)))
    with pytest.raises(InputError, match="--accelerator cpu"):
        train(QUICK, examples, tmp_path, Hardware(accelerator="abacus"))


def test_an_output_that_cannot_be_written(store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        run(store, tmp_path / "file" / "run")


@pytest.mark.slow
def test_two_processes_learn_too(store_folder, tmp_path):
    subprocess.run(
        [
            sys.executable,
            "-m",
            "facegender",
            "train",
            str(store_folder),
            f"--output={tmp_path / 'run'}",
            *["--recipe", "tuned", "--set", "epochs=1", "--accelerator", "cpu", "--devices", "2"],
        ],
        check=True,
        capture_output=True,
    )
    assert len(load_model(tmp_path / "run" / MODEL).history) == 1


def test_gray_sees_no_colour(store, tmp_path):
    trained = run(store, tmp_path / "run", replace(QUICK, colour="gray", epochs=1))
    assert len(trained.mean) == 1
    # A colour whose luma is a whole number, and that gray.
    red, green, blue, gray = next(
        (r, g, b, (299 * r + 587 * g + 114 * b) // 1000)
        for r in range(200, 256)
        for g in range(40)
        for b in range(256)
        if (299 * r + 587 * g + 114 * b) % 1000 == 0
    )
    crops = np.stack([np.full((64, 64, 3), c, np.uint8) for c in ((red, green, blue), (gray, gray, gray))])
    with torch.inference_mode():
        coloured, plain = trained.classifier(torch.from_numpy(crops))
    assert torch.allclose(coloured, plain, atol=1e-4)


def test_channel_statistics(store):
    index = np.arange(len(store))
    mean, std = channel_statistics(store.crops, index, gray=False)
    pixels = np.asarray(store.crops, np.float64).reshape(-1, 3)
    assert np.allclose(mean, pixels.mean(0), atol=0.01)
    assert np.allclose(std, pixels.std(0), atol=0.01)


def test_learning_rates():
    paper = Recipe()
    assert learning_rate(paper, 0, 0, 24) == 0.1
    assert learning_rate(paper, 25, 3, 24) == pytest.approx(0.081)
    ten = replace(QUICK, epochs=10)
    rates = [learning_rate(ten, e, s, 10) for e in range(10) for s in range(10)]
    assert max(rates) == pytest.approx(0.003)
    assert rates.index(max(rates)) == 20
    assert 0 < rates[0] < 0.0001
    assert rates[-1] < 0.0001


def test_class_weights_balance_and_average_one():
    labels = np.array([0] * 20 + [1] * 80)
    weights = class_weights(replace(QUICK, class_balance=1.0), labels)
    assert weights[0] / weights[1] == pytest.approx(4.0)
    assert 0.2 * weights[0] + 0.8 * weights[1] == pytest.approx(1.0)
    assert class_weights(QUICK, labels).tolist() == [1.0, 1.0]


def test_the_command(invoke, store_folder, tmp_path):
    arguments = ["train", str(store_folder), "-o", str(tmp_path / "run"), "-r", "tuned", "--set", "epochs=1"]
    result = invoke(*arguments, "--holdout", "random:2")
    assert "held out" in result.stdout


@pytest.mark.parametrize("holdout", ["identity", "random:99", "nothing:1"])
def test_a_holdout_that_is_not_there(store_folder, tmp_path, holdout):
    result = CliRunner().invoke(app, ["train", str(store_folder), "-o", str(tmp_path / "run"), "--holdout", holdout])
    assert isinstance(result.exception, InputError)
