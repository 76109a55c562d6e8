"""What tests of the laboratory share."""

import functools

import pytest
from torch.onnx._internal.exporter import _registration


@pytest.fixture(scope="session", autouse=True)
def one_table_of_operators():
    """PyTorch builds its table of 500 ONNX operators anew for each export, in a third of the export's time."""
    built = functools.cache(_registration.ONNXRegistry.from_torchlib)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_registration.ONNXRegistry, "from_torchlib", staticmethod(built))
        yield
