"""A collection of drawn photos: each face is a square of its own colour, and the records say where."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest

from facegender.label.draw import draw
from facegender.label.pictures import Pictures
from facegender.label.session import LabellingSession
from facegender.label.site import LabellingApp, serving
from facegender.survey.results import read_results


def is_woman(number):
    """The truth about face `number`."""
    return number % 3 == 0


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """120 photos of two faces; the score is right in nine of ten cases."""
    folder = tmp_path_factory.mktemp("collection")
    rng = np.random.default_rng(0)
    lines = []
    for i in range(120):
        image = np.full((80, 140, 3), 240, np.uint8)
        faces = []
        for k in range(2):
            number = 2 * i + k
            left = 15 + 60 * k
            image[20:60, left : left + 40] = (number, 255 - number, 128)
            right = rng.random() < 0.9
            p_male = round(float(rng.beta(1, 9) if is_woman(number) == right else rng.beta(9, 1)), 4)
            label = "uncertain" if 0.15 < p_male < 0.85 else "male" if p_male > 0.5 else "female"
            quality = round(float(rng.uniform(0.2, 1)), 4)
            faces.append(
                {
                    "box": [left, 20, 40, 40],
                    "score": 0.9,
                    "quality": quality,
                    "landmarks": [],
                    "p_male": p_male,
                    "label": label,
                }
            )
        path = f"{i:03d}.png"
        PIL.Image.fromarray(image).save(folder / path)
        lines.append({"path": path, "width": 140, "height": 80, "faces": faces, "error": None, "weight": 1.0})
    file = folder / "faces.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = {"model": {"name": "tiny", "sha256": "ab" * 32, "min_confidence": 0.85}, "sample": None}
    file.with_name("faces.jsonl.run.json").write_text(json.dumps(run))
    return file


@pytest.fixture(scope="session")
def collection(results):
    return read_results([results])


@pytest.fixture
def start(collection, tmp_path):
    """A session on labels.csv in a new folder."""

    def start(name="labels.csv", **more):
        return LabellingSession(collection, draw(collection), tmp_path / name, **{"count": 40, **more})

    return start


@pytest.fixture
def serve(results):
    """The page of a session, on a real server."""

    def serve(session, **more):
        names = [session.item(place).photo for place in range(len(session))]
        return serving(LabellingApp(session, Pictures.find(names, [results], []), **more))

    return serve
