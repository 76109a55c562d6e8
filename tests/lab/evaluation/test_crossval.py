import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from facegender.errors import CheckpointError, InputError
from facegender.lab.evaluation.crossval import cross_validate
from facegender.lab.evaluation.metrics import accuracy_interval


@pytest.fixture(scope="module")
def done(store, tmp_path_factory, quick):
    output = tmp_path_factory.mktemp("crossval")
    return output, cross_validate(quick, store, "identity", output)


def test_every_crop_is_tested_once(done, store):
    output, result = done
    assert len(result.labels) == len(store)
    assert list(result.per_fold) == sorted(set(store.fold("identity").tolist()))
    rows = list(csv.DictReader((output / "folds.csv").read_text().splitlines()))
    assert sum(int(r["count"]) for r in rows) == len(store)
    summary = json.loads((output / "summary.json").read_text())
    mean = sum(m.accuracy for m in result.per_fold.values()) / len(result.per_fold)
    assert summary["mean"]["accuracy"] == pytest.approx(mean, abs=1e-5)
    right = (result.p_male >= 0.5) == (result.labels == 1)
    assert summary["accuracy_wilson_95"] == pytest.approx(accuracy_interval(right, result.people), abs=1e-5)
    assert len(set(result.people)) == 24  # of five photos each


def test_nobody_is_on_both_sides(store):
    folds = store.fold("identity")
    for person in set(store.identities):
        assert len({folds[i] for i, name in enumerate(store.identities) if name == person}) == 1


def test_done_folds_are_read_and_a_lost_one_is_made_again(done, store, quick):
    output, first = done
    (output / "fold-02" / "model.safetensors").unlink()
    kept = (output / "fold-01" / "model.safetensors").stat().st_mtime_ns
    again = cross_validate(quick, store, "identity", output)
    assert (output / "fold-01" / "model.safetensors").stat().st_mtime_ns == kept
    assert again.per_fold == first.per_fold


def test_another_recipe_and_a_cut_model_are_refused(done, store, quick):
    output, _ = done
    with pytest.raises(CheckpointError, match="another recipe"):
        cross_validate(replace(quick, epochs=9), store, "identity", output)
    path = output / "fold-01" / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"fold-01.*delete it"):
        cross_validate(quick, store, "identity", output)
    path.write_bytes(whole)


def test_mirrored_answers_are_the_same_for_a_mirrored_store(done, store, quick):
    output, _ = done
    turned = replace(store, wide=np.ascontiguousarray(store.crops[:, :, ::-1]))
    # The same digest, so that the trained folds are read: only the testing is looked at here.
    here, there = (cross_validate(quick, s, "identity", output, only=[1], mirror=True) for s in (store, turned))
    assert np.allclose(here.p_male, there.p_male, atol=1e-5)
    plain = cross_validate(quick, turned, "identity", output, only=[1])
    assert not np.allclose(plain.p_male, there.p_male, atol=1e-5)


def test_a_part_of_the_folds_leaves_the_results_alone(done, store, quick):
    output, _ = done
    before = (output / "folds.csv").read_text()
    part = cross_validate(quick, store, "identity", output, only=[2, 2])
    assert len(part.labels) == (store.fold("identity") == 2).sum()
    assert (output / "folds.csv").read_text() == before


def test_a_fold_of_one_label_is_refused_before_training(store, tmp_path, quick):
    folds = {"lopsided": np.where(store.labels == 1, 1, np.arange(len(store)) % 2 + 2)}
    with pytest.raises(InputError, match="not of both labels"):
        cross_validate(quick, replace(store, folds=folds), "lopsided", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_such_fold(store, tmp_path, quick):
    with pytest.raises(InputError, match="no fold 77"):
        cross_validate(quick, store, "identity", tmp_path, only=[77])
    with pytest.raises(InputError, match="it has: random, identity"):
        cross_validate(quick, store, "by_moon", tmp_path)


def test_the_command(invoke, store_folder, tmp_path):
    arguments = ["crossval", str(store_folder), "-o", str(tmp_path / "out"), "-r", "tuned", "--set", "epochs=1"]
    result = invoke(*arguments, "--folds", "identity", "--only", "1")
    assert "Wilson" in result.stdout
    assert (tmp_path / "out" / "fold-01" / "predictions.csv").exists()
