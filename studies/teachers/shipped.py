"""What shipped networks say of the crops of a store, as lessons for a further one: the mean of their log-odds.

    python studies/teachers/shipped.py STORE OUT.npz research open

OUT.npz holds ``key``, ``logit`` (float16) and an empty ``embedding``: train with ``--set description=0``. The networks
have learned from most of these crops, so that their answers are close to the labels; beyond 0.1 and 99.9 % they are
cut off. Two minutes for 100,000 crops on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.special import logit

from facegender.files import atomic_file
from facegender.lab.datasets.store import open_store
from facegender.lab.evaluation.models import open_models
from facegender.progress import track

BLOCK = 2048
BOUNDS = (0.001, 0.999)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("networks", nargs="+")
    arguments = parser.parse_args()
    store, networks = open_store(arguments.store), open_models(arguments.networks).values()
    odds = []
    for start in track(range(0, len(store), BLOCK), "asking"):
        index = np.arange(start, min(start + BLOCK, len(store)))
        odds.append(np.mean([logit(network.p_male(store.crops, index).clip(*BOUNDS)) for network in networks], 0))
    with atomic_file(arguments.output) as path, path.open("wb") as file:
        np.savez_compressed(
            file,
            key=np.array(store.images),
            logit=np.concatenate(odds).astype(np.float16),
            embedding=np.zeros((len(store), 1), np.float16),
        )


if __name__ == "__main__":
    main()
