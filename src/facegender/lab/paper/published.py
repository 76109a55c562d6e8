"""The numbers as the paper prints them, its mistakes included.

F. H. Kamaru Zaman, "Gender classification using custom convolutional neural networks
architecture", IJECE 10(6), 2020, pp. 5758-5771, doi 10.11591/ijece.v10i6.pp5758-5771. One CSV file
beside this module for each table or figure, one function here that reads it. The columns of a file are
the attributes of its rows, in their order; an empty cell of a number is None.
"""

from __future__ import annotations

import csv
from functools import partial
from importlib.resources import files
from typing import NamedTuple, TypeVar, get_args, get_type_hints

Row = TypeVar("Row")


class LayerRow(NamedTuple):
    """Table 1, for one input channel. `channels` is a dropout layer's probability; the rest where it applies."""

    layer: int
    name: str
    type: str
    channels: float | None
    kernel: int | None
    stride: int | None
    padding: int | None


class ImageCount(NamedTuple):
    """Table 2: images of women and of men in a dataset."""

    dataset: str
    female: int
    male: int


class ParameterRow(NamedTuple):
    """Table 3, for three input channels. The last row, `Total`, has parameters only."""

    layer: str
    feature_size: str
    weights: int | None
    biases: int | None
    parameters: int


class NetworkRow(NamedTuple):
    """Table 4: the three networks."""

    network: str
    input: str
    mini_batch: int
    main_layers: str
    parameters: int


class AccuracyRow(NamedTuple):
    """Table 5: accuracy in percent; None where the method was not tested on the dataset."""

    method: str
    lfwa: int | None
    celeba: int | None


class InferenceTime(NamedTuple):
    """Figure 3: milliseconds an image, on a GTX 1080 Ti, a Core i7-6700 and a Movidius NCS."""

    network: str
    gpu_gtx1080ti: float
    cpu_i7_6700: float
    vpu_movidius_ncs: float


class LfwaResult(NamedTuple):
    """Figure 5: LFWA, ten folds, RGB; accuracy and true positive rate (male is positive), in [0, 1]."""

    network: str
    accuracy: float
    tpr: float


class Contradiction(NamedTuple):
    """What the paper says in two ways or wrongly, what is right, and what is implemented; our words."""

    paper: str
    right: str
    implemented: str


def _read(name: str, kind: type[Row]) -> list[Row]:
    text = files("facegender.lab.paper").joinpath(name).read_text(encoding="utf-8")
    (_, *lines) = csv.reader(text.splitlines())
    types = [(get_args(hint) or (hint,))[0] for hint in get_type_hints(kind).values()]
    return [
        kind(*(given(cell) if cell or given is str else None for given, cell in zip(types, line, strict=True)))
        for line in lines
    ]


table1 = partial(_read, "table1_layers.csv", LayerRow)
table2 = partial(_read, "table2_images.csv", ImageCount)
table3 = partial(_read, "table3_parameters.csv", ParameterRow)
table4 = partial(_read, "table4_networks.csv", NetworkRow)
table5 = partial(_read, "table5_accuracy.csv", AccuracyRow)
figure3 = partial(_read, "figure3_inference_ms.csv", InferenceTime)
figure5 = partial(_read, "figure5_lfwa_rgb.csv", LfwaResult)
contradictions = partial(_read, "contradictions.csv", Contradiction)
