"""XMP sidecars: what picture software reads in them, and whose files are left alone."""

import io
import tarfile
import tracemalloc
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest

from facegender import __version__
from facegender.inference import sidecars
from facegender.inference.sidecars import NAMESPACE, sidecar_text, write_sidecars
from facegender.sources import LocalFile

NAMES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "facegender": NAMESPACE,
}
#: From the upright picture to the stored one, for each EXIF orientation.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


def image(*, faces=True):
    """120 x 260 pixels: a face at the top left, for the tiny detector and the tiny network a man's."""
    pixels = np.full((120, 260, 3), 90, np.uint8)
    if faces:
        pixels[20:70, 30:80] = (255, 0, 0)
    return pixels


def put(path, pixels=None, orientation=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = PIL.Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    options = {"quality": 95} if path.suffix == ".jpg" else {}
    PIL.Image.fromarray(image() if pixels is None else pixels).save(path, exif=exif, **options)
    return path


class Sidecar:
    """A sidecar as software reads it."""

    def __init__(self, path):
        root = ElementTree.parse(path).getroot()
        self.about = root.find("rdf:RDF/rdf:Description", NAMES)
        self.keywords = [each.text for each in self.about.findall("dc:subject/rdf:Bag/rdf:li", NAMES)]
        self.hierarchy = [each.text for each in self.about.findall("lr:hierarchicalSubject/rdf:Bag/rdf:li", NAMES)]
        self.regions = self.about.findall("mwg-rs:Regions/mwg-rs:RegionList/rdf:Bag/rdf:li/rdf:Description", NAMES)
        self.size = self.about.find("mwg-rs:Regions/mwg-rs:AppliedToDimensions", NAMES)
        self.faces = self.about.findall("facegender:faces/rdf:Seq/rdf:li/rdf:Description", NAMES)

    def own(self, name):
        return self.about.get(f"{{{NAMESPACE}}}{name}")


def value(element, name):
    prefix, _, local = name.partition(":")
    return element.get(f"{{{NAMES[prefix]}}}{local}")


def area(region):
    found = region.find("mwg-rs:Area", NAMES)
    assert value(found, "stArea:unit") == "normalized"
    return [float(value(found, f"stArea:{name}")) for name in "xywh"]


def record(*faces, width=200, height=100):
    listed = [{"box": box, "p_male": p_male, "label": label} for box, p_male, label in faces]
    return {"path": "a.jpg", "width": width, "height": height, "faces": listed, "error": None}


def test_beside_the_photo_with_keywords_regions_and_our_own_properties(run, tmp_path):
    photo = put(tmp_path / "photos" / "a.jpg")
    done = run(photo, "--xmp", "beside", "--format", "jsonl")
    assert done.exit_code == 0
    assert "1 sidecar written, 0 up to date" in done.stderr
    found = Sidecar(tmp_path / "photos" / "a.jpg.xmp")
    assert found.keywords == ["facegender: perceived male"]
    [region] = found.regions
    assert value(region, "mwg-rs:Type") == "Face"
    assert value(region, "mwg-rs:Description").startswith("perceived male ")
    assert (value(found.size, "stDim:w"), value(found.size, "stDim:h")) == ("260", "120")
    x, y, w, _ = area(region)
    assert (x * 260, y * 120) == (pytest.approx(55, abs=4), pytest.approx(45, abs=4))
    assert w * 260 == pytest.approx(50, abs=6)
    assert (found.own("model"), found.own("version")) == ("tiny", __version__)
    assert float(value(found.faces[0], "facegender:p_male")) > 0.6
    assert value(found.faces[0], "facegender:label") == "male"
    assert [path.name for path in photo.parent.iterdir() if path.name != "a.jpg"] == ["a.jpg.xmp"]


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_regions_are_those_of_the_image_as_it_is_stored(suffix, run, tmp_path):
    for orientation, stored in STORED.items():
        put(tmp_path / f"{orientation}{suffix}", np.ascontiguousarray(stored(image())), orientation)
    assert run(tmp_path, "--xmp", "beside", "--orientations", "upright", "--format", "jsonl").exit_code == 0
    for orientation, stored in STORED.items():
        pixels = stored(image())
        found = Sidecar(tmp_path / f"{orientation}{suffix}.xmp")
        height, width = pixels.shape[:2]
        assert (value(found.size, "stDim:w"), value(found.size, "stDim:h")) == (str(width), str(height))
        [region] = found.regions
        x, y, w, h = area(region)
        top, bottom = round((y - h / 2) * height), round((y + h / 2) * height)
        left, right = round((x - w / 2) * width), round((x + w / 2) * width)
        red = pixels[:, :, 0] == 255
        assert red[top:bottom, left:right].mean() > 0.7
        assert red[top:bottom, left:right].sum() > 0.9 * red.sum()


def test_each_answer_has_its_keyword_once():
    women = [([0, 0, 50, 50], 0.058, "female"), ([60, 0, 50, 50], 0.04, "female")]
    someone = ([190, 60, 40, 50], 0.5, "uncertain")
    found = Sidecar(io.StringIO(sidecar_text(record(*women, someone), "0", "m", 1)))
    assert found.keywords == ["facegender: perceived female", "facegender: uncertain"]
    assert found.hierarchy == ["facegender|perceived female", "facegender|uncertain"]  # where darktable looks
    described = [value(region, "mwg-rs:Description") for region in found.regions]
    assert described == ["perceived female 94 %", "perceived female 96 %", "uncertain"]
    assert area(found.regions[0]) == [0.125, 0.25, 0.25, 0.5]
    assert area(found.regions[2]) == [0.975, 0.8, 0.05, 0.4]  # cut off at the edge of the photo


def test_a_photo_without_faces_has_neither_keywords_nor_regions(run, tmp_path):
    photo = put(tmp_path / "nobody.jpg", image(faces=False))
    (tmp_path / "broken.jpg").write_text("Dear reader")
    assert run(photo, tmp_path / "broken.jpg", "--xmp", "beside", "--format", "jsonl").exit_code == 3
    found = Sidecar(tmp_path / "nobody.jpg.xmp")
    assert (found.keywords, found.regions, found.own("model")) == ([], [], "tiny")
    assert not (tmp_path / "broken.jpg.xmp").exists()


def test_a_sidecar_of_the_user_is_left_alone(run, tmp_path):
    """One of other software, and one of ours that other software has changed since."""
    users, edited = put(tmp_path / "photos" / "a.jpg"), put(tmp_path / "photos" / "b.jpg")
    sidecar, changed = Path(f"{users}.xmp"), Path(f"{edited}.xmp")
    sidecar.write_text("<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    before = sidecar.read_bytes()
    done = run(tmp_path / "photos", "--xmp", "beside", "--format", "jsonl")
    assert "1 sidecar written, 0 up to date" in done.stderr
    assert f"1 sidecar left alone, not written by facegender or changed since, the first is {sidecar}" in done.stderr
    changed.write_text(changed.read_text().replace("<dc:subject>", "<dc:rights>mine</dc:rights><dc:subject>"))
    after = changed.read_bytes()
    for where in ("beside", tmp_path / "photos"):
        done = run(tmp_path / "photos", "--xmp", where, "--format", "jsonl", "--min-confidence", "0.999")
        assert "2 sidecars left alone" in done.stderr
        assert (sidecar.read_bytes(), changed.read_bytes()) == (before, after)


def test_a_finished_run_gets_its_sidecars_without_a_new_analysis(run, tmp_path):
    photo, out, folder = put(tmp_path / "a.jpg"), tmp_path / "out.csv", tmp_path / "xmp"
    run(photo, "-o", out)
    done = run(photo, "-o", out, "--xmp", folder)
    assert "holds the 1 photo already" in done.stderr
    assert Sidecar(folder / "a.jpg.xmp").keywords == ["facegender: perceived male"]
    assert "0 sidecars written, 1 up to date" in run(photo, "-o", out, "--xmp", folder).stderr
    (folder / "a.jpg.xmp").unlink()
    assert "1 sidecar written, 0 up to date" in run(photo, "-o", out, "--xmp", folder).stderr
    relabelled = run(photo, "-o", out, "--xmp", folder, "--min-confidence", "1")
    assert "1 sidecar written" in relabelled.stderr
    assert Sidecar(folder / "a.jpg.xmp").keywords == ["facegender: uncertain"]


def test_sidecars_are_no_photos_that_were_passed_over(run, tmp_path):
    put(tmp_path / "photos" / "a.jpg")
    for _ in range(2):
        done = run(tmp_path / "photos", "--xmp", "beside", "--format", "jsonl")
        assert "passed over" not in done.stderr


def test_names_in_a_folder_are_told_apart_and_stay(run, tmp_path):
    for name in ("1/a.jpg", "2/a.jpg", "3/ä & <b>'\"\n.jpg"):
        put(tmp_path / "photos" / name)
    folder = tmp_path / "xmp"
    names = ["a-2.jpg.xmp", "a.jpg.xmp", "ä & <b>'\"\n.jpg.xmp"]
    run(tmp_path / "photos", "-r", "--xmp", folder, "--format", "jsonl")
    assert sorted(path.name for path in folder.iterdir()) == names
    again = run(tmp_path / "photos" / "2", "--xmp", folder, "--format", "jsonl")
    assert "0 sidecars written, 1 up to date" in again.stderr
    assert all(Sidecar(folder / name).regions for name in names)


def test_memory_does_not_grow_with_the_sidecars(tmp_path, monkeypatch):
    monkeypatch.setattr(sidecars, "_write", lambda path, text: None)
    about = record() | {"faces": []}

    def peak(count):
        tracemalloc.start()
        photos = (LocalFile(str(number), str(number)) for number in range(count))
        done = write_sidecars(((photo, about) for photo in photos), tmp_path, "m")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert done.written == count
        return most

    peak(10)
    assert min(peak(2000) for _ in range(3)) - min(peak(200) for _ in range(3)) < 20_000


def test_photos_in_an_archive(run, tmp_path):
    put(tmp_path / "photos" / "a.jpg", np.rot90(image()), 6)
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(tmp_path / "photos" / "a.jpg", "in/a.jpg")
    beside = run(tmp_path / "photos.tar", "--xmp", "beside", "--format", "jsonl")
    assert "no sidecar for 1 photo in archives" in beside.stderr
    run(tmp_path / "photos.tar", "--xmp", tmp_path / "xmp", "--format", "jsonl")
    assert value(Sidecar(tmp_path / "xmp" / "a.jpg.xmp").size, "stDim:h") == "260"


def test_model_names_that_xml_cannot_hold(tmp_path):
    photo = put(tmp_path / "a.jpg")
    write_sidecars([(LocalFile(str(photo), str(photo)), record())], None, 'a"<&\x00\udcff')
    assert Sidecar(f"{photo}.xmp").own("model") == 'a"<&\ufffd\\udcff'


def test_a_folder_that_is_a_file_ends_the_run_before_it_begins(run, tmp_path):
    photo = put(tmp_path / "a.jpg")
    done = run(photo, "--xmp", photo)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--xmp needs a folder" in " ".join(done.stderr.replace("│", " ").split())
