"""The counts that the paper prints, and those that it should have printed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from facegender.errors import RecipeError
from facegender.lab.networks.accounting import account, as_table3, parameters, total, weight_bytes
from facegender.lab.networks.layers import (
    BatchNorm,
    Branches,
    Conv,
    Dropout,
    Linear,
    MaxPool,
    ReLU,
    Shape,
    conv_size,
    extra_padding,
    output_shape,
    pool_size,
    trace,
)
from facegender.lab.networks.registry import NAMES, network
from facegender.lab.paper import published


def test_table3_is_reproduced_row_by_row():
    rows = as_table3(account(network("custom-cnn-table3")))
    *printed, printed_total = published.table3()
    ours = [(row.layer, row.feature_size, row.weights, row.biases, row.parameters) for row in rows]
    assert ours == [(row.layer, row.feature_size, row.weights, row.biases, row.parameters) for row in printed]
    assert total(rows).parameters == printed_total.parameters == 2_041_796


def test_custom_cnn_has_the_layers_of_table1():
    kinds = {
        Conv: "convolution",
        BatchNorm: "batch normalization",
        ReLU: "relu",
        MaxPool: "max pooling",
        Dropout: "dropout",
        Linear: "fully connected",
    }
    ours = []
    for layer, before, _ in trace((net := network("custom-cnn-table1", channels=1)).layers, net.input_shape):
        match layer:
            case Conv(name, channels, kernel, stride, padding):
                row = (name, channels, kernel, stride, padding)
            case BatchNorm(name):
                row = (name, before.channels, None, None, None)
            case MaxPool(kernel, stride, padding):
                row = (None, None, kernel, stride, padding)
            case Dropout(p):
                row = (None, p, None, None, None)
            case Linear(name, features):
                row = (name, features, None, None, None)
            case _:
                row = (None, None, None, None, None)
        ours.append((kinds[type(layer)], *row))
    named = {"convolution", "batch normalization", "fully connected"}
    printed = [
        (row.type, row.name if row.type in named else None, row.channels, row.kernel, row.stride, row.padding)
        for row in published.table1()
        if row.type not in {"input", "softmax", "cross entropy"}
    ]
    assert ours == printed


@pytest.mark.parametrize(
    ("name", "channels", "classes", "count"),
    [
        ("custom-cnn-table1", 3, 2, 1_785_796),
        ("custom-cnn-table1", 1, 2, 1_785_652),
        ("custom-cnn-table3", 3, 2, 2_041_796),
        ("custom-cnn-table3", 1, 2, 2_041_652),
        ("alexnet", 3, 1000, 62_378_344),
        ("alexnet", 3, 2, 58_289_538),
        ("googlenet", 3, 1000, 6_998_552),
        ("googlenet", 3, 2, 5_975_602),
    ],
)
def test_parameter_counts(name, channels, classes, count):
    assert parameters(network(name, channels=channels, classes=classes)) == count


def test_googlenet_weights_without_biases():
    assert total(account(network("googlenet", classes=1000))).weights == 6_990_272


def test_table1_pools_give_the_sizes_that_frameworks_give():
    net = network("custom-cnn-table1")
    sizes = [
        (before.size, after.size)
        for layer, before, after in trace(net.layers, net.input_shape)
        if isinstance(layer, MaxPool)
    ]
    assert sizes == [(62, 31), (29, 14), (12, 6), (6, 4), (4, 3), (3, 2), (2, 2)]


def test_weight_bytes():
    assert weight_bytes(network("custom-cnn-table1")) == {
        "fp32": 4 * 1_785_796,
        "fp16": 2 * 1_785_796,
        "int8": 1_785_796,
    }


def test_multiplications():
    rows = {row.layer: row for row in account(network("alexnet", classes=1000))}
    assert rows["conv_1"].macs == 55 * 55 * 96 * 11 * 11 * 3
    assert rows["fc_8"].macs == 4096 * 1000
    assert total(list(rows.values())).macs == 1_135_256_096  # ungrouped; the grouped original has 724 M


def test_paper_files_are_complete():
    assert [row.dataset for row in published.table2()] == ["LFW", "CelebA", "IMDB", "WIKI"]
    assert {row.network for row in published.table4()} == {row.network for row in published.figure3()}
    assert [row.accuracy for row in published.figure5()] == [0.95, 0.96, 0.90]
    assert published.table5()[-1] == published.AccuracyRow("custom CNN", 95, 96)
    assert published.table5()[-4].celeba is None


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [("floor", [6, 6, 7]), ("ceil", [6, 7, 7]), ("half_up", [6, 7, 7])],
)
def test_pool_rounding_at_stride_two(rounding, expected):
    assert [pool_size(size, 2, 2, rounding=rounding) for size in (12, 13, 14)] == expected


def test_half_up_and_ceil_differ_at_stride_three():
    assert [pool_size(size, 3, 3, rounding="half_up") for size in (9, 10, 11, 12)] == [3, 3, 4, 4]
    assert [pool_size(size, 3, 3, rounding="ceil") for size in (9, 10, 11, 12)] == [3, 4, 4, 4]


def test_ceil_drops_a_window_that_starts_in_the_padding():
    assert pool_size(7, 2, 2, padding=1, rounding="half_up") == 5
    assert pool_size(7, 2, 2, padding=1, rounding="ceil") == 4
    assert extra_padding(7, MaxPool(2, 2, padding=1, rounding="half_up")) == 1
    assert extra_padding(7, MaxPool(2, 2, padding=1)) == 0


def test_impossible_layers_say_why():
    with pytest.raises(ValueError, match="kernel of 3"):
        conv_size(2, 3)
    with pytest.raises(ValueError, match="window of 3"):
        pool_size(2, 3, 1)
    with pytest.raises(ValueError, match="fully connected"):
        output_shape(Conv("conv", 8, 3), Shape(100, None))
    with pytest.raises(ValueError, match="different sizes"):
        output_shape(Branches("mix", ((Conv("a", 8, 1),), (Conv("b", 8, 3),))), Shape(3, 8))


def test_unknown_network_lists_the_known_ones():
    with pytest.raises(RecipeError, match="custom-cnn-table1, custom-cnn-table3, alexnet, googlenet"):
        network("resnet")
    with pytest.raises(RecipeError, match="dropout"):
        network("alexnet", dropout=1.0)
    with pytest.raises(RecipeError, match="at least one"):
        network("alexnet", channels=0)


@pytest.mark.parametrize("name", NAMES)
def test_dropout_can_be_set(name):
    net = network(name, dropout=0.1)
    assert net.name == name
    assert {layer.p for layer in net.layers if isinstance(layer, Dropout)} == {0.1}


def test_counting_imports_no_torch():
    code = "import sys, facegender.cli.params; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
