"""Where a run happens (Lightning Fabric)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from facegender.errors import InputError
from facegender.lab.training.recipe import Precision

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hardware:
    """Each is a setting of `lightning_fabric.Fabric`, none changes the recipe.

    Attributes:
        accelerator: ``auto``, ``cpu``, ``cuda``, ...
        devices: processes or accelerators.
    """

    accelerator: str = "auto"
    devices: int = 1


def start_fabric(precision: Precision, hardware: Hardware, used: Sequence[str] = ()) -> Fabric:
    """Lightning Fabric on the given hardware, launched.

    Args:
        used: precisions that the run has computed in so far (`facegender.lab.training.checkpoint.used_precisions`); of
            ``auto`` the last is kept, or a warning says that it cannot be.

    Raises:
        InputError: no such hardware here.
    """
    on_cpu = hardware.accelerator == "cpu" or (hardware.accelerator == "auto" and not torch.accelerator.is_available())
    if precision == "auto":
        slow = on_cpu and "AVX512" not in torch.backends.cpu.get_cpu_capability()
        before = used[-1] if used else ""
        if slow and before == "bf16-mixed":
            log.warning("the run has computed in bf16-mixed, which is slow here: it goes on in 32-true")
        precision = "32-true" if slow or before == "32-true" else "bf16-mixed"
    try:
        fabric = Fabric(
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            precision=precision,
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise InputError(
            f"cannot train on {hardware.devices} x {hardware.accelerator}: {error}", remedy="--accelerator cpu"
        ) from error
    fabric.launch()
    return fabric


def is_main_process() -> bool:
    """Whether this is the one process of a run that writes and prints."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
