"""The detector's network: what it takes and gives, and where in it a pixel is seen."""

import numpy as np
import pytest
import torch

from facegender.faces.anchors import anchor_points
from facegender.lab.networks.face_detector import DeployedDetector, FaceDetectorNetwork, Separable, Widths


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = FaceDetectorNetwork()
    with torch.no_grad():
        network(torch.randint(0, 256, (2, 128, 128, 3), dtype=torch.uint8))
    return network.eval()


@pytest.mark.parametrize("shape", [(1, 32, 32), (2, 64, 128), (3, 96, 32)], ids=str)
def test_a_cell_for_every_place(network, shape):
    count, height, width = shape
    with torch.inference_mode():
        cells = network(torch.zeros((*shape, 3), dtype=torch.uint8))
    assert cells.shape == (count, 15, len(anchor_points(height, width)[0]))
    assert cells.dtype == torch.float32


@torch.inference_mode()
def test_a_pixel_is_seen_by_the_cells_around_it(network):
    # Cells in another order, or rows taken for columns, would see it elsewhere.
    height, width = 128, 512
    plain = torch.full((1, height, width, 3), 100, dtype=torch.uint8)
    centres, strides = anchor_points(height, width)
    for x, y in ((40, 100), (300, 20), (480, 64)):
        marked = plain.clone()
        marked[0, y - 6 : y + 6, x - 6 : x + 6] = 255
        change = (network(marked) - network(plain))[0].abs().sum(0).numpy()
        for stride in (8, 16):
            of_level = strides == stride
            middle = np.average(centres[of_level], axis=0, weights=change[of_level] ** 2)
            assert np.abs(middle - (x, y)).max() < 32


@torch.inference_mode()
def test_photos_of_a_batch_do_not_meet(network):
    images = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    together = network(images)
    alone = torch.cat([network(images[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-4)


@torch.inference_mode()
def test_scores_begin_low_and_are_probabilities_once_deployed(network):
    images = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    raw, deployed = network(images), DeployedDetector(network)(images)
    # Normalisation is part of the first convolution there: another order of the same sums.
    assert torch.allclose(deployed[:, 1:], raw[:, 1:], atol=1e-5)
    assert torch.allclose(deployed[:, 0], torch.sigmoid(raw[:, 0]), atol=1e-6)

    assert 0.001 < float(deployed[:, 0].mean()) < 0.05


def test_it_is_small():
    assert sum(p.numel() for p in FaceDetectorNetwork().parameters()) < 150_000
    narrow = FaceDetectorNetwork(Widths(8, 8, 16, 16, 16, 16))
    assert narrow.eval()(torch.zeros(1, 32, 32, 3, dtype=torch.uint8)).shape == (1, 15, 21)


@pytest.mark.parametrize(("channels", "stride", "residual"), [(8, 1, True), (8, 2, False), (12, 1, False)])
def test_blocks_are_residual_where_the_shape_stays(channels, stride, residual):
    block = Separable(8, channels, stride).eval()
    assert block.residual == residual
    for parameter in block.body.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(1, 8, 6, 10)
    y = block(x)
    assert y.shape == (1, channels, 6 // stride, 10 // stride)
    assert torch.equal(y, x) if residual else not y.any()


def test_every_weight_learns():
    network = FaceDetectorNetwork()
    network(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name
