"""MODEL_CARD.md is what its script writes from the weights and the results."""

import json
import re
from pathlib import Path

import model_card
import pytest

from facegender import weights
from facegender.lab.export.groups import groups, groups_path

ROOT = Path(__file__).parents[1]


def test_no_number_in_it_is_typed_by_hand():
    written = (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert written == model_card.model_card(), "run: python scripts/model_card.py"


@pytest.mark.parametrize(
    ("columns", "values", "shown"),
    [
        ("face_size x gender", "48-95 x female", "face size 48-95 px x female"),
        ("face_size x gender", "more than 192 x male", "face size more than 192 px x male"),
        ("face_size x gender", "unknown x male", "face size unknown x male"),
        ("age x gender", "60-69 x female", "age 60-69 x female"),
        ("race x gender", "Latino_Hispanic x male", "race Latino Hispanic x male"),
    ],
)
def test_a_group_has_its_column_and_unit(columns, values, shown):
    assert model_card.group({"columns": columns, "values": values}) == shown


def test_every_group_in_it_has_its_column():
    written = (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*) x (?:female|male)[†*]* \|", written, re.MULTILINE)
    assert len(rows) > 100
    assert {row.split(" ")[0] for row in rows} == {"face", "age", "race"}


@pytest.mark.parametrize("name", weights.list_models())
def test_groups_beside_the_weights_are_those_of_the_audits(name):
    text = groups_path(name).read_text(encoding="utf-8")
    assert text == groups(name, ROOT / "results" / "accuracy")
    assert {each["dataset"] for each in json.loads(text)} >= {"fairface", "utkface"}
