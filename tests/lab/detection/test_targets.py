"""Which cells answer for which face, and that the loss is least where they say it."""

import numpy as np
import pytest
import torch

from facegender.faces.anchors import anchor_points, decode_faces
from facegender.lab.detection.targets import COLUMNS, assign, detection_loss

NONE = np.zeros((0, 15), np.float32)


def face(x, y, width, height=None):
    """A row with its centre; the landmarks lie about it."""
    height = height or width
    points = [
        (x + a * width, y + b * height) for a, b in ((-0.2, -0.1), (0.2, -0.1), (0, 0.1), (-0.2, 0.3), (0.2, 0.3))
    ]
    return np.array([[x - width / 2, y - height / 2, width, height, *np.ravel(points), 0.9]], np.float32)


def perfect(targets, height, width):
    """Cells that say what the targets want, sure of it: float32, 15 x C, the score a logit."""
    centres, strides = anchor_points(height, width)
    cells = np.zeros((15, len(targets)), np.float32)
    positive = targets[:, 0] == 1
    cells[0] = np.where(positive, 20, -20)
    cells[1:3] = ((targets[:, 2:4] - centres) / strides[:, None]).T * positive
    cells[3:5] = np.log(np.where(positive[:, None], targets[:, 4:6] / strides[:, None], 1)).T
    cells[5:] = ((targets[:, 6:] - np.tile(centres, 5)) / strides[:, None]).T * positive
    return cells


def loss(cells, targets, height, width):
    """Of a batch of one; the cells as a tensor of 15 x C."""
    centres, strides = map(torch.from_numpy, anchor_points(height, width))
    return detection_loss(cells[None], torch.from_numpy(targets)[None], centres, strides)


@pytest.mark.parametrize(
    ("side", "strides"),
    [(6, {8}), (10, {8}), (30, {8}), (40, {8, 16}), (60, {16}), (100, {16, 32}), (150, {32}), (500, {32})],
)
def test_every_face_has_cells_on_the_strides_of_its_size(side, strides):
    _, of_cells = anchor_points(256, 320)
    centres, _ = anchor_points(256, 320)
    for x, y in np.random.default_rng(side).uniform((1, 1), (319, 255), (40, 2)):
        row = face(x, y, side, side * 1.01)
        targets = assign(row, NONE, 256, 320)
        assert targets.shape == (len(centres), COLUMNS)
        positive = targets[:, 0] == 1
        assert set(of_cells[positive].tolist()) == strides
        assert set(targets[:, 0].tolist()) == {0, 1}
        np.testing.assert_allclose(targets[positive][:, 1], side, rtol=0.01)
        np.testing.assert_allclose(targets[positive][:, 2:6], [[x, y, *row[0, 2:4]]] * positive.sum(), atol=1e-3)
        assert (targets[positive][:, 6:] == row[0, 4:14]).all()
        away = np.abs(centres - (x, y)).max(1) / of_cells
        for stride in strides:
            nearest = away[of_cells == stride].min()
            assert positive[(of_cells == stride) & (away == nearest)].any()
        assert away[positive].max() <= 1.5


def test_of_faces_that_share_cells_the_smaller_is_the_target():
    big, small = face(100, 100, 34), face(104, 104, 12)
    for order in ([big, small], [small, big]):
        targets = assign(np.concatenate(order), NONE, 256, 256)
        sides = targets[targets[:, 0] == 1, 1]
        assert (np.isclose(sides, 12).any(), np.isclose(sides, 34).any()) == (True, True)
        centres, strides = anchor_points(256, 256)
        [nearest] = np.flatnonzero((centres == (108, 108)).all(1) & (strides == 8))
        assert targets[nearest, 1] == pytest.approx(12)


def test_a_small_face_before_a_large_one():
    targets = assign(np.concatenate([face(128, 128, 150), face(128, 128, 20)]), NONE, 256, 256)
    _, strides = anchor_points(256, 256)
    assert set(strides[np.isclose(targets[:, 1], 20)].tolist()) == {8}
    assert set(strides[np.isclose(targets[:, 1], 150)].tolist()) == {32}


def test_unsure_cells_are_neither_face_nor_background():
    doubt = face(60, 60, 40)
    targets = assign(face(200, 200, 30), doubt, 256, 256)
    centres, _ = anchor_points(256, 256)
    inside = (np.abs(centres - 60) < 20).all(1)
    assert (targets[inside, 0] == -1).all()
    far = (np.abs(centres - 60) > 52).any(1) & (np.abs(centres - 200) > 20).any(1)
    assert (targets[far, 0] == 0).all()
    assert (targets[targets[:, 0] < 1, 1:] == 0).all()
    # A tiny one counts on every level, and a face in the midst of doubt is a face.
    tiny = assign(NONE, face(60, 60, 4), 256, 256)
    assert set(anchor_points(256, 256)[1][tiny[:, 0] == -1].tolist()) == {8, 16, 32}
    assert np.array_equal(
        assign(face(60, 60, 30), doubt, 256, 256)[:, 0] == 1, assign(face(60, 60, 30), NONE, 256, 256)[:, 0] == 1
    )


def test_unsure_beyond_the_image_does_no_harm():
    assert (assign(NONE, face(-300, 400, 40), 64, 96) == 0).all()


FACES = np.concatenate([face(40.3, 50.8, 20, 26), face(130, 90, 70, 80), face(200, 200, 120, 105)])


def test_perfect_cells_are_the_faces():
    cells = perfect(assign(FACES, NONE, 256, 288), 256, 288)
    cells[0] = 1 / (1 + np.exp(-cells[0]))
    rows = decode_faces(cells, 256, 288, 0.5)
    assert len(rows) >= 3
    for row in rows:
        assert np.abs(FACES[:, :14] - row[:14]).max(1).min() < 0.01


def test_the_loss_is_lowest_at_perfect_cells():
    targets = assign(FACES, face(20, 220, 30), 256, 288)
    best = torch.from_numpy(perfect(targets, 256, 288))
    least = loss(best, targets, 256, 288)
    assert 0 <= float(least.total) < 1e-3
    positive, unsure = targets[:, 0] == 1, targets[:, 0] == -1
    random = np.random.default_rng(0)
    for value in range(15):
        for by in (-0.3, 0.3):
            moved = best.clone()
            moved[value, random.choice(np.flatnonzero(positive))] += by if value else -22
            assert loss(moved, targets, 256, 288).total > least.total + 1e-3
    for wrong in np.flatnonzero(targets[:, 0] == 0)[::300]:
        moved = best.clone()
        moved[0, wrong] = 2
        assert loss(moved, targets, 256, 288).total > least.total + 1e-3
    moved = best.clone()
    moved[:, unsure] = 3
    assert torch.equal(loss(moved, targets, 256, 288).total, least.total)


def test_the_parts_of_the_loss():
    targets = assign(FACES, NONE, 256, 288)
    best = torch.from_numpy(perfect(targets, 256, 288))
    positive = torch.from_numpy(targets[:, 0] == 1)
    for rows, part in ((slice(1, 5), "box"), (slice(5, 15), "landmarks")):
        moved = best.clone()
        moved[rows, positive] += 0.2
        losses = loss(moved, targets, 256, 288)._asdict()
        assert losses[part] > 0.01
        others = {"box", "landmarks"} - {part}
        assert all(losses[other] < 1e-4 for other in others)
        assert losses["total"] > losses["score"] + losses[part]


def test_the_score_learns_how_good_the_box_is():
    targets = assign(face(100, 100, 60), NONE, 256, 256)
    cells = torch.from_numpy(perfect(targets, 256, 256))
    cells[3:5, torch.from_numpy(targets[:, 0] == 1)] += 0.35  # boxes of twice the area
    low, right, high = (
        cells.index_put((torch.tensor(0), torch.from_numpy(np.flatnonzero(targets[:, 0] == 1))), torch.tensor(logit))
        for logit in (-4.0, 0.0, 4.0)
    )
    at = {name: loss(c, targets, 256, 256).score for name, c in (("low", low), ("right", right), ("high", high))}
    assert at["right"] < min(at["low"], at["high"])


def test_gradients_flow_and_lead_to_the_faces():
    targets = assign(FACES, NONE, 256, 288)
    torch.manual_seed(0)
    cells = (0.1 * torch.randn(15, len(targets))).requires_grad_()
    optimizer = torch.optim.Adam([cells], lr=0.1)
    first = loss(cells, targets, 256, 288)
    for _ in range(150):
        losses = loss(cells, targets, 256, 288)
        optimizer.zero_grad()
        losses.total.backward()
        assert torch.isfinite(cells.grad).all()
        optimizer.step()
    assert losses.total < 0.1 * first.total
    positive = torch.from_numpy(targets[:, 0] == 1)
    assert (cells.grad[1:, ~positive] == 0).all()
    assert (cells.grad[0] != 0).all()


@pytest.mark.parametrize("kind", ["nothing", "unsure"])
def test_no_face_in_the_whole_batch(kind):
    targets = assign(NONE, face(32, 32, 200) if kind == "unsure" else NONE, 64, 64)
    cells = torch.zeros(15, len(targets), requires_grad=True)
    losses = loss(cells, targets, 64, 64)
    losses.total.backward()
    assert torch.isfinite(torch.stack([*losses])).all()
    assert torch.isfinite(cells.grad).all()
    assert (cells.grad[0] != 0).any() == (kind == "nothing")


def test_wild_cells_have_a_finite_loss():
    targets = assign(FACES, NONE, 256, 288)
    for value in (-1e4, 1e4):
        cells = torch.full((15, len(targets)), value, requires_grad=True)
        losses = loss(cells, targets, 256, 288)
        losses.total.backward()
        assert torch.isfinite(losses.total)
        assert torch.isfinite(cells.grad).all()
