"""A network made ready to run in PyTorch, ONNX Runtime or OpenVINO, on a device and at a precision."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy.typing as npt
import torch

from facegender.errors import FacegenderError
from facegender.inference.runtime import Session
from facegender.lab.benchmark.subjects import Subject
from facegender.machine import cpu_flags

RUNTIMES = ("onnxruntime", "openvino", "torch")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")

#: Runs one batch of inputs; returns when the answers are in the host's memory.
Call: TypeAlias = Callable[[npt.NDArray[Any]], object]
#: A network in a runtime: the size of its batches to the device, and one function a stream; they may run at once.
Engine: TypeAlias = Callable[[int], tuple[str, list[Call]]]

#: Any of these computes bfloat16 products in hardware (x86: AVX-512, AMX, AVX; ARM).
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}
#: OpenVINO's words for what we call a precision, and for the types that such a network computes in.
_OPENVINO = {
    "fp32": ("FP32", "f32", ("f32",)),
    "bf16": ("BF16", "bf16", ("bf16",)),
    "fp16": ("FP16", "f16", ("f16",)),
    "int8": ("INT8", None, ("u8", "i8")),
}


class Unavailable(Exception):  # noqa: N818  (a reason that is reported, not an error)
    """This network cannot run here in this way; the message says why."""


def installed(runtime: str) -> bool:
    """Whether a runtime can be imported."""
    return find_spec(runtime) is not None


def devices_of(runtime: str) -> list[str]:
    """What an installed runtime finds here, in lower case; OpenVINO's ``auto`` where it has a choice."""
    if runtime == "torch":
        return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    if runtime == "onnxruntime":
        import onnxruntime

        return ["cpu", "cuda"] if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else ["cpu"]
    import openvino

    found = [name.lower() for name in openvino.Core().available_devices]
    return [*found, "auto"] if len(found) > 1 else found


@dataclass(frozen=True)
class Setup:
    """How a network is to run.

    Attributes:
        runtime: of `RUNTIMES`, installed.
        device: of `devices_of(runtime)`, or ``auto`` in OpenVINO.
        precision: of `PRECISIONS`.
        streams: how many calls will run at once.
        threads: CPU threads that all streams share.
        quantized: gives the subject in int8, as an ONNX model.
    """

    runtime: str
    subject: Subject
    device: str
    precision: str
    streams: int
    threads: int
    quantized: Callable[[], bytes]

    def model(self) -> bytes:
        """The ONNX model, in int8 where that is the precision."""
        return self.quantized() if self.precision == "int8" else self.subject.onnx


def start(setup: Setup) -> Engine:
    """The subject in a runtime.

    Raises:
        Unavailable: the runtime or the device does not compute at that precision, or cannot take the network.
    """
    if setup.runtime == "torch":
        return _torch(setup.subject, setup.device, setup.precision)
    if setup.subject.in_int8:
        if setup.precision != "int8":
            raise Unavailable("the file is quantised already: it runs in int8 only")
        setup = replace(setup, quantized=lambda: setup.subject.onnx)
    try:
        return _onnxruntime(setup) if setup.runtime == "onnxruntime" else _openvino(setup)
    except FacegenderError as error:
        raise Unavailable(str(error)) from error


def _torch(subject: Subject, device: str, precision: str) -> Engine:
    """PyTorch eager. Crops start in the host's memory and logits end there, so a call waits for the GPU."""
    if subject.classifier is None:
        raise Unavailable("an ONNX file does not run in PyTorch")
    if precision == "int8":
        raise Unavailable("PyTorch eager is timed in floating point only")
    if precision == "fp16" and device == "cpu":
        raise Unavailable("float16 is for GPUs")
    if precision == "bf16" and device == "cpu" and not _BF16_FLAGS & cpu_flags():
        raise Unavailable("the processor has no bfloat16 instructions: it would be emulated")
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    # A copy only where it has to move, so that the CPU's stays for other precisions and exports.
    classifier = subject.classifier if device == "cpu" else deepcopy(subject.classifier).to(device)

    @torch.inference_mode()
    def run(batch: npt.NDArray[Any]) -> object:
        crops = torch.from_numpy(batch).to(device)
        with nullcontext() if dtype is None else torch.autocast(device, dtype):
            return classifier(crops).cpu()

    return lambda batch: (device, [run])


def _onnxruntime(setup: Setup) -> Engine:
    """ONNX Runtime. One session serves all streams: a call computes on the thread that makes it and on helpers."""
    device, precision = setup.device, setup.precision
    if device == "cpu" and precision in ("bf16", "fp16"):
        raise Unavailable("ONNX Runtime's CPU kernels compute these networks in float32 or int8 only")
    if device == "cuda" and precision in ("bf16", "int8"):
        raise Unavailable("ONNX Runtime's CUDA kernels compute these networks in float32 or float16 only")
    model = _half(setup.model()) if precision == "fp16" else setup.model()
    session = Session(model, device, max(1, setup.threads // setup.streams))
    return lambda batch: (device, [session.run] * setup.streams)


def _openvino(setup: Setup) -> Engine:
    """OpenVINO, compiled for one batch size: NPUs take no others, and other devices plan memory better."""
    import openvino

    core, wanted = openvino.Core(), setup.device.upper()
    capability, hint, types = _OPENVINO[setup.precision]
    if capability not in core.get_property(wanted, "OPTIMIZATION_CAPABILITIES"):
        raise Unavailable(f"OpenVINO's {wanted} does not compute in {capability} here")
    onnx = setup.model()
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY" if setup.streams == 1 else "THROUGHPUT"}
    if wanted == "CPU":
        settings |= {"NUM_STREAMS": setup.streams, "INFERENCE_NUM_THREADS": setup.threads}
    if wanted == "AUTO":  # otherwise the CPU answers until the other device is ready
        settings["ENABLE_STARTUP_FALLBACK"] = False
    if hint is not None:
        settings["INFERENCE_PRECISION_HINT"] = hint

    def calls(batch: int) -> tuple[str, list[Call]]:
        device = setup.device
        try:
            model = core.read_model(onnx)
            model.reshape([batch, *(side.get_length() for side in list(model.input(0).partial_shape)[1:])])
            compiled = core.compile_model(model, wanted, settings)
        except RuntimeError as error:  # a driver's refusal; the last line of many says it
            raise Unavailable(f"OpenVINO: {str(error).strip().splitlines()[-1]}") from error
        if wanted == "AUTO":
            device = f"auto ({', '.join(compiled.get_property('EXECUTION_DEVICES')).lower()})"
        ran = _precision_of(compiled)
        if ran not in (None, *types):
            raise Unavailable(f"OpenVINO's {wanted} computed in {ran} instead")
        return device, [_openvino_call(compiled.create_infer_request()) for _ in range(setup.streams)]

    return calls


def _precision_of(compiled: Any) -> str | None:
    """The type that most multiplications of a compiled network were given, which may be another than asked for."""
    layers = (node.get_rt_info() for node in compiled.get_runtime_model().get_ops())
    ran = Counter(
        layer["runtimePrecision"].value.lower()
        for layer in layers
        if layer["layerType"].value.lower() in ("convolution", "fullyconnected", "fully_connected")
    )
    return ran.most_common(1)[0][0] if ran else None


def _openvino_call(request: Any) -> Call:
    return lambda batch: request.infer({0: batch}, share_inputs=True)


def _half(model: bytes) -> bytes:
    """The model with float16 weights and arithmetic."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    converted: bytes = convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True).SerializeToString()
    return converted
