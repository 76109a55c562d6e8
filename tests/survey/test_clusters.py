"""Photos that belong together are drawn together: the coverage of the intervals, and what is said of them."""

import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import InputError
from facegender.survey.estimate import survey
from facegender.survey.groups import Clusters, clusters_of, design_effect
from facegender.survey.labels import Labelled
from facegender.survey.measuring import local_rates
from facegender.survey.method import method_text
from facegender.survey.results import Results

from .conftest import answer, draw, photo


def events(count, seed=0, spread=0.4):
    """Events of about 20 photos of one person, in some of them nearly all women, in others nearly all men: half of all.

    Returns:
        the collection and the gender of each face.
    """
    rng = np.random.default_rng(seed)
    event = np.repeat(np.arange(count), 1 + rng.poisson(19, count))
    genders = (rng.random(len(event)) >= rng.beta(spread, spread, count)[event]).astype(int)
    quality, p_male = draw(rng, genders)
    photos = pd.DataFrame({"path": [f"{i}.jpg" for i in range(len(event))], "weight": 1.0, "error_kind": None})
    faces = {"photo": range(len(event)), "face": 0, "quality": quality, "p_male": p_male, "seconds": 1.0}
    faces = pd.DataFrame(faces).assign(label=[answer(p) for p in p_male])
    return Results("photos", photos.assign(event=event), faces, []), genders


def labels(genders, count, seed=0):
    """Labels of some faces at random."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(genders))[:count])
    return Labelled(rows, genders[rows], np.ones(count), (0, 0), 0)


@pytest.mark.parametrize(("count", "labelled"), [(40, None), (12, None), (40, 200)])
def test_intervals_of_clusters_hold_what_they_promise_and_those_of_photos_do_not(rates, count, labelled):
    """Of 60 collections whose events are a sample of such events, of which women are half."""
    held = {"event": 0, None: 0}
    for number in range(60):
        some, genders = events(count, number)
        known = None if labelled is None else labels(genders, labelled, number)
        for column in held:
            drawn = None if column is None else clusters_of(some.photos, column)
            used = rates if known is None else local_rates(some, known, source="", command="", clusters=drawn)
            row = survey(
                some, used, labelled=known, target="beyond", replicates=100, seed=number, clusters=drawn
            ).everyone
            held[column] += row.women_low <= 0.5 <= row.women_high
    assert held["event"] >= 54
    assert held[None] <= 42


def test_the_interval_of_photos_with_a_woman_is_of_clusters_too(rates):
    some, _ = events(40)
    photos = some.photos.iloc[::2].reset_index(drop=True)
    pairs = Results("photos", photos, some.faces.assign(photo=some.faces["photo"] // 2), [])
    clusters = clusters_of(photos, "event")
    single, whole = (
        survey(pairs, rates, unit="photos", replicates=200, clusters=each).everyone for each in (None, clusters)
    )
    assert (single.women, single.men) == (whole.women, whole.men)
    for word in ("women", "men"):
        low, high = f"{word}_low", f"{word}_high"
        assert getattr(whole, high) - getattr(whole, low) > 1.5 * (getattr(single, high) - getattr(single, low))
    assert whole.clusters == 40
    assert whole.design_effect > 2


def test_clusters_of_one_photo_each_change_nothing(rates):
    some, _ = events(20)
    single = survey(some, rates, replicates=200)
    whole = survey(some, rates, replicates=200, clusters=clusters_of(some.photos, "path"))
    for name in ("women", "women_low", "women_high", "clusters", "fit_p"):
        assert getattr(whole.everyone, name) == getattr(single.everyone, name)
    assert whole.everyone.design_effect == pytest.approx(1)
    assert any("No two photos have the same path" in text for text in whole.warnings)


def test_films_are_clusters_by_themselves_and_of_a_column(rates):
    some, _ = events(40)
    photos = some.photos[:40].assign(channel=np.arange(40) % 15)
    films = Results(
        "videos", photos, some.faces.assign(photo=some.photos["event"].to_numpy(), face=range(len(some.faces))), []
    )
    by_film, named = (
        survey(films, rates, replicates=200, clusters=each)
        for each in (None, replace(clusters_of(films.photos, "path"), column="film"))
    )
    assert (by_film.everyone.women_low, by_film.everyone.women_high) == (
        named.everyone.women_low,
        named.everyone.women_high,
    )
    by_channel = survey(films, rates, replicates=200, clusters=clusters_of(films.photos, "channel"))
    assert (by_channel.everyone.clusters, by_channel.resampled) == (15, "clusters")
    assert "A cluster is all videos with the same value in the column *channel*" in method_text(by_channel)[2]


@pytest.mark.parametrize("unit", ["faces", "photos"])
def test_fewer_clusters_are_named_rough_and_the_fewest_have_no_interval(rates, unit):
    some, _ = events(35)
    some.photos["part"] = np.where(some.photos["event"] < 9, "few", "many")
    found = survey(
        some, rates, unit=unit, replicates=100, group_by=["part"], clusters=clusters_of(some.photos, "event")
    )
    few, many = found.groups
    assert (few.clusters, few.interval, few.women_low, few.men_high) == (9, "none: fewer than 10 clusters", None, None)
    assert few.women is not None
    assert many.women_low < many.women < many.women_high
    assert any("No interval from fewer than 10 clusters (few)" in text for text in found.warnings)
    assert (
        "Fewer than 30 clusters to resample; the interval is only rough, and may be too narrow: many." in found.warnings
    )


def test_photos_without_a_value_are_clusters_of_their_own(rates):
    some, _ = events(30)
    some.photos["event"] = some.photos["event"].astype(object)
    some.photos.loc[:16, "event"] = [None, float("nan"), ""] * 5 + [" ", None]
    clusters = clusters_of(some.photos, "event")
    assert clusters.single == 17
    found = survey(some, rates, replicates=100, clusters=clusters)
    assert found.everyone.clusters == some.photos["event"].iloc[17:].nunique() + 17
    assert any(text.startswith("17 photos have no event, and each counts as a cluster") for text in found.warnings)
    assert "17 photos without a value there are each a cluster of their own." in method_text(found)[2]


def test_the_column_of_clusters_has_to_be_there_and_values_are_words():
    photos = pd.DataFrame({"path": list("abcd"), "when": [1990.0, "1990", "Fête", " Fête "]})
    assert clusters_of(photos, "when").codes.tolist() == [0, 0, 1, 1]
    with pytest.raises(InputError, match="have a column 'event'") as caught:
        clusters_of(photos, "event")
    assert "path, when" in str(caught.value.remedy)


def test_clusters_and_these_photos_alone_are_refused(rates):
    some, genders = events(30)
    clusters = clusters_of(some.photos, "event")
    with pytest.raises(InputError, match="draw no others") as caught:
        survey(some, rates, target="these", clusters=clusters)
    assert "--target beyond" in str(caught.value.remedy)
    known = labels(genders, len(genders))
    used = local_rates(some, known, source="", command="", clusters=clusters)
    assert survey(some, used, labelled=known, replicates=100, clusters=clusters).target == "beyond"


def test_a_design_effect_is_the_ratio_of_two_variances():
    cluster = np.repeat(np.arange(50), 8)
    value = np.random.default_rng(0).standard_normal(50)[cluster]
    assert design_effect(value - value.mean(), np.arange(400), cluster) == pytest.approx(8, rel=0.03)
    assert design_effect(np.zeros(4), np.arange(4), np.arange(4)) is None
    assert design_effect(np.array([1.0, -1.0]), np.arange(2), np.zeros(2, int)) is None


def test_labels_of_one_cluster_are_one_observation():
    some, genders = events(30, spread=5)
    known = labels(genders, len(genders))
    one = known.among((some.photos["event"] == 3).to_numpy())
    several = local_rates(some, one, source="", command="")
    single = local_rates(some, one, source="", command="", clusters=clusters_of(some.photos, "event"))
    assert (several.female + several.male).sum() == pytest.approx(len(one.rows))
    assert (single.female + single.male).sum() == pytest.approx(1)
    nobody = Clusters("event", np.arange(len(genders)), 0)
    each = local_rates(some, one, source="", command="", clusters=nobody)
    np.testing.assert_allclose(each.female, several.female)


def test_every_output_names_the_clusters(write, tmp_path, rates):
    rng = np.random.default_rng(0)
    records, rows = [], []
    for event in range(12):
        for i in range(10 + 30 * (event == 0)):
            records.append(photo(f"{event}/{i}.jpg", zip(*draw(rng, [int(event % 2)]), strict=True)))
            rows.append({"path": records[-1]["path"], "shoot": f"{event}. März", "year": 1990 + event % 2})
    records.append(photo("alone.jpg", zip(*draw(rng, [0]), strict=True)))
    pd.DataFrame(rows).to_csv(tmp_path / "photos.csv", index=False)
    rates.save(tmp_path / "rates.json")
    command = [
        *("survey", write(tmp_path / "faces.jsonl", records), "--rates", tmp_path / "rates.json"),
        *("--metadata", tmp_path / "photos.csv", "--cluster", "shoot", "--bootstrap", 100, "-o", tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, list(map(str, command)), catch_exceptions=False)
    assert done.exit_code == 0
    said = " ".join(done.output.split())
    assert "note: 1 photo has no shoot, and each counts as a cluster of its own." in said
    assert "Fewer than 30 clusters to resample; the interval is only rough" in said
    for heading in ("clusters", "largest", "design", "effect"):
        assert heading in said
    with (tmp_path / "out" / "survey.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["clusters"] == "13"
    assert float(row["largest_cluster"]) == pytest.approx(40 / 151, abs=1e-4)
    assert float(row["design_effect"]) > 5
    record = json.loads((tmp_path / "out" / "survey.json").read_text())
    assert (record["cluster"], record["without_cluster"], record["everyone"]["clusters"]) == ("shoot", 1, 13)
    report = (tmp_path / "out" / "report.md").read_text()
    assert "There are 13 clusters; the largest has 26.5 % of the faces." in report
    assert "whole clusters are resampled with replacement" in report
    assert "| clusters | largest % | design effect |" in report


def test_one_large_cluster_is_said(rates):
    some, _ = events(60)
    some.photos["event"] = np.where(some.photos["event"] < 25, 0, some.photos["event"])
    found = survey(some, rates, replicates=100, clusters=clusters_of(some.photos, "event"))
    assert found.everyone.clusters == 36
    (warning,) = [text for text in found.warnings if "is in one cluster" in text]
    assert f"all ({100 * found.everyone.largest_cluster:.0f} %)" in warning


def test_an_empty_column_changes_no_interval_and_that_is_said(rates):
    some, _ = events(10)
    some.photos["event"] = None
    found = survey(some, rates, replicates=100, clusters=clusters_of(some.photos, "event"))
    assert found.everyone.women_low == survey(some, rates, replicates=100).everyone.women_low
    for words in ("photos have no event", "--cluster does not change the intervals"):
        assert any(words in text for text in found.warnings)
