"""What a program sees of the package."""

import inspect
import io
import pickle
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import facegender
from facegender import errors
from facegender.errors import InputError
from facegender.faces.types import Face, FaceResult, PhotoError, PhotoResult, Prediction
from facegender.formats.records import FACES, TRACKS
from facegender.inference.classifier import GenderClassifier
from facegender.video.types import Sighting, Track, VideoResult

POINTS = ((52.0, 40.0), (68.0, 40.0), (60.0, 50.0), (54.0, 60.0), (66.0, 60.0))
FACE = FaceResult(Face((45.0, 30.0, 30.0, 40.0), POINTS, 0.9), Prediction(0.0183, "female"))


def python(code, *args, **options):
    done = subprocess.run([sys.executable, *args, "-c", code], capture_output=True, text=True, check=False, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_every_public_name_is_there_and_documented():
    assert len(facegender.__all__) == len(set(facegender.__all__))
    for name in set(facegender.__all__) - {"__version__"}:
        thing = getattr(facegender, name)
        assert thing is getattr(facegender, name)
        assert inspect.getdoc(thing), name
        assert inspect.getmodule(thing).__name__.startswith("facegender."), name
    assert set(facegender.__all__) <= set(dir(facegender))
    assert not [name for name in facegender.__all__ if name.endswith("Error") and name != "PhotoError"]


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match="Faceanalyzer"):
        facegender.Faceanalyzer  # noqa: B018
    with pytest.raises(ImportError):
        from facegender import nothing  # noqa: F401
    assert facegender.weights.DEFAULT in facegender.list_models()


def test_importing_costs_nothing():
    code = "import sys; before = set(sys.modules); import facegender; print(len(set(sys.modules) - before))"
    assert int(python(code, "-I")) <= 15
    code = "import sys, facegender; facegender.errors; print({'numpy', 'PIL', 'cv2', 'rich'} & set(sys.modules))"
    assert python(code) == "set()"


def test_the_citation_has_the_version():
    text = (Path(__file__).parents[1] / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {facegender.__version__}\n" in text


def test_the_version_is_that_of_the_distribution():
    assert facegender.__version__ == version("facegender")


def test_from_an_archive_and_without_metadata(astronaut, tmp_path):
    source = Path(facegender.__file__).parent
    archive = tmp_path / "packages.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in source.rglob("*"):
            if path.suffix in (".py", ".onnx", ".json") and "lab" not in path.parts:
                file.write(path, path.relative_to(source.parent))
    PIL.Image.fromarray(astronaut).save(tmp_path / "a.png")
    sites = [entry for entry in sys.path if entry.endswith("site-packages") and entry != str(source.parent)]
    code = (
        f"import sys; sys.path = [{str(archive)!r}, *[p for p in sys.path if not p.endswith('src')]]\n"
        "import facegender; assert '.zip' in facegender.__file__, facegender.__file__\n"
        f"[result] = facegender.analyze({str(tmp_path / 'a.png')!r})\n"
        "print(facegender.__version__, len(result.faces), facegender.list_models())"
    )
    assert sites
    assert python(code) == f"{facegender.__version__} 1 {facegender.list_models()}"


def test_errors_are_what_python_calls_them():
    with pytest.raises(ValueError, match="not both"):
        facegender.Options(max_error=0.1, min_confidence=0.9)
    assert issubclass(InputError, errors.FacegenderError)
    error = pickle.loads(pickle.dumps(InputError("no", remedy="yes")))
    assert (type(error), error.kind) == (InputError, "input")


def test_probabilities_as_scikit_learn_has_them(tiny_model):
    classifier = GenderClassifier(tiny_model, threads=1)
    crops = np.zeros((3, 64, 64, 3), np.uint8)
    crops[1, ..., 0], crops[2, ..., 0] = 128, 255
    proba = classifier.predict_proba(crops)
    assert (proba.shape, proba.dtype) == ((3, 2), np.float64)
    np.testing.assert_array_equal(proba[:, 1], classifier.p_male(crops).astype(np.float64))
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert classifier.classes_.tolist() == sorted(classifier.classes_.tolist()) == ["female", "male"]
    labels = classifier.classes_[proba.argmax(axis=1)]
    assert [labels[0], labels[2]] == [classifier.predict(crops)[n].label for n in (0, 2)]
    assert classifier.predict_proba(crops[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (PhotoResult("a.jpg", 640, 480, (FACE,)), "PhotoResult('a.jpg', 640x480, 1 face: female 98 %)"),
        (PhotoResult("", 6, 4), "PhotoResult('', 6x4, 0 faces)"),
        (
            PhotoResult("b", error=PhotoError("truncated", "b is cut short")),
            "PhotoResult('b', truncated: b is cut short)",
        ),
        (VideoResult("f.mp4", 64, 48, 2.0), "VideoResult('f.mp4', 64x48, 2.0 s, 0 tracks)"),
    ],
)
def test_results_say_what_they_hold(result, text):
    assert repr(result) == text


def test_many_faces_are_cut_short():
    text = repr(PhotoResult("a.jpg", 640, 480, (FACE,) * 7))
    assert text == f"PhotoResult('a.jpg', 640x480, 7 faces: {', '.join(['female 98 %'] * 5)}, ...)"


def test_frames_have_the_columns_of_files():
    pytest.importorskip("pandas")
    results = (
        PhotoResult("a", 640, 480, (FACE, FACE)),
        PhotoResult("b", 6, 4),
        PhotoResult("c", error=PhotoError("k", "m")),
    )
    for result in results:
        expected = list(FACES.rows(result.to_dict()))
        frame = result.to_frame()
        assert frame.columns.tolist() == list(FACES.columns)
        assert frame.astype(object).where(frame.notna(), None).to_dict("records") == expected
    track = Track(0, (Sighting(0.0, 0.5, FACE.face, 0.02),), FACE.prediction)
    for film in (VideoResult("f", 64, 48, 2.0, (track,)), VideoResult("f", error=PhotoError("k", "m"))):
        assert film.to_frame().columns.tolist() == list(TRACKS.columns)
        assert len(film.to_frame()) == 1


def test_notebooks_show_the_picture_and_a_table(save):
    path = save("a.png", np.full((200, 1200, 3), 90, np.uint8))
    result = PhotoResult(str(path), 1200, 200, (FACE,))
    png = result._repr_png_()
    with PIL.Image.open(io.BytesIO(png)) as image:
        assert image.size == (800, 133)
        assert len(image.getcolors(10**6)) > 3
    text = result._repr_html_()
    assert "<img" in text
    assert "<td>0.0183</td>" in text
    for other in (PhotoResult("", 4, 4), PhotoResult("absent", 4, 4), PhotoResult(str(path), 7, 7)):
        assert other._repr_png_() is None
        assert "<img" not in other._repr_html_()
    assert "<script>" not in PhotoResult("<script>", error=PhotoError("k", "<script>"))._repr_html_()
    track = Track(0, (Sighting(0.0, 0.5, FACE.face, 0.02),), FACE.prediction)
    assert "<td>female</td>" in VideoResult("f", 64, 48, 2.0, (track,))._repr_html_()
