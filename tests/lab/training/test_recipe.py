import pytest
import tomli_w

from facegender.errors import RecipeError
from facegender.lab.training.recipe import Recipe, load_recipe, recipe_from_dict


def test_the_paper_is_the_default():
    paper = load_recipe("paper")
    assert paper == Recipe()
    assert (paper.optimizer, paper.momentum, paper.batch_size) == ("sgd", 0.9, 500)
    assert (paper.learning_rate, paper.decay, paper.decay_epochs) == (0.1, 0.9, 10)
    assert (paper.weight_decay, paper.dropout) == (0.001, 0.5)


@pytest.mark.parametrize("name", ["paper", "tuned"])
def test_every_recipe_survives_writing(name, tmp_path):
    recipe = load_recipe(name)
    (tmp_path / "copy.toml").write_text(tomli_w.dumps(recipe.to_dict()))
    assert load_recipe(tmp_path / "copy.toml") == recipe


def test_options_replace_settings():
    assert load_recipe("paper", colour="gray", epochs=3, seed=None).colour == "gray"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"epoch": 3}, "unknown setting 'epoch'"),
        ({"epochs": 2.5}, "epochs = 2.5 is not int"),
        ({"epochs": 0}, "epochs must lie between 1 and"),
        ({"seed": -1}, "seed must lie between 0 and"),
        ({"weight_decay": float("nan")}, "weight_decay must lie"),
        ({"input_size": 128}, "custom-cnn-table1 cannot take an input of 128 pixels"),
        ({"network": "alexnet", "input_size": 20}, "alexnet cannot take an input of 20 pixels"),
        ({"augmentation": {"erase": 7.0}}, "erase must lie between 0 and 1"),
        ({"optimizer": "lion"}, "'sgd', 'adamw'"),
        ({"network": "resnet"}, "custom-cnn-table1"),
        ({"learning_rate": -1}, "recipe: learning_rate must lie"),
        ({"dropout": 1.0}, "dropout must lie"),
        ({"augmentation": {"twist": 1.0}}, "unknown setting 'twist'"),
        ({"augmentation": True}, "augmentation"),
    ],
)
def test_a_wrong_setting_is_named(values, told):
    with pytest.raises(RecipeError, match=told):
        recipe_from_dict(values)


def test_no_such_recipe(tmp_path):
    with pytest.raises(RecipeError, match="paper, paper-baseline, tuned"):
        load_recipe("papper")
    (tmp_path / "broken.toml").write_bytes(b"epochs = \xff")
    with pytest.raises(RecipeError, match=r"broken\.toml"):
        load_recipe(tmp_path / "broken.toml")
