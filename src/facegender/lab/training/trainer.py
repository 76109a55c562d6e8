"""One training run on Lightning Fabric: resumable after a kill, its recipe saved beside it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import tomli_w
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from facegender.errors import CheckpointError, DivergedError
from facegender.files import write_text
from facegender.lab.training.checkpoint import CHECKPOINT, MODEL, load_same_run, save_checkpoint
from facegender.lab.training.optimization import moving_average
from facegender.lab.training.settings import Limited
from facegender.progress import Bar
from facegender.tables import write_csv

RecipeT = TypeVar("RecipeT", bound=Limited)
NetworkT = TypeVar("NetworkT", bound=nn.Module)
RecordT = TypeVar("RecordT")


class Trainer(ABC, Generic[RecipeT, NetworkT, RecordT]):
    """What all runs share: the step, the averaged weights, the history, the checkpoint and the way back from it.

    A run goes in rounds, with a checkpoint and a line of ``history.csv`` after each. A subclass says what a round is.

    Args:
        network: freshly initialised.
        output: folder for checkpoint, model, recipe and history.
        identity: what tells this run from others, beside its recipe: a checkpoint with another is refused.
        details: what else is noted in the checkpoint and in the model.
        ema: decay of the averaged weights; 0 keeps none.
        max_norm: gradients are clipped to it.

    Attributes:
        network: the one that learns.
        history: one record a round.
    """

    #: The dataclass of one line of ``history.csv``.
    record: type[RecordT]
    #: What `done` and `total` count.
    unit: str
    total: int
    #: Optimizer steps that one of them takes, for the progress bar.
    steps_each = 1

    def __init__(
        self,
        fabric: Fabric,
        recipe: RecipeT,
        network: NetworkT,
        optimizer: torch.optim.Optimizer,
        output: Path,
        identity: Mapping[str, Any],
        details: Mapping[str, Any],
        ema: float,
        max_norm: float | None = None,
    ) -> None:
        self.fabric, self.recipe, self.network, self.output = fabric, recipe, network, output
        self._identity, self._details, self._max_norm = identity, details, max_norm
        self._average = moving_average(network, ema) if ema else None
        self.model, self.optimizer = fabric.setup(network, optimizer)
        if self._average:
            self._average.to(fabric.device)
        self.history: list[RecordT] = []
        self._precisions: list[str] = []

    @property
    def done(self) -> int:
        """Epochs or steps behind us, in whole rounds."""
        return len(self.history)

    @abstractmethod
    def round(self, bar: Bar) -> RecordT:
        """Some steps, and one look at what is held out."""

    def state(self) -> Mapping[str, Tensor]:
        """What the checkpoint has to hold beside the network, the optimizer, the averaged weights and the history."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave; the history is there already."""

    def complete(self) -> Mapping[str, Tensor]:
        """Do what is left to do to `best` after the last round; what the model's file is to hold beside it."""
        return {}

    @property
    def best(self) -> NetworkT:
        """The weights that are evaluated and kept: the averaged ones where there are any."""
        return cast(NetworkT, self._average.module) if self._average else self.network

    def run(self) -> None:
        """Train to the end, from the checkpoint where there is one; leave the model, and no checkpoint.

        Raises:
            CheckpointError: the checkpoint is of another run, or cut short.
            DivergedError: the loss is no finite number any more.
            OutputError: the folder cannot be written.
        """
        if (self.output / CHECKPOINT).exists():
            self._resume()
        elif self.fabric.is_global_zero:
            write_text(self.output / "recipe.toml", tomli_w.dumps(self.recipe.to_dict()))
        try:
            with Bar("training", self.total * self.steps_each) as bar:
                bar.step(self.done * self.steps_each)
                precision = str(self.fabric.strategy.precision.precision)  # what `auto` came to
                while self.done < self.total:
                    if self._precisions[-1:] != [precision]:
                        self._precisions.append(precision)
                    self.history.append(self.round(bar))
                    self._save()
        except KeyboardInterrupt as stop:
            stop.add_note(
                f"{self.done} of {self.total} {self.unit} are in {self.output}; the same command continues from there"
            )
            raise
        self._finish()

    def step(self, loss: Tensor, rate: float, where: str) -> None:
        """One step of the optimizer, and of the averaged weights.

        Raises:
            DivergedError: the loss is no finite number.
        """
        if not math.isfinite(value := float(loss.detach())):
            raise DivergedError(f"{where}: the loss is {value}", remedy="lower learning_rate")
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        if self._max_norm is not None:
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=self._max_norm)
        self.optimizer.step()
        if self._average:
            self._average.update_parameters(self.network)

    def _resume(self) -> None:
        saved = load_same_run(self.output / CHECKPOINT, self.recipe, self._identity)
        self.network.load_state_dict(saved.part("model."))
        state: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for name, value in saved.part("optimizer.").items():
            index, _, key = name.partition(".")
            state[int(index)][key] = value
        # Its settings come from the recipe.
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": dict(state)})
        if self._average:
            self._average.load_state_dict(saved.part("average."))
        try:
            self.history = [self.record(**record) for record in saved.details["history"]]
        except TypeError as error:
            path = self.output / CHECKPOINT
            raise CheckpointError(f"{path} is of another version", remedy="delete it to start again") from error
        self._precisions = list(saved.details.get("precisions", ()))
        self.restore(saved.part("state."))

    def _save(self) -> None:
        """Write the checkpoint that a later start resumes from."""
        if self.fabric.is_global_zero:
            tensors = {f"model.{k}": v for k, v in self.network.state_dict().items()}
            tensors |= {f"state.{k}": v for k, v in self.state().items()}
            for index, state in self.optimizer.state_dict()["state"].items():
                known = {k: torch.as_tensor(v) for k, v in state.items() if v is not None}
                tensors |= {f"optimizer.{index}.{k}": v for k, v in known.items()}
            if self._average:
                tensors |= {f"average.{k}": v for k, v in self._average.state_dict().items()}
            save_checkpoint(self.output / CHECKPOINT, tensors, self._noted())
        self.fabric.barrier()

    def _finish(self) -> None:
        beside = self.complete()
        if self.fabric.is_global_zero:
            noted = self._noted()
            write_csv(self.output / "history.csv", noted["history"])
            save_checkpoint(self.output / MODEL, {**self.best.state_dict(), **beside}, noted)
            (self.output / CHECKPOINT).unlink(missing_ok=True)
        self.fabric.barrier()

    def _noted(self) -> dict[str, Any]:
        history = [asdict(record) for record in self.history]  # type: ignore[call-overload]
        noted = {"recipe": self.recipe.to_dict(), **self._identity, **self._details}
        return {**noted, "precisions": self._precisions, "history": history}
