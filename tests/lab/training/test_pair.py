"""Two networks that answer together: what they answer, what they have seen, and what goes into the file."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facegender.errors import InputError, RecipeError
from facegender.inference.classifier import GenderClassifier
from facegender.lab.export.run import export_run
from facegender.lab.networks.registry import describe
from facegender.lab.training.loop import Examples, train
from facegender.lab.training.model import predict_logits
from facegender.lab.training.pair import open_trained, paired
from facegender.lab.training.start import begin, open_start

pytestmark = pytest.mark.slow

TEXTS = {"licence": "ours", "command": "pytest"}


@pytest.fixture(scope="module")
def runs(store, quick, tmp_path_factory):
    """Two runs of different networks on different faces."""
    folders = [tmp_path_factory.mktemp("pair") / name for name in ("first", "second")]
    learned = store.split("train")
    train(replace(quick, network="custom-cnn-table1"), Examples(store, learned), folders[0])
    train(replace(quick, network="residual-nano", seed=2), Examples(store, learned[::2]), folders[1])
    return folders


@pytest.fixture
def crops(store):
    return np.array(store.crops[:40])


def logits(trained, crops):
    return predict_logits(trained.classifier, crops, np.arange(len(crops)))


def test_it_answers_with_the_mean_of_both(runs, crops):
    first, second = (open_trained(run, crops) for run in runs)
    assert first.mean != second.mean
    both = paired(first, second)
    mirrored = np.ascontiguousarray(crops[:, :, ::-1])
    expected = (logits(first, crops) + logits(second, mirrored)) / 2
    np.testing.assert_allclose(logits(both, crops), expected, atol=1e-4)


def test_it_has_seen_what_both_have_seen(runs, crops):
    first, second = (open_trained(run, crops) for run in runs)
    both = paired(first, second)
    seen = both.provenance.learned.faces
    for member in (first, second):
        assert np.isin(member.provenance.learned.faces, seen).all()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_file_answers_as_the_networks_do(precision, runs, store, crops, tmp_path):
    done = export_run(runs, [store], [store], tmp_path, "both", **TEXTS, precision=precision, max_loss=10)
    assert done.card["network"] == "custom-cnn-table1+residual-nano"
    assert done.card["second_recipe"]["seed"] == 2
    assert done.card["parameters"] == sum(p.numel() for p in describe(done.card["network"]).parameters())
    answers = logits(paired(*(open_trained(run, crops) for run in runs)), crops)
    p_male = GenderClassifier(tmp_path / "both.onnx").p_male(crops)
    assert np.corrcoef(answers[:, 1] - answers[:, 0], np.log(p_male / (1 - p_male)))[0, 1] > 0.98


def test_a_pair_can_be_trained_on(runs, store, quick, tmp_path):
    """Its exported file gives the weights of both to a run of a network of the same name."""
    export_run(runs, [store], [store], tmp_path, "both", **TEXTS)
    start = open_start(tmp_path / "both.onnx")
    begun = begin(start, replace(quick, network=start.network), store.crops, store.split("train")).eval()
    with torch.inference_mode():
        answers = begun(torch.from_numpy(np.array(store.crops))).numpy()
    p_male = GenderClassifier(tmp_path / "both.onnx").p_male(np.array(store.crops))
    assert np.corrcoef(answers[:, 1] - answers[:, 0], np.log(p_male / (1 - p_male)))[0, 1] > 0.98


def test_exported_networks_answer_together_as_their_runs_do(runs, store, crops, tmp_path):
    files = []
    for name, run in zip(("first", "second"), runs, strict=True):
        export_run([run], [store], [store], tmp_path, name, **TEXTS)
        files.append(tmp_path / f"{name}.onnx")
    of_runs, of_files = (paired(*(open_trained(word, crops) for word in words)) for words in (runs, files))
    np.testing.assert_allclose(logits(of_files, crops), logits(of_runs, crops), atol=1e-3)


def test_one_that_pads_cannot_take_the_input_of_another(runs, crops):
    first, second = (open_trained(run, crops) for run in runs)
    second.classifier.body.stem.conv.padding = (1, 1)
    with pytest.raises(InputError, match="pads its input"):
        paired(first, second)


def test_different_crops(runs, crops):
    first, second = (open_trained(run, crops) for run in runs)
    with pytest.raises(InputError, match="cropped differently"):
        paired(first, replace(second, alignment={"template": {}}))


def test_three_networks(runs, store, tmp_path):
    with pytest.raises(InputError, match="not 3"):
        export_run([*runs, runs[0]], [store], [store], tmp_path, "all", **TEXTS)


def test_names_of_pairs():
    assert describe("residual-nano+residual-nano").head.in_features == 160
    for name in ("residual-nano+", "+", "residual-nano+unknown", "residual-nano+residual-nano+residual-nano"):
        with pytest.raises(RecipeError, match="unknown network"):
            describe(name)


def test_networks_of_different_inputs():
    with pytest.raises(RecipeError, match="takes"):
        describe("residual-nano+alexnet")
