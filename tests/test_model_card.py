"""MODEL_CARD.md is what its script writes from the weights and the results."""

import importlib.util
import json
from pathlib import Path

import pytest

from facegender import weights
from facegender.lab.export.groups import groups, groups_path

ROOT = Path(__file__).parents[1]


def test_no_number_in_it_is_typed_by_hand():
    spec = importlib.util.spec_from_file_location("model_card", ROOT / "scripts" / "model_card.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert written == script.model_card(), "run: python scripts/model_card.py"


@pytest.mark.parametrize("name", weights.list_models())
def test_groups_beside_the_weights_are_those_of_the_audits(name):
    text = groups_path(name).read_text(encoding="utf-8")
    assert text == groups(name, ROOT / "results" / "accuracy")
    assert {each["dataset"] for each in json.loads(text)} >= {"fairface", "utkface"}
