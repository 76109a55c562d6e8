"""The program in docs/embedded.md, without the package, gives the package's answers."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from facegender.faces.align import crop_faces
from facegender.faces.types import Picture
from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import OnnxDetector

ROOT = Path(__file__).parents[1]


def code():
    return re.search(r"```python\n(.*?)```", (ROOT / "docs" / "embedded.md").read_text(encoding="utf-8"), re.DOTALL)[1]


@pytest.mark.parametrize("box", [(0, 0, 512, 512), (100, 20, 330, 260), (150, 30, 300, 190)])
@pytest.mark.parametrize("size", [(256, 256), (200, 200), (250, 230)])
def test_its_answer_is_that_of_the_package(astronaut, monkeypatch, capsys, box, size):
    monkeypatch.chdir(ROOT)
    photo = np.array(PIL.Image.fromarray(astronaut).crop(box).resize(size))
    names = {"photo": photo}
    exec(code(), names)

    picture, classifier = Picture.of(photo), GenderClassifier()
    face = OnnxDetector().detect([picture], scale=1)[0][0]
    assert names["landmarks"].tolist() == [list(point) for point in face.landmarks]
    crops = crop_faces(picture, [face], classifier.card.template)
    assert abs(names["crop"](photo, names["landmarks"]).astype(int) - crops[0]).max() <= 1
    assert names["p_male"] == pytest.approx(classifier.p_male(crops)[0], abs=0.02)
    assert capsys.readouterr().out.split()[1] == classifier.predict(crops)[0].label


def test_it_says_where_there_is_no_face(astronaut, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    names = {"photo": np.array(PIL.Image.fromarray(astronaut).resize((200, 200)))}
    exec(code(), names)
    assert names["best_face"](np.zeros((70, 50, 3), np.uint8)) is None


def test_it_imports_neither_the_package_nor_others(astronaut, tmp_path):
    file = tmp_path / "photo.npy"
    np.save(file, PIL.Image.fromarray(astronaut).resize((200, 200)))
    script = f"import sys, numpy as np; photo = np.load({str(file)!r})\n{code()}\n"
    script += "print({'facegender', 'cv2', 'PIL'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.split()[-1] == "set()"


def test_the_numbers_are_those_of_the_cards():
    page = (ROOT / "docs" / "embedded.md").read_text(encoding="utf-8")
    for x, y in GenderClassifier().card.template.points:
        assert f"{x:.4f}, {y:.4f}" in page
    card = OnnxDetector().card
    assert f"from {card.min_score} on (`min_score`)" in page
    assert f"about {card.smallest_face} pixels" in page
