"""The order of faces: a stratified random sample, whichever prefix is labelled."""

import numpy as np
import pandas as pd
import pytest

from facegender.errors import InputError
from facegender.label.draw import draw
from facegender.survey.results import Results


def made(p_male, quality=0.9, weight=1.0, label=None):
    p_male = np.asarray(p_male, float)
    photos = pd.DataFrame({"path": [f"{i}.jpg" for i in range(len(p_male))], "weight": weight, "error_kind": None})
    answers = np.where((p_male > 0.1) & (p_male < 0.9), "uncertain", np.where(p_male > 0.5, "male", "female"))
    faces = {"photo": range(len(p_male)), "face": 0, "quality": quality, "p_male": p_male, "seconds": 1.0}
    box = dict.fromkeys("xywh", 1.0)
    return Results("photos", photos, pd.DataFrame(faces).assign(label=label or answers, **box), [])


def test_every_face_comes_once_and_the_same_seed_gives_the_same_order():
    some = made(np.random.default_rng(0).random(500))
    first, again, other = draw(some), draw(some), draw(some, seed=1)
    assert sorted(first.order) == list(range(500))
    assert first.order.tolist() == again.order.tolist() != other.order.tolist()
    assert sum(first.sizes.values()) == pytest.approx(500)


def test_faces_that_are_in_doubt_come_first_but_sure_ones_are_not_passed_over():
    p_male = np.r_[np.full(900, 0.01), np.full(100, 0.5)]
    order = draw(made(p_male)).order[:100]
    doubtful = (p_male[order] == 0.5).sum()
    # Neyman: 900 * sqrt(0.05 * 0.95) to 100 * 0.5.
    assert doubtful == pytest.approx(100 * 50 / (50 + 900 * 0.0475**0.5), abs=4)


@pytest.mark.parametrize("prefix", [37, 100, 300])
def test_any_prefix_with_its_weights_stands_for_all(prefix):
    """Of 400 orders, the weighted share of faces under 0.3 is right on average, and the weights sum to all faces."""
    rng = np.random.default_rng(3)
    p_male = rng.beta(0.5, 0.5, 1000)
    truth = rng.random(1000) < p_male
    shares = []
    for seed in range(60):
        found = draw(made(p_male), seed)
        rows = found.order[:prefix]
        looked = pd.Series([found.strata[row] for row in rows]).value_counts()
        weights = np.array([found.sizes[found.strata[row]] / looked[found.strata[row]] for row in rows])
        shares.append((weights * truth[rows]).sum() / weights.sum())
    assert np.mean(shares) == pytest.approx(truth.mean(), abs=4 * np.std(shares) / 60**0.5 + 0.004)


def test_the_place_does_not_tell_the_answer():
    order = draw(made(np.tile([0.01, 0.99], 500))).order
    same = np.mean(np.diff(order % 2) == 0)
    assert 0.35 < same < 0.65


def test_what_cannot_be_drawn():
    some = made([0.5, 0.6])
    with pytest.raises(InputError, match="tracks of videos"):
        draw(Results("videos", some.photos, some.faces, []))
    runs = [{"model": {"name": name, "sha256": "ab" * 32}} for name in ("research", "open")]
    with pytest.raises(InputError, match=r"different models: open .*, research"):
        draw(Results("photos", some.photos, some.faces, runs))
    with pytest.raises(InputError, match="where the faces are"):
        draw(Results("photos", some.photos, some.faces.drop(columns="x"), []))
    with pytest.raises(InputError, match="no faces"):
        draw(Results("photos", some.photos, some.faces[:0], []))
