"""Averaged weights and measured statistics, against what they should be."""

import numpy as np
import pytest
import torch
from torch import nn

from facegender.lab.networks.classifier import CropClassifier
from facegender.lab.networks.registry import network
from facegender.lab.training.optimization import measure_population, moving_average


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_the_average_forgets_the_start(decay):
    """The first update is taken whole, and the decay grows to its greatest."""
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = moving_average(model, decay)
    assert not average.training
    assert average.module[0].weight is not model[0].weight
    expected = None
    for count in range(30):
        with torch.no_grad():
            model[0].weight.normal_()
        model(torch.randn(4, 2))
        average.update_parameters(model)
        values = [model[0].weight.detach().clone(), model[1].running_mean.clone()]
        kept = min(decay, (1 + count) / (10 + count))
        expected = values if not count else [kept * a + (1 - kept) * b for a, b in zip(expected, values, strict=True)]
    torch.testing.assert_close([average.module[0].weight.detach(), average.module[1].running_mean], expected)
    assert average.module[1].num_batches_tracked == 30


def test_an_average_goes_on_from_its_state():
    model = nn.Linear(2, 3)
    one, other = moving_average(model, 0.9), moving_average(nn.Linear(2, 3), 0.9)
    for number in range(6):
        if number == 3:
            other.load_state_dict(one.state_dict())
        with torch.no_grad():
            model.weight.normal_()
        one.update_parameters(model)
        if number >= 3:
            other.update_parameters(model)
    assert torch.equal(one.module.weight, other.module.weight)


@pytest.mark.parametrize("name", ["custom-cnn-table1", "residual-nano"])
def test_population_statistics_are_those_of_the_crops(store, name):
    torch.manual_seed(0)
    classifier = CropClassifier(network(name, dropout=0.5), (127.5,) * 3, (64.0,) * 3)
    index = np.arange(5, 45)
    measure_population(classifier, store.crops, index, 20)
    assert not any(module.training for module in classifier.modules())
    norms = [module for module in classifier.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}
    body = classifier.body
    first, norm = (body.blocks[0].conv, body.blocks[0].norm) if name.startswith("custom") else body.stem
    with torch.no_grad():
        x = first(classifier.normalise(torch.from_numpy(np.array(store.crops[index]))))
    torch.testing.assert_close(norm.running_mean, x.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
