"""A dataset, a network, a format and a model of another package, used as those of this one are."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import numpy as np
import PIL.Image
import pytest
import typer
from torch import nn
from typer.testing import CliRunner

from facegender import FaceAnalyzer
from facegender.cli import app
from facegender.formats import registry as formats
from facegender.formats.registry import Format, of_file
from facegender.lab.datasets import registry as datasets
from facegender.lab.datasets.images import image_paths
from facegender.lab.datasets.listing import Entry, ImageRoot, Listing
from facegender.lab.datasets.store import open_store
from facegender.lab.networks import registry as networks
from facegender.lab.networks.network import Network

RECIPE = 'network = "row-means"\nepochs = 2\nbatch_size = 8\nlearning_rate = 0.05\nprecision = "32-true"\n'


def list_lamps(
    source: Annotated[str, typer.Argument(help="Folder of lamps.")],
    side: Annotated[float, typer.Option(help="Of a lamp, pixels.")] = 96.0,
) -> Listing:
    """A dataset: photos called ``SPLIT_LABEL_NUMBER.png``, each filled by a face."""
    entries = []
    for path in image_paths(source):
        split, label, _ = path.split("_")
        entries.append(Entry(path, path, ("female", "male").index(label), split, box=(8, 8, side - 16, side - 16)))
    return Listing("lamps", [ImageRoot(source)], entries)


class RowMeans(Network):
    """A network: the mean of each row of pixels."""

    def __init__(self, channels: int, classes: int, input_size: int) -> None:
        super().__init__(channels, input_size)
        self.norm = nn.BatchNorm1d(channels * input_size)
        self.head = nn.Linear(channels * input_size, classes)

    def features(self, x):
        return self.norm(x.mean(3).flatten(1))


def row_means(channels: int = 3, classes: int = 2, dropout: float = 0.0, input_size: int = 64) -> RowMeans:
    return RowMeans(channels, classes, input_size)


class LinesWriter(AbstractContextManager["LinesWriter"]):
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="ascii")

    def write(self, record) -> None:
        self._file.write(f"#{json.dumps(record)}\n")

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Lines(Format):
    """A format: a number sign and JSON."""

    name, title, suffixes = "lines", "Lines", (".lines",)

    def recognizes(self, head: bytes) -> bool:
        return head.startswith(b"#{")

    def writer(self, path, schema):
        return LinesWriter(path)

    def rows(self, path):
        for line in path.read_text(encoding="ascii").splitlines():
            record = json.loads(line[1:])
            yield from ({"path": record["path"], **face} for face in record["faces"])


@pytest.fixture
def installed(monkeypatch):
    """Import the other package, for one test."""
    monkeypatch.setattr(formats, "_formats", {known.name: known for known in formats.formats()})
    monkeypatch.setattr(networks, "_BUILDERS", dict(networks._BUILDERS))
    monkeypatch.setattr(datasets, "_datasets", dict(datasets.datasets()))
    formats.register(Lines)
    datasets.dataset("lamps", "Lamps, by their light.")(list_lamps)
    networks.register(row_means)


@pytest.fixture
def lamps(tmp_path):
    """Photos of noise; women are lit from above and men from below."""
    rng = np.random.default_rng(0)
    light = np.linspace(200, 40, 96)[:, None, None]
    for number in range(48):
        label = number % 2
        pixels = rng.normal(light[::-1] if label else light, 12, (96, 96, 3)) + rng.normal(0, 8, 3)
        split = ("train", "validation", "test")[number // 2 % 3]
        path = tmp_path / "lamps" / f"{split}_{('female', 'male')[label]}_{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return tmp_path / "lamps"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("installed")
def test_one_of_each_from_outside(lamps, tmp_path, tiny_detector, save):
    store, recipe, trained, weights = (tmp_path / name for name in ("store", "recipe.toml", "run", "weights"))

    assert "Lamps, by their light." in run("prepare", "--help")
    assert "Folder of lamps." in run("prepare", "lamps", "--help")
    assert "lamps in" in run("prepare", "lamps", lamps, "--side", "96", "-o", store)
    opened = open_store(store)
    assert (opened.name, len(opened), len(opened.split("test"))) == ("lamps", 48, 16)

    recipe.write_text(RECIPE)
    assert "2 epochs" in run("train", store, "-o", trained, "-r", recipe, "--accelerator", "cpu")
    assert "row-means" in run("params", "row-means")
    assert "lamps" in run("evaluate", store, trained)

    sets = ["--validate", store, "--test", store]
    run("export", trained, *sets, "--name", "lamps-model", "--licence", "ours", "--max-loss", "5", "-o", weights)
    model = weights / "lamps-model.onnx"
    card = json.loads(model.with_suffix(".json").read_text())
    assert (card["network"], card["training_data"]) == ("row-means", "lamps")
    assert card["accuracy"]["lamps test"]["accuracy"] == 1.0

    photo = np.full((110, 120, 3), 90, np.uint8)
    photo[30:80, 40:90] = (255, 0, 0)
    path, output = save("photo.png", photo), tmp_path / "faces.lines"
    [face] = FaceAnalyzer(model, tiny_detector).analyze(path).faces
    options = ["--model", model, "--detector-model", tiny_detector]
    run("predict", path, *options, "-o", output)
    assert of_file(output).name == "lines"
    record = json.loads(output.read_text().removeprefix("#"))
    assert record["path"] == str(path)
    assert record["faces"][0]["p_male"] == pytest.approx(face.prediction.p_male, abs=1e-4)
    assert "holds the 1 photo already" in run("predict", path, *options, "-o", output)
