"""The Python in docs/photos.md runs."""

import re
from pathlib import Path

import PIL.Image

PAGE = Path(__file__).parents[1] / "docs" / "photos.md"


def blocks():
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_python_of_the_photos_page_runs(astronaut, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "another.jpg"):
        PIL.Image.fromarray(astronaut).save(name, quality=95)
    names = {}
    exec(blocks()[0], names)
    (face,) = names["faces"]
    assert face.box[2] > 50
    assert names["crops"].shape == (1, 64, 64, 3)
    assert names["result"].error is None
