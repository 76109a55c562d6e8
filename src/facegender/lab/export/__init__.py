"""From a finished training run to the files that ship: a network in ONNX or OpenVINO form, and its card."""

from facegender.lab.export.deploy import onnx_bytes, to_onnx

__all__ = ["onnx_bytes", "to_onnx"]
