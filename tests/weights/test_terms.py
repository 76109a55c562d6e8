"""The terms of use are said once to each user."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from facegender.weights import load_card
from facegender.weights.terms import first_use, short_terms


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "settings"))
    return tmp_path / "settings"


def test_once_a_network(settings):
    default, other = load_card(), load_card("open")
    assert default.licence in first_use(default)
    assert first_use(default) is None
    assert other.licence in first_use(other)
    assert [path.name for path in settings.iterdir()] == ["facegender"]


def test_where_it_cannot_be_noted_it_is_said_each_time(settings):
    settings.write_text("a file where the folder should be")
    card = load_card()
    assert [card.licence in (first_use(card) or "") for _ in range(2)] == [True, True]


def test_after_a_run_they_are_short():
    assert short_terms(load_card()) == "model research: non-commercial research only (terms: MODEL_CARD.md)"
    assert short_terms(load_card("open")) == "model open: FairFace, CC BY 4.0 (terms: MODEL_CARD.md)"
    own = replace(load_card(), name="own")
    assert short_terms(replace(own, licence="MIT")) == "model own: MIT"
    assert short_terms(own) == "model own: non-commercial research only (terms: own.json)"


def test_the_first_run_says_them_and_each_run_ends_with_them(settings, save):
    photo = save("dot.png", np.zeros((9, 9, 3), np.uint8))
    command = [sys.executable, "-m", "facegender", "predict", photo, "--format", "csv"]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stderr for _ in range(2))
    assert first.startswith("terms of use of the default network, research: ")
    assert "1 photo in" in second.splitlines()[0]
    assert first.splitlines()[-1] == second.splitlines()[-1] == short_terms(load_card())
