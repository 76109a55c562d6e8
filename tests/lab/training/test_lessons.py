"""Learning from a teacher's answers and descriptions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facegender.errors import DatasetError, InputError
from facegender.lab.training.batches import Batch
from facegender.lab.training.lessons import Lessons, load_lessons
from facegender.lab.training.loop import Examples, classification_loss, train
from facegender.lab.training.optimization import cell_weights
from facegender.lab.training.recipe import Recipe

INDEX = np.arange(40)


def write(path, keys, logits, descriptions):
    np.savez(path, key=np.array(keys), logit=logits, embedding=descriptions)
    return path


def test_lessons_come_in_the_order_of_the_store(store, tmp_path):
    images = list(store.images)
    keys = [*images[:0:-1], "another.jpg"]  # all but the first, backwards
    numbers = np.arange(len(keys), dtype=np.float16)
    path = write(tmp_path / "lessons.npz", keys, numbers, np.stack([numbers, -numbers], 1))
    lessons = load_lessons(path, store)
    assert np.isnan(lessons.logits[0])
    assert np.isnan(lessons.descriptions[0]).all()
    assert lessons.logits[1:].tolist() == list(range(len(images) - 1))[::-1]
    assert np.array_equal(lessons.descriptions[1:, 1], -lessons.logits[1:])


@pytest.mark.parametrize("spoil", ["absent", "text", "no names", "short", "strangers"])
def test_files_that_are_no_lessons(store, tmp_path, spoil):
    path = tmp_path / "lessons.npz"
    zeros = np.zeros(len(store), np.float32)
    if spoil == "text":
        path.write_text("no archive")
    elif spoil == "no names":
        np.savez(path, logit=zeros, embedding=zeros[:, None])
    elif spoil == "short":
        write(path, store.images, zeros[:-1], zeros[:, None])
    elif spoil == "strangers":
        write(path, [f"{image}.other" for image in store.images], zeros, zeros[:, None])
    with pytest.raises(DatasetError, match="lessons"):
        load_lessons(path, store)


def batch(answers, descriptions, labels=(0, 1, 1)):
    return Batch(
        torch.zeros(3, 8, 8, 3, dtype=torch.uint8),
        torch.tensor(labels),
        torch.ones(3),
        np.arange(3),
        None if answers is None else torch.tensor(answers),
        None if descriptions is None else torch.tensor(descriptions),
    )


def test_the_target_is_between_label_and_teacher():
    logits = {"logits": torch.tensor([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0]])}
    nan = float("nan")
    recipe = Recipe(teacher=0.5)
    plain = classification_loss(logits, batch(None, None), torch.ones(2), recipe)
    loss = classification_loss(logits, batch([2.0, -1.0, nan], None), torch.ones(2), recipe)
    log_p = torch.log_softmax(logits["logits"], 1)
    male = torch.sigmoid(torch.tensor([2.0, -1.0])) * 0.5 + torch.tensor([0.0, 0.5])
    expected = -(log_p[:2, 1] * male + log_p[:2, 0] * (1 - male))
    torch.testing.assert_close(loss.each[:2], expected)
    torch.testing.assert_close(loss.each[2], plain.each[2])
    torch.testing.assert_close(loss.total, loss.each.mean())
    assert loss.right == plain.right == 2


def test_descriptions_pull_by_their_angle():
    nan = float("nan")
    theirs = [[1.0, 0.0], [0.0, 2.0], [nan, nan]]
    outputs = {"logits": torch.zeros(3, 2), "description": torch.tensor([[3.0, 0.0], [1.0, 0.0], [5.0, 5.0]])}
    without = classification_loss(outputs, batch(None, None), torch.ones(2), Recipe())
    loss = classification_loss(outputs, batch([nan] * 3, theirs), torch.ones(2), Recipe(description=0.6))
    assert float(loss.total - without.total) == pytest.approx(0.6 * (0 + 1) / 3)


def test_rare_cells_count_more(store):
    labels = store.labels[INDEX]
    weights = cell_weights(store, INDEX, 1.0)
    assert weights.mean() == pytest.approx(1)
    assert weights.dtype == np.float32
    rare = np.bincount(labels, minlength=2).argmin()
    assert weights[labels == rare].min() >= weights[labels != rare].max()
    assert (cell_weights(store, INDEX, 0.0) == 1).all()


def test_a_run_with_a_teacher_goes_on_and_leaves_its_layer_behind(store, tmp_path):
    random = np.random.default_rng(0)
    lessons = Lessons(
        random.normal(size=len(store)).astype(np.float32), random.normal(size=(len(store), 6)).astype(np.float32)
    )
    recipe = Recipe(
        *("lessons", "residual-nano"),
        epochs=2,
        batch_size=20,
        teacher=0.5,
        description=0.5,
        ema=0.9,
        precision="32-true",
    )
    model = train(recipe, Examples(store, INDEX, lessons=lessons), tmp_path / "with")
    assert not list(model.classifier.auxiliary)
    assert model.classifier(torch.zeros(2, 64, 64, 3, dtype=torch.uint8)).shape == (2, 2)
    alone = replace(recipe, teacher=0.0, description=0.0)
    for wrong in ((recipe, Examples(store, INDEX)), (alone, Examples(store, INDEX, lessons=lessons))):
        with pytest.raises(InputError, match="lessons"):
            train(*wrong, tmp_path / "none")
    other = train(alone, Examples(store, INDEX), tmp_path / "without")
    assert model.examples != other.examples
    weights, others = (m.classifier.body.head.weight for m in (model, other))
    assert not torch.equal(weights, others)
