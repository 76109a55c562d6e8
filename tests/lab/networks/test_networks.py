"""The networks compute what they describe."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from facegender.lab.networks.alexnet import LocalResponseNorm
from facegender.lab.networks.counting import parameters
from facegender.lab.networks.custom_cnn import ReluMaxPool
from facegender.lab.networks.registry import describe, network, network_names

CUSTOM = ("custom-cnn-table1", "custom-cnn-table3")


def images(net, count=2, seed=0):
    return torch.randn((count, *net.input_shape), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", network_names())
def test_output_shape(name, channels):
    net = describe(name, channels=channels, classes=5)
    x = images(net).to("meta")
    assert net(x).shape == (2, 5)
    assert net.features(x).shape == (2, net.head.in_features)


@pytest.mark.parametrize("name", network_names())
def test_the_head_turns_features_into_logits(name):
    net = network(name, **({} if name.startswith("custom") else {"input_size": 67})).eval()
    with torch.no_grad():
        assert torch.equal(net.head(net.features(images(net))), net(images(net)))


def test_names_are_readable():
    keys = set(describe("custom-cnn-table1").state_dict())
    assert {"blocks.0.conv.weight", "blocks.6.norm.running_mean", "fc_1.weight", "head.bias"} <= keys
    assert "inception_4e.conv_3x3.weight" in describe("googlenet").state_dict()
    assert "stages.1.2.b.conv.weight" in describe("residual").state_dict()


def naive_pool_after_relu(features, padding, rounding):
    """ReLU, then the maximum of each 2x2 window over the values that exist; 0 where none does."""
    features = np.maximum(features, 0)
    size = features.shape[-1]
    width = int((size + 2 * padding - 2) / 2 + (0.5 if rounding == "half_up" else 0)) + 1
    result = np.zeros((*features.shape[:2], width, width), features.dtype)
    starts = [number * 2 - padding for number in range(width)]
    for row, top in enumerate(starts):
        for column, left in enumerate(starts):
            window = features[:, :, max(top, 0) : max(top + 2, 0), max(left, 0) : max(left + 2, 0)]
            if window.size:
                result[:, :, row, column] = window.max(axis=(2, 3))
    return result


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rounding", ["floor", "half_up"])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("size", [3, 4, 7, 12, 13])
def test_pools_round_as_they_should_and_relu_may_come_before_or_after(size, padding, rounding, training):
    extra = size % 2 if rounding == "half_up" else 0
    # Mostly negative, so that windows without a positive value are common.
    x = torch.randn((2, 3, size, size), generator=torch.Generator().manual_seed(0)) - 1
    before = x.clone()
    found = ReluMaxPool(padding, extra).train(training)(x)
    assert np.array_equal(found.numpy(), naive_pool_after_relu(x.numpy(), padding, rounding))
    assert torch.equal(x, before)


def test_last_row_and_column_of_table3_are_padding():
    net = network("custom-cnn-table3").eval()
    with torch.no_grad():
        features = net.blocks(images(net))
    assert features.shape == (2, 512, 3, 3)
    dead = torch.ones(3, 3, dtype=torch.bool)
    dead[:2, :2] = False
    assert not features[:, :, dead].any()
    assert features[:, :, ~dead].any()
    unread = 512 * int(dead.sum()) * net.fc_1.out_features
    assert unread == 256_000 == parameters(net) - parameters(network("custom-cnn-table1"))


@pytest.mark.parametrize(("channels", "alpha", "k"), [(96, 5e-4, 2.0), (7, 1e-4, 1.0), (3, 5.0, 1.0)])
def test_local_response_normalization_is_pytorchs(channels, alpha, k):
    x = 3 * torch.randn((2, channels, 5, 4), generator=torch.Generator().manual_seed(0))
    expected = torch.nn.LocalResponseNorm(5, alpha, 0.75, k)(x)
    torch.testing.assert_close(LocalResponseNorm(channels, alpha=alpha, k=k)(x), expected)


@pytest.mark.parametrize("name", CUSTOM)
def test_channels_last_gives_the_same(name):
    net = network(name).eval()
    with torch.no_grad():
        expected = net(images(net))
        found = net.to(memory_format=torch.channels_last)(images(net).to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [*CUSTOM, "googlenet", "residual-nano"])
def test_every_parameter_learns_under_bfloat16(name):
    net = network(name).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(images(net, count=2).to(memory_format=torch.channels_last))
    torch.nn.functional.cross_entropy(logits.float(), torch.tensor([0, 1])).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in net.parameters())


# torch.onnx 2.13 walks its own deprecated treespec.
@pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")
@pytest.mark.parametrize("name", CUSTOM)
def test_onnx_export_agrees(name, tmp_path):
    net = network(name).eval()
    path = tmp_path / "network.onnx"
    torch.onnx.export(
        net,
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
            np.testing.assert_allclose(found, net(x).numpy(), rtol=1e-4, atol=1e-4)
