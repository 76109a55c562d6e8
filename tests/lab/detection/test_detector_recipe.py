"""The detector's recipe: what ships, what is refused, and how any recipe is read."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
import tomli_w

from facegender.errors import RecipeError
from facegender.lab.detection.recipe import (
    DetectorRecipe,
    SceneSettings,
    load_detector_recipe,
)
from facegender.lab.training.settings import Limited, build_settings, read_settings, recipe_names


def test_what_ships_is_the_default():
    assert load_detector_recipe("detector") == DetectorRecipe()


def test_it_survives_writing(tmp_path):
    recipe = DetectorRecipe(steps=7, scenes=SceneSettings(canvas=96, gray=0.5))
    (tmp_path / "copy.toml").write_text(tomli_w.dumps(recipe.to_dict()))
    assert load_detector_recipe(tmp_path / "copy.toml") == recipe
    assert build_settings(DetectorRecipe, recipe.to_dict(), "recipe") == recipe


def test_options_replace_settings():
    recipe = load_detector_recipe("detector", steps=12, seed=None, precision="32-true")
    assert (recipe.steps, recipe.seed, recipe.precision) == (12, DetectorRecipe().seed, "32-true")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 3}, "unknown setting 'epochs'.*steps"),
        ({"steps": 0}, "recipe: steps must lie between 1 and"),
        ({"batch_size": 2.5}, "batch_size = 2.5 is not int"),
        ({"precision": "64"}, "'32-true', 'bf16-mixed'"),
        ({"ema": 1.0}, "ema must lie"),
        ({"per_source": 0}, "per_source must lie"),
        ({"scenes": {"canvas": 100}}, r"recipe\.scenes: canvas must be a multiple of 32"),
        ({"scenes": {"canvas": 32}}, "canvas must lie between 64 and"),
        ({"scenes": {"smallest_face": 50.0, "largest_face": 50.0}}, "smallest_face below largest_face"),
        ({"scenes": {"jpeg": 1.5}}, "jpeg must lie between 0 and 1"),
        ({"scenes": {"twist": 1.0}}, r"recipe\.scenes: unknown setting 'twist'"),
        ({"scenes": 3}, "scenes = 3"),
    ],
)
def test_a_wrong_setting_is_named(values, message):
    with pytest.raises(RecipeError, match=message):
        build_settings(DetectorRecipe, values, "recipe")


def test_no_such_recipe(tmp_path):
    with pytest.raises(RecipeError, match=r"no recipe 'paper'.*detector"):
        load_detector_recipe("paper")
    with pytest.raises(RecipeError, match="no recipe"):
        load_detector_recipe(tmp_path / "absent.toml")


@dataclass(frozen=True)
class Inner:
    depth: float = 1.0


@dataclass(frozen=True)
class Settings(Limited):
    kind: Literal["one", "two"] = "one"
    count: Annotated[int, 1, 3] = 1
    on: bool = False
    inner: Inner = field(default_factory=Inner)


def test_settings_of_any_kind(tmp_path):
    (tmp_path / "mine.toml").write_text('kind = "two"\n[inner]\ndepth = 2\n')
    (tmp_path / "notes.txt").write_text("")
    assert recipe_names(tmp_path) == ["mine"]
    expected = Settings("two", 3, True, Inner(2.0))
    assert read_settings(Settings, "mine", tmp_path, {"count": 3, "on": True, "kind": None}) == expected
    assert read_settings(Settings, tmp_path / "mine.toml", tmp_path, {"count": 3, "on": True}) == expected


@pytest.mark.parametrize(
    "values", [{"count": True}, {"count": 4}, {"on": 1}, {"kind": 1}, {"inner": {"depth": True}}], ids=str
)
def test_values_of_the_wrong_kind(values):
    with pytest.raises(RecipeError, match=r"^here"):
        build_settings(Settings, values, "here")
