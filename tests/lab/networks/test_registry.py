"""Networks by name, and those that others add."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from facegender.errors import RecipeError
from facegender.inference.runtime import Session
from facegender.lab.export import to_onnx
from facegender.lab.networks import registry
from facegender.lab.networks.network import Network
from facegender.lab.networks.registry import describe, network, network_names, register
from facegender.lab.training.hardware import Hardware
from facegender.lab.training.loop import Examples, train
from facegender.lab.training.recipe import Recipe


def test_unknown_network_lists_the_known_ones():
    with pytest.raises(RecipeError, match="custom-cnn-table1, custom-cnn-table3, alexnet, googlenet"):
        network("resnet")
    with pytest.raises(RecipeError, match="dropout"):
        network("alexnet", dropout=1.0)
    with pytest.raises(RecipeError, match="at least one"):
        network("alexnet", channels=0)


@pytest.mark.parametrize("size", [20, 63, 128])
def test_a_size_that_does_not_fit(size):
    with pytest.raises(RecipeError, match=f"custom-cnn-table1 cannot take an input of {size} pixels"):
        describe("custom-cnn-table1", input_size=size)
    with pytest.raises(RecipeError, match="alexnet cannot take an input of 20 pixels"):
        describe("alexnet", input_size=20)


@pytest.mark.parametrize("name", network_names())
def test_dropout_can_be_set(name):
    net = describe(name, dropout=0.1)
    assert {layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)} == {0.1}


class Tiny(Network):
    """Mean colours of a grid of 4 x 4."""

    def __init__(self, channels: int, classes: int, dropout: float, input_size: int) -> None:
        super().__init__(channels, input_size)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.norm = nn.BatchNorm1d(channels * 16)
        self.head = nn.Linear(channels * 16, classes)

    def features(self, x):
        return self.norm(self.pool(x).flatten(1))


@pytest.fixture
def added(monkeypatch):
    """A network that is known for one test."""
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))

    @register
    def tiny_grid(channels: int = 3, classes: int = 2, dropout: float = 0.0, input_size: int = 32) -> Tiny:
        return Tiny(channels, classes, dropout, input_size)

    return "tiny-grid"


def test_a_network_from_outside_is_trained_and_exported(added, store, tmp_path):
    recipe = Recipe(network=added, epochs=1, batch_size=20, precision="32-true", ema=0.9)
    index = np.arange(len(store))
    trained = train(recipe, Examples(store, index), tmp_path, Hardware("cpu"))
    assert isinstance(trained.classifier.body, Tiny)
    assert trained.classifier.size == 32
    assert not torch.equal(trained.classifier.body.norm.weight, torch.ones(48))  # it has learnt
    crops = np.array(store.crops[:4])
    with torch.inference_mode():
        expected = trained.classifier(torch.from_numpy(crops)).softmax(1)[:, 1].numpy()
    np.testing.assert_allclose(Session(to_onnx(trained.classifier), threads=1).run(crops), expected, atol=1e-4)


def test_a_name_is_given_once(added):
    def tiny_grid(**options: Any) -> Tiny:
        return Tiny(**options)

    with pytest.raises(ValueError, match="'tiny-grid' already"):
        register(tiny_grid)
    assert network_names()[-1] == added
