import numpy as np
import PIL.Image
import pytest

from facegender.errors import OutputError
from facegender.faces.types import PhotoResult
from facegender.inference.pictures import PictureNames, save_annotated


def test_names_do_not_collide():
    paths = ["a/photo.jpg", "b/photo.jpg", "b/PHOTO.png", "photo-2.jpg", "", ".jpg"]
    names = PictureNames(["other.faces.jpg", "photo.jpg"])
    stems = [names.stem(path) for path in paths]
    assert stems[:2] == ["photo", "photo-2"]
    assert len({stem.casefold() for stem in stems}) == len(paths)
    assert names.stem("Other.jpg") == "Other-2"
    assert stems == [PictureNames().stem("photo.jpg"), *stems[1:]]


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        save_annotated(np.zeros((3, 3, 3), np.uint8), PhotoResult("photo.jpg"), tmp_path / "file" / "a.faces.jpg")


def test_a_picture_too_wide_for_jpeg_is_shrunk(tmp_path):
    path = tmp_path / "wide.faces.jpg"
    save_annotated(np.zeros((10, 70_000, 3), np.uint8), PhotoResult("photo.jpg"), path)
    with PIL.Image.open(path) as written:
        assert written.width == 65_500
