"""A network in a file, ready to run."""

from __future__ import annotations

import ctypes
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from facegender.errors import InputError, WeightsError, needs
from facegender.machine import bound_cores, usable_cores

#: ONNX Runtime's word for "errors only"; its warnings on graphs and devices are not for our users.
_ERRORS_ONLY = 3

#: OpenVINO's words for types of input, in ONNX Runtime's.
_TYPES = {"u8": "tensor(uint8)", "f32": "tensor(float)"}


#: Networks whose threads a forked process does not have.
_OPEN: WeakSet[NetworkSession] = WeakSet()


class NetworkSession(ABC):
    """A network with one input and one output, in whatever runtime.

    It opens itself again in another process: when it is unpickled, copied, or used after a fork.
    """

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments
        self._runtime: Any = self._open(*arguments)
        _OPEN.add(self)

    @abstractmethod
    def _open(self, *arguments: Any) -> Any:
        """Make the runtime's own object."""

    @property
    @abstractmethod
    def signature(self) -> tuple[str, list[Any], int]:
        """Type and shape of the first input (of OpenVINO's None where it may change), and the number of outputs.

        Types are in ONNX Runtime's words.
        """

    @abstractmethod
    def run(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Run the network on a batch; shape and dtype in and out are the network's."""

    @property
    def _opened(self) -> Any:
        if self._runtime is None:
            self._runtime = self._open(*self._arguments)
        return self._runtime

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), self._arguments


def _after_fork() -> None:
    """Leave the runtimes' objects as they are for good: to destroy one without its threads hangs or crashes."""
    for network in list(_OPEN):
        if network._runtime is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(network._runtime))
            network._runtime = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def open_network(path: Path, device: str = "cpu", threads: int | None = None) -> NetworkSession:
    """The network in an ``.onnx`` file, or in an OpenVINO ``.xml`` with its ``.bin`` beside it.

    Args:
        device: ``cpu``, ``cuda``, or ``auto`` for CUDA where it works; OpenVINO's files run on the CPU.

    Raises:
        InputError: no such device here.
        WeightsError: the file is no network that its runtime can run.
        MissingExtraError: OpenVINO is not installed.
    """
    if path.suffix != ".xml":
        return Session(path, device, threads)
    if device == "cuda":
        raise InputError(f"{path} is OpenVINO's and runs on the CPU", remedy="use --device cpu, or export it as ONNX")
    return OpenVinoSession(path, threads)


class Session(NetworkSession):
    """An ONNX Runtime session for networks with one input and one output.

    Args:
        device: ``cpu``, ``cuda``, or ``auto`` for CUDA where it works.
        threads: CPU threads of one operator; None takes ``OMP_NUM_THREADS`` of them, or all cores.

    Raises:
        InputError: no such device here.
        WeightsError: the file is not an ONNX network that ONNX Runtime can run.
    """

    def __init__(self, model: str | Path | bytes, device: str = "cpu", threads: int | None = None) -> None:
        super().__init__(model, device, threads)

    def _open(self, model: str | Path | bytes, device: str, threads: int | None) -> Any:
        import onnxruntime

        providers = _providers(device, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = _threads(threads)
        options.enable_mem_pattern = False  # one would be kept for every size of photo
        try:
            session = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=providers
            )
        except Exception as error:  # the runtime's exception classes share no public base
            name = "the network given as bytes" if isinstance(model, bytes) else str(model)
            raise WeightsError(f"{name} cannot be loaded as an ONNX network: {error}") from error
        # A listed provider may still fail to start, and then ONNX Runtime continues without it.
        if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
            raise InputError("the CUDA device could not be started", remedy="use --device cpu")
        self._input = session.get_inputs()[0].name
        return session

    @property
    def signature(self) -> tuple[str, list[Any], int]:
        first = self._opened.get_inputs()[0]
        return first.type, list(first.shape), len(self._opened.get_outputs())

    def run(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        output: npt.NDArray[np.float32] = self._opened.run(None, {self._input: batch})[0]
        return output


class OpenVinoSession(NetworkSession):
    """A network with one input and one output in OpenVINO, on the CPU.

    What is not quantised is computed in float32, also on processors where OpenVINO would choose bfloat16: the answers
    are then those that the card's figures were measured on.

    Args:
        path: of the ``.xml`` file; the ``.bin`` lies beside it.

    Raises:
        InputError: less than one thread.
        WeightsError: the files are not a network that OpenVINO can run.
        MissingExtraError: OpenVINO is not installed.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        super().__init__(path, threads)

    def _open(self, path: Path, threads: int | None) -> Any:
        with needs("openvino", "openvino"):
            import openvino
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if number := _threads(threads):
            settings["INFERENCE_NUM_THREADS"] = number
        try:
            core = openvino.Core()
            return core.compile_model(core.read_model(path), "CPU", settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise WeightsError(f"{path} cannot be loaded as an OpenVINO network: {reason}") from error

    @property
    def signature(self) -> tuple[str, list[Any], int]:
        first = self._opened.inputs[0]
        kind = first.get_element_type().to_string()
        shape = [side.get_length() if side.is_static else None for side in first.get_partial_shape()]
        return _TYPES.get(kind, kind), shape, len(self._opened.outputs)

    def run(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        output: npt.NDArray[np.float32] = self._opened(batch)[0]
        return output


def _threads(given: int | None) -> int:
    """Threads of a network; where none are given, those that the environment asks for or a container has CPU time for.

    0 lets the runtime take all cores. Batch systems and other numerical libraries limit threads by
    ``OMP_NUM_THREADS``, which no runtime here reads.
    """
    if given is not None:
        if given < 1:
            raise InputError(f"at least 1 thread is needed, not {given}")
        return given
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if asked.isdecimal() and int(asked):
        return int(asked)
    cores = usable_cores()
    return cores if cores < bound_cores() else 0


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
