"""What the three scales promise."""

from dataclasses import replace

import pytest

from facegender.lab.networks.counting import parameters
from facegender.lab.paper import published
from facegender.lab.paper.scale import ALL_FOLDS, full, quick, standard
from facegender.lab.training.recipe import load_recipe
from facegender.lab.training.settings import read_changes


@pytest.mark.parametrize("scale", [quick(), standard(), full()])
def test_every_scale_runs_the_three_networks_and_crosses_datasets(scale):
    assert {run.network for run in scale.fold_runs} == {"custom CNN", "AlexNet", "GoogLeNet"}
    assert len({run.key for run in scale.fold_runs}) == len(scale.fold_runs)
    assert scale.cross[0][0] == "custom CNN"
    assert {run.assignment for run in scale.fold_runs} == {"random"}
    assert {(run.network, run.assignment) for run in scale.person_runs} == {("custom CNN", "identity")}
    assert scale.benchmark_networks == ("custom-cnn-table1", "custom-cnn-table3", "googlenet", "alexnet")


def test_in_full_it_is_the_papers_protocol():
    runs = full().fold_runs
    assert all(run.folds == ALL_FOLDS for run in runs)
    papers = {(run.network, run.recipe.colour): run.recipe for run in runs if run.key.startswith("paper")}
    assert len(papers) == 6
    for (network, _), recipe in papers.items():
        assert (recipe.optimizer, recipe.learning_rate, recipe.momentum) == ("sgd", 0.1, 0.9)
        assert (recipe.weight_decay, recipe.decay, recipe.decay_epochs) == (0.001, 0.9, 10)
        (printed,) = (row for row in published.table4() if row.network == network)
        assert recipe.batch_size == printed.mini_batch == (500 if network == "custom CNN" else 30)
    sizes = {network: recipe.describe().input_size for (network, _), recipe in papers.items()}
    assert sizes == {"custom CNN": 64, "AlexNet": 227, "GoogLeNet": 224}
    assert parameters(papers["AlexNet", "rgb"].describe()) == 58_289_538


def test_a_command_has_what_differs_from_the_recipe():
    commands = {run.key: run.command for run in standard().fold_runs}
    baseline = "--recipe tuned-baseline --set network=googlenet --set input_size=112 --set epochs=2"
    assert commands["tuned-googlenet-rgb"].split(" --only 10 ")[1] == f"{baseline} --output tuned-googlenet-rgb"
    assert commands["paper-custom-gray"].endswith("--recipe paper --set colour=gray --output paper-custom-gray")
    assert "--only" not in full().fold_runs[0].command
    paper = load_recipe("paper")
    recipe = replace(paper, population_statistics=False, augmentation=replace(paper.augmentation, flip=True, blur=0.2))
    words = recipe.command_options().split()
    assert words[:2] == ["--recipe", "paper"]
    assert load_recipe("paper", **read_changes(words[3::2])) == recipe


def test_terms_say_how_far_a_run_is_from_the_papers():
    terms = {run.key: run.terms for run in standard().fold_runs}
    assert terms["paper-custom-rgb"] == "the paper's, rgb, input 64, 20 epochs, fold 10"
    assert terms["tuned-googlenet-rgb"] == "ours, rgb, input 112, 2 epochs, fold 10"
    assert {run.terms for run in full().fold_runs if run.key == "tuned-custom-gray"} == {
        "ours, gray, input 64, 20 epochs, 10 folds"
    }
