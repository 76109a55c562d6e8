"""The PyTorch modules are what the descriptions say."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from facegender.lab.networks.accounting import account, parameters
from facegender.lab.networks.build import build
from facegender.lab.networks.layers import Branches, Conv, MaxPool, Network, ReLU, pool_size
from facegender.lab.networks.registry import NAMES, network

CUSTOM = ("custom-cnn-table1", "custom-cnn-table3")


def images(net, count=2, seed=0):
    shape = (count, net.channels, net.input_size, net.input_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", NAMES)
def test_parameters_equal_the_account(name, channels):
    net = network(name, channels=channels)
    with torch.device("meta"):
        module = build(net)
    counts = {}
    for key, value in module.named_parameters():
        layer = key.rpartition(".")[0]
        counts[layer] = counts.get(layer, 0) + value.numel()
    assert counts == {row.layer: row.parameters for row in account(net) if row.layer != "input"}
    assert sum(counts.values()) == parameters(net)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", NAMES)
def test_output_shape(name, channels):
    net = network(name, channels=channels, classes=5)
    with torch.device("meta"):
        assert build(net)(images(net).to("meta")).shape == (2, 5)


def test_names_are_readable():
    keys = set(build(network("custom-cnn-table1")).state_dict())
    assert {"conv_1.weight", "batchnorm_7.running_mean", "fc_1.weight", "fc_3.bias"} <= keys
    with torch.device("meta"):
        assert "inception_4e.branch_2.conv_3x3.weight" in build(network("googlenet")).state_dict()


def naive_pool_after_relu(features, pool):
    """ReLU, then the maximum of each window over the values that exist; 0 where none does."""
    features = np.maximum(features, 0)
    size = features.shape[-1]
    width = pool_size(size, pool.kernel, pool.stride, pool.padding, pool.rounding)
    result = np.zeros((*features.shape[:2], width, width), features.dtype)
    starts = [number * pool.stride - pool.padding for number in range(width)]
    for row, top in enumerate(starts):
        for column, left in enumerate(starts):
            window = features[:, :, max(top, 0) : top + pool.kernel, max(left, 0) : left + pool.kernel]
            if window.size:
                result[:, :, row, column] = window.max(axis=(2, 3))
    return result


@pytest.mark.parametrize("rounding", ["floor", "ceil", "half_up"])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (2, 2, 1), (3, 2, 0), (3, 2, 1), (3, 3, 1)])
@pytest.mark.parametrize("size", [3, 4, 7, 12, 13])
def test_pool_before_relu_equals_pool_after_relu(size, kernel, stride, padding, rounding):
    pool = MaxPool(kernel, stride, padding, rounding)
    net = Network("pool", size, 3, 1, (ReLU(), pool), mini_batch=1)
    # Mostly negative, so that windows without a positive value are common.
    x = images(net) - 1
    assert np.array_equal(build(net)(x).numpy(), naive_pool_after_relu(x.numpy(), pool))


def test_relu_runs_after_the_pool():
    assert list(dict(build(network("custom-cnn-table3")).named_children()))[9:14] == [
        "conv_3",
        "batchnorm_3",
        "maxpool_3_padding",
        "maxpool_3",
        "relu_3",
    ]


def test_padding_that_would_change_the_result_is_refused():
    with pytest.raises(ValueError, match="follow a ReLU"):
        build(Network("pool", 5, 3, 1, (MaxPool(2, 2, rounding="half_up"),), mini_batch=1))


def test_last_row_and_column_of_table3_are_padding():
    net = network("custom-cnn-table3")
    module = build(net).eval()
    layers = dict(module.named_children())
    features = images(net)
    for name in list(layers)[: list(layers).index("flatten")]:
        features = layers[name](features)
    assert features.shape == (2, 512, 3, 3)
    dead = torch.ones(3, 3, dtype=torch.bool)
    dead[:2, :2] = False
    assert not features[:, :, dead].any()
    assert features[:, :, ~dead].any()
    unread = 512 * int(dead.sum()) * layers["fc_1"].out_features
    assert unread == 256_000 == parameters(net) - parameters(network("custom-cnn-table1"))


def test_a_relu_at_the_start_of_a_branch_leaves_the_input_to_the_others():
    layers = (Branches("mix", ((ReLU(),), (Conv("conv", 3, 1),))),)
    net = Network("branches", 4, 3, 6, layers, mini_batch=1)
    x = images(net)
    before = x.clone()
    assert build(net)(x).shape == (2, 6, 4, 4)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", CUSTOM)
def test_channels_last_gives_the_same(name):
    net = network(name)
    module = build(net).eval()
    with torch.no_grad():
        expected = module(images(net))
        found = module.to(memory_format=torch.channels_last)(images(net).to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [*CUSTOM, "googlenet"])
def test_every_parameter_learns_under_bfloat16(name):
    net = network(name)
    module = build(net).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = module(images(net, count=4).to(memory_format=torch.channels_last))
    torch.nn.functional.cross_entropy(logits.float(), torch.tensor([0, 1, 0, 1])).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in module.parameters())


# torch.onnx 2.13 walks its own deprecated treespec.
@pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
@pytest.mark.parametrize("name", CUSTOM)
def test_onnx_export_agrees(name, tmp_path):
    net = network(name)
    module = build(net).eval()
    path = tmp_path / "network.onnx"
    torch.onnx.export(
        module,
        (images(net),),
        path,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 5):
        x = images(net, count, seed=count)
        (found,) = session.run(["logits"], {"images": x.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(found, module(x).numpy(), rtol=1e-4, atol=1e-4)
