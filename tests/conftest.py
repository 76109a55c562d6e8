"""What several tests need: a tiny network with its card, and a photo of a face."""

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from onnx import TensorProto, checker, helper, numpy_helper

from facegender.datasets.splits import random_folds
from facegender.datasets.store import Store, create_store, open_store
from facegender.faces.align import HOG_TEMPLATE
from facegender.faces.types import Image

# The tests' tensors are tiny: a second thread gains nothing, and waits long where the machine is busy.
os.environ["OMP_NUM_THREADS"] = "1"


def _write_model(folder: Path, name: str = "tiny", **card_changes: object) -> Path:
    """Write a network that finds red crops male and others female, and its card.

    Its logits are 0 and (mean red - 128) / 16.
    """
    weights = np.array([[0, 1 / 16], [0, 0], [0, 0]], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["crops"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[1, 2], keepdims=0),
            helper.make_node("Gemm", ["means", "weights", "bias"], ["logits"]),
        ],
        name,
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", 64, 64, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([0, -8], np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    content = model.SerializeToString()
    path = folder / f"{name}.onnx"
    path.write_bytes(content)
    card = {
        "name": name,
        "network": "tiny",
        "input_size": 64,
        "channels": "rgb",
        "colour_order": "RGB",
        "mean": [128.0, 128.0, 128.0],
        "std": [16.0, 16.0, 16.0],
        "template": HOG_TEMPLATE.to_dict(),
        "temperature": 2.0,
        "min_confidence": 0.6,
        "training_data": "none",
        "licence": "MIT",
        "sha256": hashlib.sha256(content).hexdigest(),
        "command": "pytest",
        "parameters": 8,
        "accuracy": {},
    }
    path.with_suffix(".json").write_text(json.dumps({**card, **card_changes}))
    return path


@pytest.fixture(scope="session")
def write_model() -> Callable[..., Path]:
    """Write the tiny network into a folder, with changes to its card: ``write_model(folder, licence="")``."""
    return _write_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a tiny ONNX network with its card beside it."""
    return _write_model(tmp_path_factory.mktemp("weights"))


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
    with create_store(folder, len(labels)) as writer:
        for i, label in enumerate(labels):
            lit = light[::-1] if label else light
            crop = rng.normal(lit, 12, (64, 64, 3)) + rng.normal(0, 20, 3)
            writer.put(i, crop.clip(0, 255).astype(np.uint8))
        writer.finish(
            "made",
            [f"person{p:02d}_{i:03d}.jpg" for i, p in enumerate(people)],
            [f"person{p:02d}" for p in people],
            labels,
            {"random": random_folds(labels, 4), "identity": people // 3 % 3 + 1},
            {"method": "drawn", "template": HOG_TEMPLATE.to_dict()},
            {},
        )
    return folder


@pytest.fixture(scope="session")
def store(store_folder: Path) -> Store:
    """The store of `store_folder`, opened."""
    return open_store(store_folder)


@pytest.fixture
def unprivileged(tmp_path: Path) -> Callable[[], AbstractContextManager[None]]:
    """Stop being root for a while, who may read and list everything."""

    @contextmanager
    def drop() -> Iterator[None]:
        root = os.geteuid() == 0
        if root:
            for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):  # pytest keeps them to itself
                folder.chmod(0o755)
            os.seteuid(65534)
        try:
            yield
        finally:
            if root:
                os.seteuid(0)

    return drop
