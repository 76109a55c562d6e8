"""The counts that the paper prints, and those that it should have printed."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import fx, nn

from facegender.lab.networks.counting import as_table3, count_layers, parameters, total, weight_bytes
from facegender.lab.networks.custom_cnn import BLOCKS
from facegender.lab.networks.network import Network
from facegender.lab.networks.registry import describe, network_names
from facegender.lab.paper import published


def test_table3_is_reproduced_row_by_row():
    rows = as_table3(count_layers(describe("custom-cnn-table3")))
    *printed, printed_total = published.table3()
    ours = [(row.layer, row.feature_size, row.weights, row.biases, row.parameters) for row in rows]
    assert ours == [(row.layer, row.feature_size, row.weights, row.biases, row.parameters) for row in printed]
    assert total(rows).parameters == printed_total.parameters == 2_041_796


@pytest.mark.parametrize(("name", "half"), [("custom-cnn-table1", 0.0), ("custom-cnn-table3", 0.5)])
def test_equations_1_to_5_give_the_same(name, half):
    """The paper's arithmetic: sizes by equations 1 and 2, pools rounded down or half up, weights by 3 to 5."""
    rows = {row.layer: row for row in count_layers(describe(name))}
    size, channels = 64, 3
    for number, (kernels, padding) in enumerate(BLOCKS):
        size = size - 3 + 2 * padding + 1  # equation 1, stride 1
        conv, norm = rows[f"blocks.{number}.conv"], rows[f"blocks.{number}.norm"]
        assert conv.feature_size == norm.feature_size == f"{size}x{size}x{kernels}"
        assert (conv.weights, conv.biases) == (3 * 3 * channels * kernels, kernels)  # equation 3
        assert conv.macs == conv.weights * size * size
        assert (norm.weights, norm.biases, norm.macs) == (0, 2 * kernels, 0)
        size = int((size + 2 * padding - 2) / 2 + half) + 1  # equation 2, with the padding that it leaves out
        channels = kernels
    read = size * size * channels
    for layer, given in (("fc_1", 100), ("fc_2", 50), ("head", 2)):
        assert (rows[layer].weights, rows[layer].biases) == (read * given, given)  # equations 4 and 5
        assert (rows[layer].feature_size, rows[layer].macs) == (f"{given}x1", read * given)
        read = given


def test_custom_cnn_has_the_layers_of_table1():
    net = describe("custom-cnn-table1", channels=1)
    modules = dict(net.named_modules())
    ours = []
    for node in fx.symbolic_trace(net).graph.nodes:
        layer = modules.get(node.target)
        match layer:
            case nn.Conv2d():
                place = (layer.out_channels, layer.kernel_size[0], layer.stride[0], layer.padding[0])
                ours.append(("convolution", *place))
            case nn.BatchNorm2d():
                ours.append(("batch normalization", layer.num_features, None, None, None))
            case nn.Dropout():
                ours.append(("dropout", layer.p, None, None, None))
            case nn.Linear():
                ours.append(("fully connected", layer.out_features, None, None, None))
            case _ if node.target is nn.functional.relu:
                ours.append(("relu", None, None, None, None))
            case _ if node.target is nn.functional.max_pool2d:
                stride, padding = node.kwargs["stride"], node.kwargs["padding"]
                ours.append(("max pooling", None, node.args[1], stride, padding))
    printed = [
        (row.type, row.channels, row.kernel, row.stride, row.padding)
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
        ("residual", 3, 2, 855_314),
        ("residual-wide", 3, 2, 1_091_738),
        ("residual-nano", 3, 2, 168_202),
    ],
)
def test_parameter_counts(name, channels, classes, count):
    net = describe(name, channels=channels, classes=classes)
    assert parameters(net) == total(count_layers(net)).parameters == count


def test_googlenet_weights_without_biases():
    assert total(count_layers(describe("googlenet", classes=1000))).weights == 6_990_272


def test_table1_pools_give_the_sizes_that_frameworks_give():
    net = describe("custom-cnn-table1")
    sizes = []
    for block in net.blocks:
        block.pool.register_forward_hook(lambda _, inputs, out: sizes.append((inputs[0].shape[-1], out.shape[-1])))
    count_layers(net)
    assert sizes == [(62, 31), (29, 14), (12, 6), (6, 4), (4, 3), (3, 2), (2, 2)]


def test_weight_bytes():
    assert weight_bytes(describe("custom-cnn-table1")) == {
        "fp32": 4 * 1_785_796,
        "fp16": 2 * 1_785_796,
        "int8": 1_785_796,
    }


def test_multiplications():
    rows = {row.layer: row for row in count_layers(describe("alexnet", classes=1000))}
    assert rows["conv_1"].macs == 55 * 55 * 96 * 11 * 11 * 3
    assert rows["head"].macs == 4096 * 1000
    assert total(list(rows.values())).macs == 1_135_256_096  # ungrouped; the grouped original has 724 M


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("custom-cnn-table1", 11_888_588),
        ("custom-cnn-table3", 21_125_580),
        ("googlenet", 1_581_649_920),
        ("residual", 27_547_312),
        ("residual-wide", 40_436_232),
        ("residual-nano", 5_368_696),
    ],
)
def test_multiplications_of_the_others(name, macs):
    assert total(count_layers(describe(name))).macs == macs


class Grouped(Network):
    """Grouped, strided and oblong convolutions, one of them used for its values only after the head's input."""

    def __init__(self):
        super().__init__(4, 9)
        self.depthwise = nn.Conv2d(4, 8, (3, 1), stride=2, groups=4, bias=False)
        self.scale = nn.Parameter(torch.ones(1))
        self.head = nn.Linear(8 * 4 * 5, 3)

    def features(self, x):
        return self.scale * self.depthwise(x).flatten(1)


def test_groups_strides_and_oblong_kernels():
    network = Grouped().eval()
    rows = {row.layer: row for row in count_layers(network)}
    assert rows["depthwise"].feature_size == "5x4x8"
    assert (rows["depthwise"].weights, rows["depthwise"].biases) == (8 * 3, 0)
    assert rows["depthwise"].macs == 8 * 3 * 4 * 5
    assert rows["head"].macs == 160 * 3
    assert sum(row.parameters for row in rows.values()) == parameters(network) == 24 + 1 + 483
    assert not any(module._forward_hooks for module in network.modules())


def test_paper_files_are_complete():
    assert [row.dataset for row in published.table2()] == ["LFW", "CelebA", "IMDB", "WIKI"]
    assert {row.network for row in published.table4()} == {row.network for row in published.figure3()}
    assert [row.accuracy for row in published.figure5()] == [0.95, 0.96, 0.90]
    assert published.table5()[-1] == published.AccuracyRow("custom CNN", 95, 96)
    assert published.table5()[-4].celeba is None


@pytest.mark.parametrize("name", network_names())
def test_counting_costs_no_memory(name):
    assert {p.device.type for p in describe(name).parameters()} == {"meta"}


def test_the_command_is_known_without_torch():
    code = "import sys, facegender.cli.params; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
