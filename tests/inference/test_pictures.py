"""Names and marks of the pictures that runs make."""

import os

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegender.errors import OutputError
from facegender.faces.align import DEFAULT_TEMPLATE
from facegender.faces.types import Face, FaceResult, PhotoResult, Prediction
from facegender.inference.pictures import PictureNames, is_made, save_annotated, save_crops

LANDMARKS = ((40.0, 40.0), (60.0, 40.0), (50.0, 52.0), (43.0, 62.0), (57.0, 62.0))
IMAGE = np.zeros((100, 100, 3), np.uint8)


def result(path="photo.jpg"):
    return PhotoResult(path, faces=(FaceResult(Face((30, 25, 40, 50), LANDMARKS, 0.9), Prediction(0.1, "female")),))


def test_names_do_not_collide():
    paths = ["a/photo.jpg", "b/photo.jpg", "b/PHOTO.png", "photo-2.jpg", "", ".jpg"]
    names = PictureNames(taken=["other"])
    stems = [names.stem(path) for path in paths]
    assert stems[:2] == ["photo", "photo-2"]
    assert len({stem.casefold() for stem in stems}) == len(paths)
    assert names.stem("Other.jpg") == "Other-2"
    assert stems == [PictureNames().stem("photo.jpg"), *stems[1:]]


def test_a_file_of_the_users_own_is_not_overwritten(tmp_path):
    for name in ("x.faces.jpg", "y.face3.png"):
        PIL.Image.new("RGB", (9, 9)).save(tmp_path / name)
    save_annotated(IMAGE, result(), tmp_path / "z.faces.jpg")
    names = PictureNames(tmp_path, tmp_path)
    assert [names.stem(f"{letter}.jpg") for letter in "xyz"] == ["x-2", "y-2", "z"]
    names = PictureNames(tmp_path)  # no crops wanted
    assert names.stem("y.jpg") == "y"


def test_pictures_that_were_made_are_known_by_their_mark(tmp_path):
    save_annotated(IMAGE, result(), tmp_path / "a.faces.jpg")
    [name] = save_crops(IMAGE, result(), DEFAULT_TEMPLATE, tmp_path, "a")
    assert name == "a.face0.png"
    assert is_made(str(tmp_path / "a.faces.jpg"))
    assert is_made(str(tmp_path / name))
    for renamed in ("a.jpg", "a.face.png"):  # somebody wants it to be a photo
        (tmp_path / renamed).write_bytes((tmp_path / "a.faces.jpg").read_bytes())
        assert not is_made(str(tmp_path / renamed))
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "own.faces.jpg")
    assert not is_made(str(tmp_path / "own.faces.jpg"))
    assert not is_made(str(tmp_path / "absent.faces.jpg"))


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 47} & set(name)))
def test_pictures_of_whatever_name_can_be_written(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("drawn")
    names = PictureNames(folder, folder)
    photo = os.fsdecode(name)
    stems = [names.stem(photo) for _ in range(3)]
    assert len(set(stems)) == 3
    for stem in stems:
        save_annotated(IMAGE, result(photo), folder / f"{stem}.faces.jpg")
        save_crops(IMAGE, result(photo), DEFAULT_TEMPLATE, folder, stem)
    assert len(list(folder.iterdir())) == 6


def test_long_names_that_differ_at_their_ends_have_different_pictures():
    names = PictureNames()
    stems = [names.stem(f"{'é' * 120}{end}.jpg") for end in "abc"]
    assert len(set(stems)) == 3
    assert all(len(os.fsencode(stem)) <= 230 and stem.startswith("é" * 50) for stem in stems)


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        save_annotated(np.zeros((3, 3, 3), np.uint8), PhotoResult("photo.jpg"), tmp_path / "file" / "a.faces.jpg")


def test_a_picture_too_wide_for_jpeg_is_shrunk(tmp_path):
    path = tmp_path / "wide.faces.jpg"
    save_annotated(np.zeros((10, 70_000, 3), np.uint8), PhotoResult("photo.jpg"), path)
    with PIL.Image.open(path) as written:
        assert written.width == 65_500
