"""A network in an ONNX file, ready to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facegender.errors import InputError, WeightsError

#: ONNX Runtime's word for "errors only"; its warnings on graphs and devices are not for our users.
_ERRORS_ONLY = 3


class Session:
    """An ONNX Runtime session for networks with one input and one output.

    Args:
        model: an ONNX file, or its bytes.
        device: ``cpu``, ``cuda``, or ``auto`` for CUDA where it works.
        threads: CPU threads of one operator; None lets ONNX Runtime take all cores.

    Raises:
        InputError: no such device here.
        WeightsError: the file is not an ONNX network that ONNX Runtime can run.
    """

    def __init__(self, model: str | Path | bytes, device: str = "cpu", threads: int | None = None) -> None:
        import onnxruntime

        providers = _providers(device, onnxruntime.get_available_providers())
        if threads is not None and threads < 1:
            raise InputError(f"at least 1 thread is needed, not {threads}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = threads or 0
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=providers
            )
        except Exception as error:  # the runtime's exception classes share no public base
            name = "the network given as bytes" if isinstance(model, bytes) else str(model)
            raise WeightsError(f"{name} cannot be loaded as an ONNX network: {error}") from error
        # A listed provider may still fail to start, and then ONNX Runtime goes on without it.
        if device == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise InputError("the CUDA device could not be started", remedy="use --device cpu")
        self._input = self._session.get_inputs()[0].name

    @property
    def signature(self) -> tuple[str, list[Any], int]:
        """Type and shape of the first input, and the number of outputs, in ONNX Runtime's words."""
        first = self._session.get_inputs()[0]
        return first.type, list(first.shape), len(self._session.get_outputs())

    def run(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Run the network on a batch; shape and dtype in and out are the network's."""
        output: npt.NDArray[np.float32] = self._session.run(None, {self._input: batch})[0]
        return output


def _providers(device: str, available: list[str]) -> list[str]:
    has_cuda = "CUDAExecutionProvider" in available
    if device not in ("cpu", "cuda", "auto"):
        raise InputError(f"unknown device {device!r}", remedy="choose cpu, cuda or auto")
    if device == "cuda" and not has_cuda:
        raise InputError(
            "this ONNX Runtime has no CUDA support",
            remedy="pip install onnxruntime-gpu in place of onnxruntime, or use --device cpu",
        )
    use_cuda = device != "cpu" and has_cuda
    return (["CUDAExecutionProvider"] if use_cuda else []) + ["CPUExecutionProvider"]
