"""Which crops an epoch sees, and at what size."""

from dataclasses import replace

import numpy as np

from facegender.lab.training.batches import epoch_batches, select
from facegender.lab.training.recipe import Recipe

INDEX = np.arange(100, 500)
LOSSES = np.where(np.arange(400) < 300, 0.1, 2.0).astype(np.float32)


def test_every_crop_before_anything_is_known_and_at_the_end():
    recipe = Recipe(epochs=16, pruning=0.5)
    unknown = np.full(400, np.inf, np.float32)
    for losses, epoch in ((unknown, 0), (LOSSES, 14), (LOSSES, 15)):
        selection = select(recipe, INDEX, losses, epoch)
        assert np.array_equal(selection.index, INDEX)
        assert (selection.weights == 1).all()
    assert np.array_equal(select(replace(recipe, pruning=0.0), INDEX, LOSSES, 3).index, INDEX)


def test_easy_crops_are_left_out_and_the_sum_of_losses_is_kept():
    recipe = Recipe(epochs=1000, pruning=0.75)
    picked = [select(recipe, INDEX, LOSSES, epoch) for epoch in range(200)]
    for selection in picked:
        assert set(INDEX[300:]) <= set(selection.index)
        assert (selection.weights == np.where(selection.index < 400, 4.0, 1.0)).all()
    assert abs(np.mean([len(s.index) for s in picked]) - 175) < 3
    sums = [(s.weights * LOSSES[s.index - 100]).sum() for s in picked]
    assert abs(np.mean(sums) / LOSSES.sum() - 1) < 0.01


def test_crops_grow_over_the_epochs(store):
    recipe = Recipe(epochs=10, batch_size=20, first_size=32)
    assert [recipe.crop_size(e, 64) for e in range(10)] == [32, 40, 40, 48, 48, 56, 56, 64, 64, 64]
    selection = select(recipe, np.arange(40), np.full(40, np.inf, np.float32), 0)
    for epoch, size in ((0, 32), (9, 64)):
        for batch in epoch_batches(recipe, store.crops, store.labels, selection, epoch):
            assert batch.crops.shape == (20, size, size, 3)
            assert np.array_equal(batch.labels.numpy(), store.labels[batch.index])
