import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import InputError
from facegender.lab.evaluation.metrics import accuracy_interval, wilson_interval
from facegender.lab.evaluation.subgroups import grouping_attributes, subgroups


def test_each_value_and_gender_is_counted(store):
    index = store.split("test")
    right = np.arange(len(index)) % 4 > 0
    groups = {(g.value, g.gender): g for g in subgroups(store, index, right, "race")}
    assert set(groups) == {(value, gender) for value in ("East", "West") for gender in ("female", "male", "both")}
    places = [place for place, i in enumerate(index) if store.attributes["race"][i] == "East" and store.labels[i] == 1]
    east_men = groups["East", "male"]
    assert (east_men.count, east_men.right) == (len(places), right[places].sum())
    people = [store.identities[index[place]] for place in places]
    assert east_men.interval == accuracy_interval(right[places], people)
    low, high = wilson_interval(east_men.right, east_men.count)
    assert east_men.interval[0] < low < high < east_men.interval[1]
    for value in ("East", "West"):
        assert groups[value, "both"].count == groups[value, "female"].count + groups[value, "male"].count


def test_ages_in_years_become_age_groups_in_their_order(store):
    ages = [("0", "2", "3", "9", "70", "116", "60-69", "")[i % 8] for i in range(len(store))]
    aged = replace(store, attributes={**store.attributes, "age": ages})
    index = np.arange(len(store))
    groups = [g for g in subgroups(aged, index, np.ones(len(index), bool), "age") if g.gender == "both"]
    assert [g.value for g in groups] == ["0-2", "3-9", "60-69", "more than 70", "unknown"]
    assert [g.count for g in groups] == [30, 30, 15, 30, 15]


def test_what_makes_groups(store):
    attributes = {**store.attributes, "age": [str(i) for i in range(len(store))], "serial": store.images}
    # Everybody was found, and every serial number is another.
    assert grouping_attributes(replace(store, attributes=attributes)) == ["race", "age"]


def test_an_unknown_attribute(store):
    with pytest.raises(InputError, match=r"no attribute 'height'.*race, found"):
        subgroups(store, np.arange(3), np.ones(3, bool), "height")


def test_the_command(store_folder, store, tiny_model):
    def run(*options):
        result = CliRunner().invoke(app, ["evaluate", str(store_folder), str(tiny_model), "--by", "race", *options])
        assert result.exit_code == 0, result.output
        return result.stdout

    record = json.loads(run("--format", "json", "--split", "all"))
    assert record["metrics"]["count"] == len(store)
    everyone, east = record["groups"][2], record["groups"][5]
    assert (everyone["gender"], everyone["count"]) == ("both", len(store))
    assert everyone["accuracy"] == pytest.approx(record["metrics"]["accuracy"], abs=1e-5)
    assert (east["attribute"], east["value"], east["gender"]) == ("race", "East", "both")
    rows = list(csv.DictReader(run("--format", "csv").splitlines()))
    assert len(rows) == 9
    assert int(rows[2]["count"]) == len(store.split("test"))
    assert "race: West" in run()
