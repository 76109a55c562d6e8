"""Does the input pipeline stall the training step? Epochs through it against the same steps on one resident batch.

python studies/speed/training_throughput.py STORE
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import torch

from facegender.lab.datasets.store import open_store
from facegender.lab.study import study_parser, write_results
from facegender.lab.training.batches import Selection, epoch_batches, steps_per_epoch
from facegender.lab.training.hardware import Hardware, start_fabric
from facegender.lab.training.loop import classification_loss
from facegender.lab.training.model import channel_statistics, classifier_from_recipe
from facegender.lab.training.optimization import class_weights, make_optimizer
from facegender.lab.training.recipe import Augmentation, load_recipe


def main() -> None:
    parser = study_parser(__doc__, "speed/training_throughput.csv")
    parser.add_argument("store", type=Path)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()

    store = open_store(arguments.store)
    index = np.arange(len(store))
    rows = []
    for name in ("paper", "tuned"):
        recipe = load_recipe(name)
        fabric = start_fabric(recipe.precision, Hardware("cpu"))
        # As training reads them: augmentation takes crops with a margin.
        crops = store.crops if recipe.augmentation == Augmentation() else store.wide
        classifier = classifier_from_recipe(recipe, *channel_statistics(store.crops, index, gray=False))
        model, optimizer = fabric.setup(classifier, make_optimizer(recipe, classifier))
        model.mark_forward_method("outputs")
        weights = class_weights(recipe, store.labels)
        steps = steps_per_epoch(recipe, len(index))
        every = Selection(index, np.ones(len(index), np.float32))
        resident = next(iter(epoch_batches(recipe, crops, store.labels, every, 0)))
        speeds: dict[str, list[float]] = {"resident batch": [], "input pipeline": []}
        for round_ in range(arguments.rounds + 1):
            sources = {
                "resident batch": [resident] * steps,
                "input pipeline": epoch_batches(recipe, crops, store.labels, every, round_),
            }
            for source, batches in sources.items():
                started = time.perf_counter()
                images = 0
                for batch in batches:
                    with fabric.autocast():  # as in training: the method itself is not wrapped
                        outputs = model.outputs(batch.crops)
                    loss = classification_loss(outputs, batch, weights, recipe)
                    optimizer.zero_grad()
                    fabric.backward(loss.total)
                    optimizer.step()
                    images += len(batch.labels)
                if round_:  # the first round warms up
                    speeds[source].append(images / (time.perf_counter() - started))
        ratio = statistics.median(p / r for r, p in zip(*speeds.values(), strict=True))
        for source, values in speeds.items():
            rows.append([name, recipe.precision, recipe.batch_size, source, round(statistics.median(values))])
            print(f"{name:6s} {source:15s} {rows[-1][-1]} images/s")
        print(f"{name:6s} pipeline / resident: {ratio:.3f}")
        rows[-1].append(round(ratio, 3))
        rows[-2].append(1.0)
    columns = ("recipe", "precision", "batch_size", "source", "images_per_second", "ratio")
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    write_results(arguments.output, records, "torch", threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
