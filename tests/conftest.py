"""What several tests need: a tiny classifier and a tiny detector with their cards, and a photo of a face."""

import atexit
import functools
import gc
import hashlib
import importlib.util
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import onnx
import PIL.Image
import pytest
import typer.main
from click.testing import Result
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from facegender.cli import app
from facegender.faces.align import DEFAULT_TEMPLATE
from facegender.faces.types import Face, Image
from facegender.inference import worker_process
from facegender.lab.datasets.splits import random_folds
from facegender.lab.datasets.store import Store, Table, create_store, open_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from facegender.lab.training.recipe import Recipe

STUDIES = Path(__file__).parents[1] / "studies" / "speed"

# A call of the command line builds all verbs that are imported, twice, and evaluates their annotations anew.
typer.main.get_command_from_info = functools.cache(typer.main.get_command_from_info)

# The tests' tensors are tiny: a second thread gains nothing, and waits long where the machine is busy.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENCV_FOR_THREADS_NUM"] = "1"

# Thousands of files are written and many synced: where the system has memory for them, not on a disk.
_memory = Path("/dev/shm")
if os.access(_memory, os.W_OK) and shutil.disk_usage(_memory).free > 2**31:
    tempfile.tempdir = os.environ["TMPDIR"] = str(_memory)

# What a user is told once is noted in the folder of settings: not in that of who runs the tests.
_settings = tempfile.TemporaryDirectory(prefix="facegender-settings-")
atexit.register(_settings.cleanup)
os.environ["XDG_CONFIG_HOME"] = os.environ["APPDATA"] = _settings.name


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """What is imported stays: the garbage collector need not visit it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests: `make test` gives each process a file at a time, in this order."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def _write(folder: Path, graph: onnx.GraphProto, card: dict[str, object]) -> Path:
    """Write a network and its card."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    path = folder / f"{graph.name}.onnx"
    path.write_bytes(content)
    card = {"sha256": hashlib.sha256(content).hexdigest(), **card}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


def _write_model(folder: Path, name: str = "tiny", **card_changes: object) -> Path:
    """Write a network that finds red crops male and others female, and its card.

    Its ``p_male`` is the sigmoid of (mean red - 128) / 32.
    """
    weights = np.array([[1 / 32], [0], [0]], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["crops"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[1, 2], keepdims=0),
            helper.make_node("Gemm", ["means", "weights", "bias"], ["margins"]),
            helper.make_node("Squeeze", ["margins", "last"], ["margin"]),
            helper.make_node("Sigmoid", ["margin"], ["p_male"]),
        ],
        name,
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", 64, 64, 3])],
        [helper.make_tensor_value_info("p_male", TensorProto.FLOAT, ["N"])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([-4], np.float32), "bias"),
            numpy_helper.from_array(np.array([1]), "last"),
        ],
    )
    card = {
        "name": name,
        "network": "tiny",
        "input_size": 64,
        "channels": "rgb",
        "colour_order": "RGB",
        "mean": [128.0, 128.0, 128.0],
        "std": [16.0, 16.0, 16.0],
        "template": DEFAULT_TEMPLATE.to_dict(),
        "precision": "fp32",
        "confidence_for_error": {"0.01": 0.6, "0.02": 0.55},
        "training_data": "none",
        "licence": "MIT",
        "command": "pytest",
        "parameters": 8,
        "accuracy": {},
    }
    return _write(folder, graph, card | card_changes)


#: The landmarks that the tiny detector gives, from the centre of a block in its sides; no two are alike.
BLOCK_LANDMARKS = ((-0.25, -0.2), (0.2, -0.25), (0.05, 0.1), (-0.2, 0.3), (0.15, 0.35))
#: Its boxes are so much higher than wide.
BLOCK_HEIGHT = 1.25


def _write_detector(folder: Path, name: str = "blocks", **card_changes: object) -> Path:
    """Write a network that takes red squares for faces, and its card.

    A cell of stride s weighs the red in a window of 6 s around its centre. Where that is a square of 1.5 s to 3.3 s
    whose middle lies in the cell or just outside, it is a face: centre and side come from the red's centroid and
    mass, its spread tells that it is one piece, and the score is 1 in the cell's middle and less towards its border.
    """
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "redness"], ["red"]),
        helper.make_node("Clip", ["red", "zero", "one"], ["mass"]),
    ]
    values = {
        "redness": np.array([1, -1, 0], np.float32).reshape(1, 3, 1, 1) / 255,
        "zero": np.float32(0),
        "one": np.float32(1),
        "few": np.float32(1e-3),
        "lowest": np.float32(1.5),
        "highest": np.float32(3.3),
        "reach": np.float32(0.7),
        "fall": np.float32(0.3),
        "higher": np.float32(np.log(BLOCK_HEIGHT)),
        "flat": np.array([0, 15, -1]),
        "from0": np.array([0]),
        "from1": np.array([1]),
        "from3": np.array([3]),
        "from4": np.array([4]),
        "compact": np.float32(1.1 / 6),  # a square's spread is a sixth of its area
        "plan": np.array(BLOCK_LANDMARKS, np.float32).reshape(1, 10, 1, 1),
    }

    def add(kind: str, inputs: str, output: str, **attributes: object) -> None:
        names = [value if value in values or value == "mass" else f"{value}{s}" for value in inputs.split()]
        nodes.append(helper.make_node(kind, names, [f"{output}{s}"], **attributes))

    # A window is 6 x 6 blocks of one stride: first the sums of each block, then those of the window from theirs.
    x, y = np.meshgrid(*[np.arange(6, dtype=np.float32) - 2.5] * 2)
    gather = np.zeros((4, 4, 6, 6), np.float32)
    gather[range(4), range(4)] = 1
    gather[1:, 0] = x, y, x * x + y * y
    gather[3, 1:3] = 2 * x, 2 * y
    values["gather"] = gather
    for s in (8, 16, 32):
        along = ((np.arange(s) + 0.5) / s - 0.5).astype(np.float32)
        x, y = np.meshgrid(along, along)
        kernels = np.stack([np.ones_like(x), x, y, x * x + y * y])
        values[f"kernels{s}"] = kernels[:, None].astype(np.float32) / s**2
        add("Conv", "mass kernels", "blocks", strides=[s, s], pads=[s // 2] * 4)
        add("Conv", "blocks gather", "sums", pads=[2] * 4)
        add("Slice", "sums from0 from1 from1", "area")
        add("Slice", "sums from1 from3 from1", "moment")
        add("Slice", "sums from3 from4 from1", "square")
        add("Max", "area few", "some")
        add("Div", "moment some", "centre")
        add("Div", "square some", "reached")
        add("ReduceSumSquare", "centre", "moved", axes=[1], keepdims=1)
        add("Sub", "reached moved", "spread")
        add("Mul", "some compact", "bound")
        add("LessOrEqual", "spread bound", "whole")
        add("Sqrt", "some", "side")
        add("Log", "side", "width")
        add("Add", "width higher", "height")
        add("Mul", "side plan", "shape")
        add("Concat", "centre centre centre centre centre", "middles", axis=1)
        add("Add", "middles shape", "points")
        add("Abs", "centre", "off")
        add("ReduceMax", "off", "far", axes=[1], keepdims=1)
        add("GreaterOrEqual", "side lowest", "large")
        add("Less", "side highest", "small")
        add("Less", "far reach", "near")
        add("And", "large small", "sized")
        add("And", "sized near", "placed")
        add("And", "placed whole", "face")
        add("Mul", "far fall", "loss")
        add("Sub", "one loss", "sure")
        add("Where", "face sure zero", "score")
        add("Concat", "score centre width height points", "maps", axis=1)
        add("Reshape", "maps flat", "cells")
    nodes.append(helper.make_node("Concat", ["cells8", "cells16", "cells32"], ["cells"], axis=2))
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["N", 15, "C"])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in values.items()],
    )
    card = {
        "name": name,
        "network": "blocks",
        "parameters": 0,
        "min_score": 0.5,
        "smallest_face": 16,
        "colour_order": "RGB",
        "training_data": "none",
        "licence": "MIT",
        "command": "pytest",
        "accuracy": {},
    }
    return _write(folder, graph, card | card_changes)


@pytest.fixture(scope="session")
def write_model() -> Callable[..., Path]:
    """Write the tiny network into a folder, with changes to its card: ``write_model(folder, licence="")``."""
    return _write_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a tiny ONNX network with its card beside it."""
    return _write_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def write_detector() -> Callable[..., Path]:
    """Write the tiny detector into a folder, with changes to its card."""
    return _write_detector


@pytest.fixture(scope="session")
def tiny_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a detector that takes red squares for faces, with its card beside it."""
    return _write_detector(tmp_path_factory.mktemp("detectors"))


@pytest.fixture
def networks(tiny_model: Path, tiny_detector: Path) -> list[str]:
    """The options that name the tiny networks."""
    return ["--model", str(tiny_model), "--detector-model", str(tiny_detector)]


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are forked from a process that has everything imported.

    Hundreds of starts of Python took a tenth of the suite's time. There are tests of commands in processes of their
    own, which start theirs.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["facegender.inference.handler", "onnxruntime"])
        monkeypatch.setattr(worker_process, "SPAWN", context)


@pytest.fixture
def run(networks: list[str], warm: None) -> Callable[..., Result]:
    """``facegender predict`` with the tiny networks: ``run(*arguments, stdin=None)``."""

    def invoke(*args: object, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, ["predict", *networks, *map(str, args)], input=stdin)

    return invoke


@pytest.fixture(scope="session")
def invoke() -> Callable[..., Result]:
    """``facegender`` with these arguments, which has to succeed: ``invoke("prepare", "lfw", source)``."""

    def succeed(*args: object) -> Result:
        result = CliRunner().invoke(app, [*map(str, args)])
        assert result.exit_code == 0, result.output
        return result

    return succeed


@pytest.fixture(scope="session")
def block_face() -> Callable[..., Face]:
    """The face that the tiny detector sees in a red square: ``block_face(centre_x, centre_y, side)``."""

    def face(x: float, y: float, side: float) -> Face:
        height = side * BLOCK_HEIGHT
        one, two, three, four, five = ((x + a * side, y + b * side) for a, b in BLOCK_LANDMARKS)
        return Face((x - side / 2, y - height / 2, side, height), (one, two, three, four, five), 1.0)

    return face


@pytest.fixture(scope="session")
def astronaut() -> Image:
    """Eileen Collins, 512 x 512, from scikit-image; her face is near (222, 127), 88 pixels wide."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        pytest.skip("scikit-image is not installed")
    with PIL.Image.open(Path(spec.origin).parent / "data" / "astronaut.png") as image:
        return np.array(image.convert("RGB"))


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write an array as an image file; more arguments go to Pillow."""

    def write(name: str, pixels: Image, **options: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels).save(path, **options)
        return path

    return write


@pytest.fixture
def noise() -> Image:
    """Smooth noise, 48 x 64: it survives JPEG, and no two of its turns are alike."""
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.array(PIL.Image.fromarray(small).resize((64, 48), PIL.Image.Resampling.BICUBIC))


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared store of 120 drawn crops, 24 people, three identity folds.

    The two labels are lit from above and from below.
    """
    rng = np.random.default_rng(3)
    people = np.repeat(np.arange(24), 5)
    labels = (people % 3 > 0).astype(np.int64)
    light = np.linspace(40, 200, 64)[:, None, None]
    folder = tmp_path_factory.mktemp("stores") / "made"
    with create_store(folder, "made", len(labels)) as writer:
        for i, label in enumerate(labels):
            lit = light[::-1] if label else light
            crop = rng.normal(lit, 12, (64, 64, 3)) + rng.normal(0, 20, 3)
            writer.put(i, crop.clip(0, 255).astype(np.uint8))
        table = Table(
            images=[f"person{p:02d}_{i:03d}.jpg" for i, p in enumerate(people)],
            identities=[f"person{p:02d}" for p in people],
            labels=labels,
            splits=[("train", "validation", "test")[p // 3 % 3] for p in people],
            folds={"random": random_folds(labels, 4), "identity": people // 3 % 3 + 1},
            attributes={"race": ["East" if p % 2 else "West" for p in people], "found": ["yes"] * len(labels)},
        )
        writer.finish(table, {"method": "drawn", "template": DEFAULT_TEMPLATE.to_dict()}, {})
    return folder


@pytest.fixture(scope="session")
def store(store_folder: Path) -> Store:
    """The store of `store_folder`, opened."""
    return open_store(store_folder)


@pytest.fixture(scope="session")
def quick() -> "Recipe":
    """A recipe that makes something of the drawn store in a second."""
    from facegender.lab.training.recipe import Recipe  # with PyTorch, which the process that starts the tests lacks

    return Recipe(
        name="quick",
        epochs=2,
        batch_size=20,
        optimizer="adamw",
        learning_rate=0.003,
        dropout=0.0,
        precision="32-true",
    )


@pytest.fixture
def unprivileged(tmp_path: Path) -> Callable[[], AbstractContextManager[None]]:
    """Stop being root for a while, who may read and list everything."""

    @contextmanager
    def drop() -> Iterator[None]:
        root = os.geteuid() == 0
        if root:
            above = [
                f for f in tmp_path.parents if f.name.startswith(("pytest-", "popen-"))
            ]  # pytest keeps them to itself
            for folder in (tmp_path, *above):
                folder.chmod(0o755)
            os.seteuid(65534)
        try:
            yield
        finally:
            if root:
                os.seteuid(0)

    return drop


@pytest.fixture(scope="session")
def study() -> ModuleType:
    """What the study of the page has, too."""
    spec = importlib.util.spec_from_file_location("browser", STUDIES / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def launch(study: ModuleType) -> Iterator[Callable[..., "Browser"]]:
    """Start a Chromium without a window, with more arguments for its command line.

    One for all tests of a process: playwright allows no second one beside it.
    """
    path = study.installed()
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(study.BROWSERS)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield lambda *more: playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *more])


@pytest.fixture(scope="session")
def browser(launch: Callable[..., "Browser"]) -> Iterator["Browser"]:
    """A Chromium whose camera shows a test picture."""
    from playwright.sync_api import expect

    expect.set_options(timeout=30_000)  # for a machine that is busy or slow
    started = launch("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    yield started
    started.close()
