import pytest
import tomli_w

from facegender.errors import RecipeError
from facegender.lab.training.recipe import Recipe, load_recipe
from facegender.lab.training.settings import build_settings, read_changes


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


def test_changes_from_the_command_line(tmp_path):
    words = [
        "epochs=3",
        "network=alexnet",
        "precision=32-true",
        "dropout = 0",
        'name="1"',
        "population_statistics=false",
    ]
    recipe = load_recipe("paper", **read_changes(words))
    assert (recipe.epochs, recipe.network, recipe.precision, recipe.dropout) == (3, "alexnet", "32-true", 0.0)
    assert (recipe.name, recipe.population_statistics) == ("1", False)
    assert load_recipe("paper", **read_changes(["epochs=3", "epochs=4"])).epochs == 4
    assert read_changes([]) == {}
    assert read_changes(["name=a=b", "colour="]) == {"name": "a=b", "colour": ""}
    assert read_changes(["name=1\nepochs = 9"]) == {"name": "1\nepochs = 9"}


def test_a_change_within_a_table_keeps_the_rest(tmp_path):
    (tmp_path / "mine.toml").write_text("[augmentation]\nflip = true\nblur = 0.5\n")
    recipe = load_recipe(tmp_path / "mine.toml", **read_changes(["augmentation.blur=0.25", "augmentation.gray=1"]))
    changed = recipe.augmentation
    assert (changed.flip, changed.blur, changed.gray) == (True, 0.25, 1.0)
    assert load_recipe("paper", **read_changes(["augmentation.erase=0.5"])).augmentation.erase == 0.5


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("epochs", "'epochs' is not NAME=VALUE"),
        ("=3", "'=3' is not NAME=VALUE"),
        ("augmentation.=3", "is not NAME=VALUE"),
        ("epoch=3", "paper: unknown setting 'epoch'"),
        ("source=tuned", "unknown setting 'source'"),
        ("epochs=2.5", "epochs = 2.5 is not int"),
        ("epochs=many", "epochs = 'many' is not int"),
        ("epochs.more=2", "epochs = {'more': 2} is not int"),
        ("augmentation=3", "augmentation = 3 is not Augmentation"),
        ("augmentation.twist=1", "unknown setting 'twist'"),
        ("dropout=nan", "dropout must lie between"),
    ],
)
def test_a_wrong_change_is_named(word, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("paper", **read_changes([word]))


@pytest.mark.parametrize(
    ("values", "message"),
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
        ({"first_size": 3}, "first_size must be 8 pixels or more"),
        ({"first_size": 24}, "custom-cnn-table1 cannot take an input of 24 pixels"),
        ({"learning_rate": -1}, "recipe: learning_rate must lie"),
        ({"dropout": 1.0}, "dropout must lie"),
        ({"augmentation": {"twist": 1.0}}, "unknown setting 'twist'"),
        ({"augmentation": True}, "augmentation"),
    ],
)
def test_a_wrong_setting_is_named(values, message):
    with pytest.raises(RecipeError, match=message):
        build_settings(Recipe, values, "recipe")


def test_no_such_recipe(tmp_path):
    with pytest.raises(RecipeError, match="paper, paper-baseline, tuned"):
        load_recipe("papper")
    (tmp_path / "broken.toml").write_bytes(b"epochs = \xff")
    with pytest.raises(RecipeError, match=r"broken\.toml"):
        load_recipe(tmp_path / "broken.toml")
