"""Error rates: measured from labels, kept in files, found by the model's digest."""

import json
from dataclasses import replace

import numpy as np
import pytest

from facegender import weights
from facegender.errors import InputError
from facegender.survey.labels import read_labels
from facegender.survey.rates import (
    COARSE_SCORES,
    SCORES,
    count_rates,
    load_rates,
    measure_rates,
    shipped_rates,
)
from facegender.survey.results import read_results

from .conftest import draw, photo


@pytest.fixture
def results(write, tmp_path):
    """60 photos with two faces, the first a woman's if its number is even, the second nobody's."""
    rng = np.random.default_rng(0)
    records = [photo(f"{i}.jpg", zip(*draw(rng, (i % 2, 0)), strict=True)) for i in range(60)]
    return read_results([write(tmp_path / "faces.jsonl", [*records, photo("none.jpg")])])


def labels(tmp_path, *lines):
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_first_face_is_the_labelled_one(results, tmp_path):
    rows = [f"{i}.jpg,{'male' if i % 2 else 'F'}" for i in range(40)]
    path = labels(tmp_path, "path,label", *rows, "50.jpg,unclear", "51.jpg,", "none.jpg,male")
    known = read_labels(path, results)
    assert (known.women, known.men, known.unclear, known.not_found) == (20, 20, 2, (0, 1))
    assert set(results.faces["face"].iloc[known.rows]) == {0}
    rates = measure_rates(results, path, source="made", command="pytest")
    assert (rates.female.sum(), rates.male.sum(), rates.not_found) == (20, 20, (0, 1))
    assert rates.model == "tiny"


def test_another_face_by_its_number(results, tmp_path):
    rows = [f"{i}.jpg,{'male' if i % 2 else 'female'},1" for i in range(20)]
    known = read_labels(labels(tmp_path, "path,label,face", *rows, "30.jpg,female,", "31.jpg,male,7"), results)
    assert set(results.faces["face"].iloc[known.rows]) == {1}
    assert known.not_found == (1, 1)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("path,gender", "1.jpg,male"), "no column named label"),
        (("path,label", "1.jpg,boy"), "the label 'boy'"),
        (("path,label", "x.jpg,male"), "of which there are no results"),
        (("path,label,face", "1.jpg,male,first"), "not a number"),
        (("path,label", "1.jpg,male", "1.jpg,male"), "twice"),
        (("path,label", "1.jpg,male"), "0 women's and 1 men's faces"),
    ],
)
def test_labels_that_make_no_sense(results, tmp_path, lines, message):
    with pytest.raises(InputError, match=message):
        read_labels(labels(tmp_path, *lines), results)


def test_bins_go_with_the_number_of_faces():
    rng = np.random.default_rng(0)
    many, few = np.repeat([0, 1], 2000), np.repeat([0, 1], 40)
    assert count_rates(*draw(rng, many), many).scores == SCORES
    rates = count_rates(*draw(rng, few), few)
    assert rates.scores == COARSE_SCORES
    assert len(rates.qualities) == 2  # the few poor faces go with the others
    assert rates.female.sum() == rates.male.sum() == 40


def test_every_face_has_a_cell(rates):
    cells = rates.cells(np.array([0.0, 0.3, 1.0]), np.array([0.0, 0.5, 1.0]))
    assert cells.min() == 0
    assert cells.max() == rates.female.size - 1


def test_draws_spread_as_the_counts_allow(rates):
    women, _ = rates.histograms()
    drawn, _ = rates.drawn(2000, np.random.default_rng(0))
    assert women.sum(axis=1) == pytest.approx(1)
    np.testing.assert_allclose(drawn.mean(axis=0), women, atol=0.01)
    spread = np.sqrt(women * (1 - women) / rates.female.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(drawn.std(axis=0)[-1], spread[-1], atol=0.003)


def test_a_file_of_rates(rates, tmp_path):
    rates.save(tmp_path / "a.errors.json")
    again = load_rates(tmp_path / "a.errors.json")
    assert again.to_dict() == rates.to_dict()
    record = json.loads((tmp_path / "a.errors.json").read_text())
    for change in ({"format": 9}, {"scores": [0, 2, 1]}, {"female": [[1, 2]]}):
        (tmp_path / "a.errors.json").write_text(json.dumps(record | change))
        with pytest.raises(InputError, match="holds no error rates"):
            load_rates(tmp_path / "a.errors.json")
    with pytest.raises(InputError, match="cannot read"):
        load_rates(tmp_path / "absent.json")


def test_coarse_bins_hold_the_same_faces(rates):
    coarse = rates.coarse()
    assert coarse.scores == COARSE_SCORES
    assert coarse.female.sum(axis=1).tolist() == rates.female.sum(axis=1).tolist()


@pytest.mark.parametrize("name", weights.names())
def test_every_shipped_network_has_rates_of_its_own(write, tmp_path, name):
    card = weights.load_card(name)
    run = {"model": {"name": name, "sha256": card.sha256, "min_confidence": 0.9}}
    rates = shipped_rates(read_results([write(tmp_path / "a.jsonl", [photo("a.jpg")], **run)]))
    assert rates.model == name
    assert rates.detector == weights.load_detector_card().sha256
    assert rates.female.sum() > 1000
    assert rates.male.sum() > 1000
    assert sum(row[2] * row[1] for row in rates.summary()) / rates.female.sum() < 0.2  # women called male


def test_unknown_models_have_none(results, write, tmp_path):
    with pytest.raises(InputError, match="error rates of the model tiny"):
        shipped_rates(results)
    with pytest.raises(InputError, match="which model"):
        shipped_rates(replace(results, runs=[]))
