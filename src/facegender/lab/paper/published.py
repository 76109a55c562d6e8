"""The numbers as the paper prints them, its mistakes included.

F. H. Kamaru Zaman, "Gender classification using custom convolutional neural networks
architecture", IJECE 10(6), 2020, pp. 5758-5771, doi 10.11591/ijece.v10i6.pp5758-5771. One CSV file
beside this module for each table or figure, one function here that reads it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class LayerRow:
    """Table 1. `channels` is a dropout layer's probability; kernel, stride and padding where they apply."""

    layer: int
    name: str
    type: str
    channels: float | None
    kernel: int | None
    stride: int | None
    padding: int | None


@dataclass(frozen=True)
class ImageCount:
    """Table 2: images of women and of men in a dataset."""

    dataset: str
    female: int
    male: int


@dataclass(frozen=True)
class ParameterRow:
    """Table 3. The row `Total` has parameters only."""

    layer: str
    feature_size: str
    weights: int | None
    biases: int | None
    parameters: int


@dataclass(frozen=True)
class NetworkRow:
    """Table 4."""

    network: str
    input: str
    mini_batch: int
    main_layers: str
    parameters: int


@dataclass(frozen=True)
class AccuracyRow:
    """Table 5: accuracy in percent; None where the method was not tested on the dataset."""

    method: str
    lfwa: int | None
    celeba: int | None


@dataclass(frozen=True)
class InferenceTime:
    """Figure 3: milliseconds an image, on a GTX 1080 Ti, a Core i7-6700 and a Movidius NCS."""

    network: str
    gpu_gtx1080ti: float
    cpu_i7_6700: float
    vpu_movidius_ncs: float


@dataclass(frozen=True)
class LfwaResult:
    """Figure 5: LFWA, ten folds, RGB; accuracy and true positive rate (male is positive), in [0, 1]."""

    network: str
    accuracy: float
    tpr: float


def table1() -> list[LayerRow]:
    """The custom CNN's layers, as listed (one input channel)."""
    return [
        LayerRow(
            layer=int(row["layer"]),
            name=row["name"],
            type=row["type"],
            channels=float(row["channels"]) if row["channels"] else None,
            kernel=_whole(row["kernel"]),
            stride=_whole(row["stride"]),
            padding=_whole(row["padding"]),
        )
        for row in _read("table1_layers.csv")
    ]


def table2() -> list[ImageCount]:
    """Images by dataset and gender."""
    return [ImageCount(row["dataset"], int(row["female"]), int(row["male"])) for row in _read("table2_images.csv")]


def table3() -> list[ParameterRow]:
    """The custom CNN's parameters by layer (three input channels), the total last."""
    return [
        ParameterRow(
            row["layer"],
            row["feature_size"],
            _whole(row["weights"]),
            _whole(row["biases"]),
            int(row["parameters"]),
        )
        for row in _read("table3_parameters.csv")
    ]


def table4() -> list[NetworkRow]:
    """The three networks compared."""
    return [
        NetworkRow(row["network"], row["input"], int(row["mini_batch"]), row["main_layers"], int(row["parameters"]))
        for row in _read("table4_networks.csv")
    ]


def table5() -> list[AccuracyRow]:
    """Accuracy of published methods and of the three networks on LFWA and CelebA."""
    return [
        AccuracyRow(row["method"], _whole(row["lfwa_percent"]), _whole(row["celeba_percent"]))
        for row in _read("table5_accuracy.csv")
    ]


def figure3() -> list[InferenceTime]:
    """Average inference time of the three networks."""
    return [
        InferenceTime(
            row["network"],
            float(row["gpu_gtx1080ti"]),
            float(row["cpu_i7_6700"]),
            float(row["vpu_movidius_ncs"]),
        )
        for row in _read("figure3_inference_ms.csv")
    ]


def figure5() -> list[LfwaResult]:
    """Accuracy and true positive rate of the three networks on LFWA."""
    return [
        LfwaResult(row["network"], float(row["accuracy"]), float(row["tpr"])) for row in _read("figure5_lfwa_rgb.csv")
    ]


def _read(name: str) -> list[dict[str, str]]:
    text = files("facegender.lab.paper").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _whole(cell: str) -> int | None:
    return int(cell) if cell else None
