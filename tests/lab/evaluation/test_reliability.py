"""Probabilities whose worth a hand can count, damaged crops, and the command."""

import csv

import numpy as np
import PIL.Image
import pytest

from facegender.lab.datasets.store import open_store
from facegender.lab.effects import DEGRADATIONS, degrade, degrade_mixed
from facegender.lab.evaluation.crossval import split_examples
from facegender.lab.evaluation.metrics import brier_score
from facegender.lab.evaluation.reliability import measure_reliability, risk_coverage
from facegender.lab.training.loop import train
from facegender.lab.training.recipe import Recipe


def test_brier_score():
    assert brier_score(np.array([1, 0, 1]), np.array([0.5, 0.5, 1.0])) == pytest.approx(0.5 / 3)


def test_risk_and_coverage_by_hand():
    labels, p_male = np.array([1, 0, 1, 0]), np.array([0.9, 0.2, 0.3, 0.05])
    coverage, risk = risk_coverage(labels, p_male)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 0, 0, 0.25])


def test_a_promise_that_is_kept():
    """Of faces with 0.9, nine in ten are male."""
    labels = np.array(([1] * 9 + [0]) * 100 + ([0] * 9 + [1]) * 100)
    p_male = np.array([0.9] * 1000 + [0.1] * 1000)
    row = measure_reliability("made", "none", "all", labels, p_male, lambda rate: 0.5 if rate > 0.01 else 0.95)
    assert (row.count, row.accuracy) == (2000, 0.9)
    assert row.ece < 1e-9
    assert row.brier == pytest.approx(0.09)
    assert (row.coverage_1, row.coverage_2) == (0, 1)
    assert row.error_2 == pytest.approx(0.1)
    assert row.reachable_2 < 0.02


@pytest.fixture
def crops(astronaut):
    face = np.asarray(PIL.Image.fromarray(astronaut[60:190, 160:290]).resize((64, 64)))
    return np.stack([face, face[:, ::-1], face // 2])


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_every_damage_changes_a_face_and_keeps_its_form(crops, name):
    before = crops.copy()
    poor = degrade(crops, name)
    assert np.array_equal(crops, before)
    assert (poor.shape, poor.dtype) == (crops.shape, np.uint8)
    assert np.abs(poor.astype(int) - crops).mean() > 0.5
    assert np.array_equal(poor, degrade(crops, name))


def test_fewer_pixels_are_more_damage(crops):
    lost = [np.abs(degrade(crops, f"{side} px").astype(int) - crops).mean() for side in (32, 24, 16, 12)]
    assert lost == sorted(lost)
    assert len({crop.tobytes() for crop in degrade_mixed(np.repeat(crops[:1], 12, axis=0))}) > 3


def test_no_thresholds_no_coverage(invoke, store_folder, tmp_path):
    store = open_store(store_folder)
    recipe = Recipe(epochs=1, batch_size=20, precision="32-true", population_statistics=False)
    train(recipe, split_examples(store), tmp_path / "run")
    shown = invoke("calibration", tmp_path / "run", store_folder, "-o", tmp_path / "out")
    assert "has no thresholds" in shown.output
    assert "100.0" not in shown.stdout
    with (tmp_path / "out" / "calibration.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row[name] for row in rows for name in ("coverage_1", "error_1", "coverage_2", "error_2")} == {""}
    assert all(row["model"] == "run" and row["reachable_2"] for row in rows)


def test_the_command(invoke, tiny_model, store_folder, tmp_path):
    invoke("calibration", tiny_model, store_folder, "-o", tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"calibration.csv", "reliability.png", "risk_coverage.png"}
    with (tmp_path / "calibration.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["damage"] for row in rows} == {"none", *DEGRADATIONS}
    assert rows[0]["group"] == "all"
    assert 0 <= float(rows[0]["ece"]) <= 1
