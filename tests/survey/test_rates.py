"""Error rates: measured from labels, kept in files, found by the model's digest."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from facegender import weights
from facegender.errors import InputError
from facegender.lab.export.rates import write_rates
from facegender.survey.effects import SetCounts
from facegender.survey.labels import Labelled, read_labels
from facegender.survey.measuring import count_rates, local_rates, measure_rates
from facegender.survey.rates import COARSE_SCORES, SCORES, ErrorRates, load_rates, shipped_rates
from facegender.survey.results import Results, read_results
from facegender.tables import write_csv
from facegender.wording import display_name

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
    known = read_labels([path], results)
    assert (known.women, known.men, known.unclear, known.not_found) == (20, 20, 2, (0, 1))
    assert set(results.faces["face"].iloc[known.rows]) == {0}
    assert known.largest
    rates = measure_rates(results, known, source="made", command="pytest")
    assert (rates.female.sum(), rates.male.sum(), rates.not_found) == (20, 20, (0, 1))
    assert rates.model == "tiny"


def test_another_face_by_its_number(results, tmp_path):
    rows = [f"{i}.jpg,{'male' if i % 2 else 'female'},1" for i in range(20)]
    known = read_labels([labels(tmp_path, "path,label,face", *rows, "30.jpg,female,", "31.jpg,male,7")], results)
    assert set(results.faces["face"].iloc[known.rows]) == {1}
    assert not known.largest
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
        read_labels([labels(tmp_path, *lines)], results)


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


@pytest.mark.parametrize("name", weights.list_models())
def test_every_shipped_network_has_rates_of_its_own(write, tmp_path, name):
    card = weights.load_card(name)
    run = {"model": {"name": name, "sha256": card.sha256, "min_confidence": 0.9}}
    rates = shipped_rates(read_results([write(tmp_path / "a.jsonl", [photo("a.jpg")], **run)]))
    assert rates.model == name
    assert rates.detector == weights.load_detector_card().sha256
    assert rates.female.sum() > 1000
    assert rates.male.sum() > 1000
    summary = rates.summary()
    assert sum(row[2] * row[1] for row in summary) / sum(row[1] for row in summary) < 0.2  # women called male
    assert len({some.name for some in rates.sets}) >= 3
    assert {"colour", "gray", "grain"} <= {some.version for some in rates.sets}


def test_unknown_models_have_none(results, write, tmp_path):
    with pytest.raises(InputError, match="error rates of the model tiny"):
        shipped_rates(results)
    with pytest.raises(InputError, match="which model"):
        shipped_rates(replace(results, runs=[]))


def test_labels_drawn_by_score_give_the_share_of_women_in_each_cell(results, tmp_path):
    """Only uncertain faces are labelled in full; with weights the rates are those of all faces."""
    truth = np.tile([0, 1], 2000)
    quality, p_male = draw(np.random.default_rng(5), truth)
    photos = pd.DataFrame({"path": [f"{i}.jpg" for i in range(4000)], "weight": 1.0, "error_kind": None})
    faces = pd.DataFrame({"photo": range(4000), "face": 0, "quality": quality, "p_male": p_male, "seconds": 1.0})
    every = Results("photos", photos, faces.assign(label="uncertain"), [])
    unsure = (p_male > 0.2) & (p_male < 0.8)
    rows = np.flatnonzero(unsure | (np.arange(4000) % 5 == 0) | (np.arange(4000) % 5 == 1))
    weights = np.where(unsure[rows], 1.0, 2.5)
    known = Labelled(rows, truth[rows], weights, (0, 0), 0)
    local = local_rates(every, known, source="made", command="pytest")
    exact = count_rates(quality, p_male, truth)
    assert local.totals.sum() == 4000
    for found, right in zip(local.coarse().summary(), exact.coarse().summary(), strict=True):
        assert found[2] == pytest.approx(right[2], abs=0.03)
        assert found[4] == pytest.approx(right[4], abs=0.03)
    again = ErrorRates.from_dict(json.loads(json.dumps(local.to_dict())))
    for one, other in zip(again.histograms(), local.histograms(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_come_from_the_strata_and_what_was_looked_at(results, tmp_path):
    rows = [
        f"{i}.jpg,{'male' if i % 2 else 'female'},{'a' if i < 20 else 'b'},{40 if i < 20 else 10}" for i in range(30)
    ]
    path = labels(tmp_path, "path,label,stratum,stratum_faces", *rows, "30.jpg,unclear,b,10")
    known = read_labels([path], results)
    assert known.weights.tolist() == [2.0] * 20 + [10 / 11] * 10
    for cell in ("0", "-1", "inf", "many"):
        with pytest.raises(InputError, match="above 0"):
            read_labels([labels(tmp_path, "path,label,weight", f"1.jpg,male,{cell}")], results)


def test_two_labellers(results, tmp_path):
    """20 faces: 16 alike, 2 contradictory, 1 that one cannot tell, 1 that only the first has seen."""
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    words = ["female", "male"] * 10
    one.write_text("path,label\n" + "".join(f"{i}.jpg,{word}\n" for i, word in enumerate(words)))
    words[0], words[1], words[2] = "male", "female", "unclear"
    other.write_text("path,label\n" + "".join(f"{i}.jpg,{word}\n" for i, word in enumerate(words[:19])))
    known = read_labels([one, other], results)
    assert (known.women, known.men, known.unclear) == (8, 9, 3)
    assert (known.agreement.faces, known.agreement.share) == (19, pytest.approx(16 / 19))
    # Chance: women 10/19 * 9/19, men 9/19 * 9/19.
    chance = (10 * 9 + 9 * 9) / 19**2
    assert known.agreement.kappa == pytest.approx((16 / 19 - chance) / (1 - chance))
    assert read_labels([one], results).agreement is None


@pytest.fixture
def five_sets(tmp_path):
    """What studies/survey/sets_faces.py writes: two faces of one network, one not found, and one of another network."""
    folder = tmp_path / "sets"
    folder.mkdir()
    answers = {"version": "gray", "truth": [0, 1, 1], "quality": 0.9, "p_male": [0.1, 0.9, 0.9], "label": "uncertain"}
    rows = pd.DataFrame(answers).assign(model=["open", "open", "research"])
    absent = {"version": "gray", "truth": 1, "quality": None, "p_male": None, "label": None, "model": "open"}
    rows.loc[len(rows)] = absent
    rows.to_csv(folder / "lfw.csv", index=False)
    return folder


def test_shipped_rates_are_of_the_validation_photos_of_the_sets_in_the_card(write, tmp_path, five_sets):
    rng = np.random.default_rng(0)
    card = json.loads(weights.weight_path("open").with_suffix(".json").read_text())
    sets = [words.split()[0] for words in card["validation"]]
    truths = {f"{name}/{i}.jpg": i % 2 for name in ("elsewhere", *sets) for i in range(40)}
    (tmp_path / "open").mkdir()
    records = [photo(path, zip(*draw(rng, (truth,)), strict=True)) for path, truth in truths.items()]
    write(tmp_path / "open" / "validation.jsonl", records)
    known = [
        {"path": path, "label": ("female", "male")[truth], "face": 0, "dataset": path.split("/")[0]}
        for path, truth in truths.items()
    ]
    write_csv(tmp_path / "validation.csv", known)
    with pytest.raises(InputError, match="holds no CSV file"):
        write_rates("open", tmp_path, tmp_path / "nothing", tmp_path)
    write_rates("open", tmp_path, five_sets, tmp_path)
    rates = load_rates(tmp_path / "open.errors.json")
    assert [(one.name, one.version, one.female.sum(), one.male.sum()) for one in rates.sets] == [("lfw", "gray", 1, 1)]
    assert rates.sets[0].not_found == (0, 1)
    assert rates.found() == [("lfw", 1.0, 0.5)]
    assert rates.female.sum() == rates.male.sum() == 20 * len(sets)
    assert all(display_name(name) in rates.source for name in sets)
    assert "elsewhere" not in rates.source


def test_sets_that_no_network_answered_are_refused(write, tmp_path, five_sets):
    card = json.loads(weights.weight_path("open").with_suffix(".json").read_text())
    name = next(iter(card["validation"])).split()[0]
    (tmp_path / "open").mkdir()
    rows = [{"path": f"{i}.jpg", "label": ("female", "male")[i % 2], "face": 0, "dataset": name} for i in range(20)]
    write(tmp_path / "open" / "validation.jsonl", [photo(row["path"], [(0.9, 0.5)]) for row in rows])
    write_csv(tmp_path / "validation.csv", rows)
    pd.read_csv(five_sets / "lfw.csv").assign(p_male=None).to_csv(five_sets / "lfw.csv", index=False)
    with pytest.raises(InputError, match="has no faces that open answered"):
        write_rates("open", tmp_path, five_sets, tmp_path)


def test_how_often_a_face_was_found_where_it_was_counted(rates):
    sets = tuple(
        SetCounts(name, version, rates.female, rates.male, missed)
        for name, version, missed in (
            ("one", "colour", (0, 100)),
            ("one", "gray", (1000, 100)),
            ("other", "colour", None),
            ("other", "gray", (1, 1)),
        )
    )
    known = replace(rates, not_found=(500, 0), sets=sets)
    assert known.found() == [("made faces", 0.8, 1.0), ("one", 0.8, pytest.approx(4000 / 4200))]
    again = ErrorRates.from_dict(json.loads(json.dumps(known.to_dict())))
    assert [some.not_found for some in again.sets] == [(0, 100), (1000, 100), None, (1, 1)]
    assert rates.found() == []
    assert replace(known, totals=rates.female.astype(float)).found()[0][0] == "one"


def test_shipped_files_without_these_counts_are_valid():
    for name in weights.list_models():
        rates = load_rates(weights.weight_path(name).with_suffix(".errors.json"))
        assert rates.found()[0][0] == rates.source
        assert all(0.5 < share < 1 for share in rates.found()[0][1:])


def test_rates_leave_out_what_the_network_has_learned_from(write, tmp_path, five_sets):
    rng = np.random.default_rng(0)
    card = json.loads(weights.weight_path("open").with_suffix(".json").read_text())
    name = next(iter(card["validation"])).removesuffix(" validation")
    truths = {f"{name}/{i}.jpg": i % 2 for i in range(80)}
    (tmp_path / "open").mkdir()
    records = [photo(path, zip(*draw(rng, (truth,)), strict=True)) for path, truth in truths.items()]
    write(tmp_path / "open" / "validation.jsonl", records)
    known = [
        {"path": path, "label": ("female", "male")[truth], "face": 0, "dataset": name, "split": split}
        for (path, truth), split in zip(truths.items(), ["train"] * 40 + ["validation"] * 40, strict=True)
    ]
    write_csv(tmp_path / "validation.csv", known)
    write_rates("open", tmp_path, five_sets, tmp_path)
    rates = load_rates(tmp_path / "open.errors.json")
    assert rates.female.sum() + rates.male.sum() == 40
    write_csv(tmp_path / "validation.csv", known[:40])
    with pytest.raises(InputError, match="open has learned from every photo of fairface"):
        write_rates("open", tmp_path, five_sets, tmp_path)


def test_a_face_that_two_people_do_not_find_counts_once(results, tmp_path):
    rows = [f"{i}.jpg,{'male' if i % 2 else 'female'},1" for i in range(20)]
    path = labels(tmp_path, "path,label,face", *rows, "30.jpg,female,", "31.jpg,female,", "31.jpg,male,")
    assert read_labels([path, path], results).not_found == (2, 1)


def test_labels_of_faces_that_do_not_count_say_nothing_of_the_others(write, tmp_path):
    """Poor faces are nearly all men's; with few labels all faces would share one quality bin."""
    rng = np.random.default_rng(0)
    quality, p_male = draw(rng, truth := (rng.random(1500) >= 0.5).astype(int))
    kept = (quality >= 0.6) | (truth == 1)
    quality, p_male, truth = quality[kept], p_male[kept], truth[kept]
    records = [photo(f"{i}.jpg", [face]) for i, face in enumerate(zip(quality, p_male, strict=True))]
    results = read_results([write(tmp_path / "a.jsonl", records)])
    rows = np.sort(rng.permutation(len(truth))[:100])
    known = Labelled(rows, truth[rows], np.ones(100), (0, 0), 0)
    some = local_rates(results, known, source="", command="", min_quality=0.6)
    good = rows[quality[rows] >= 0.6]
    assert (some.female.sum(), some.male.sum()) == pytest.approx(((truth[good] == 0).sum(), (truth[good] == 1).sum()))
    assert some.totals.sum() == (quality >= 0.6).sum()
    with pytest.raises(InputError, match="0 women's and 0 men's faces of a quality of at least 1 are labelled"):
        local_rates(results, known, source="", command="", min_quality=1.0)


def test_a_file_of_impossible_counts_is_refused(tmp_path, rates):
    record = rates.to_dict() | {"female": [[10**30] * 12] * 4}
    (tmp_path / "a.errors.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="holds no error rates"):
        load_rates(tmp_path / "a.errors.json")
