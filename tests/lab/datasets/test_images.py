"""Photos of a dataset come from wherever `facegender predict` has them from."""

import io
import tarfile
import zipfile

import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import DatasetError, InputError
from facegender.lab.datasets.images import fingerprint, image_paths, paths_by_name, places_by_name, read_images
from facegender.lab.datasets.store import open_store

NAMES = ("female/a.jpg", "female/b.jpg", "male/c.jpg", "male/deep/d.JPG")


@pytest.fixture
def photos(tmp_path, draw):
    """A folder with photos, and with what is none."""
    folder = tmp_path / "photos"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        draw(number).save(folder / name, format="JPEG")
    for name in ("notes.txt", "female/.hidden.jpg", "__MACOSX.plist"):
        (folder / name).write_text("no photo")
    return folder


def packed(folder, path):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.rglob("*.*")):
                archive.write(file, file.relative_to(folder))
    else:
        with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
            for file in sorted(folder.rglob("*.*")):
                archive.add(file, str(file.relative_to(folder)))
            link = tarfile.TarInfo("female/link.jpg")
            link.type, link.linkname = tarfile.SYMTYPE, "a.jpg"
            archive.addfile(link)
    return path


@pytest.mark.parametrize("kind", ["folder", "photos.tar", "photos.tgz", "photos.zip"])
def test_the_same_paths_from_everywhere(photos, tmp_path, kind):
    source = photos if kind == "folder" else packed(photos, tmp_path / kind)
    assert image_paths(source) == image_paths(str(source)) == sorted(NAMES)
    assert sorted(paths_by_name(source)) == ["a.jpg", "b.jpg", "c.jpg", "d.JPG"]
    content = dict(read_images(source, NAMES[1:3], key=str))
    assert content == {name: (photos / name).read_bytes() for name in NAMES[1:3]}


def test_patterns_and_lists(photos, tmp_path):
    pattern = f"{photos}/**/*.jpg"
    assert [path.removeprefix(f"{photos}/") for path in image_paths(pattern)] == list(NAMES[:3])
    shards = [packed(photos / part, tmp_path / f"shard-{number}.tar") for number, part in enumerate(("female", "male"))]
    assert sorted(paths_by_name(f"{tmp_path}/shard-{{0..1}}.tar")) == ["a.jpg", "b.jpg", "c.jpg", "d.JPG"]
    places, again = places_by_name([shards[0], pattern])
    assert {name: number for name, (number, _) in places.items()} == {"a.jpg": 0, "b.jpg": 0, "c.jpg": 1}
    assert again == 2
    (tmp_path / "list.txt").write_text("\n".join(f"photos/{name}" for name in NAMES[:2]))
    assert image_paths(tmp_path / "list.txt") == [f"photos/{name}" for name in NAMES[:2]]
    listed = dict(read_images(tmp_path / "list.txt", ["b.jpg"]))
    assert listed == {"b.jpg": (photos / NAMES[1]).read_bytes()}


def test_photos_at_a_url(photos):
    pytest.importorskip("fsspec")
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in NAMES:
        memory.pipe(f"/set/{name}", (photos / name).read_bytes())
    assert image_paths("memory://set/") == sorted(NAMES)
    assert dict(read_images("memory://set/", ["c.jpg"])) == {"c.jpg": (photos / NAMES[2]).read_bytes()}
    with pytest.raises(InputError, match="no protocol"):
        image_paths("nowhere://set/")


def test_a_fingerprint_changes_with_the_photos_alone(photos, tmp_path):
    for source in (photos, f"{photos}/*/*.jpg"):
        before = fingerprint(source)
        (photos / "more.txt").write_text("no photo")
        assert fingerprint(source) == before
        (photos / "male" / f"new{len(str(source))}.jpg").write_bytes(b"more")
        assert fingerprint(source) != before
    archive = packed(photos, tmp_path / "photos.tar")
    before = fingerprint(archive)
    archive.write_bytes(archive.read_bytes() + b"\0" * 512)
    assert fingerprint(archive) != before


def test_what_is_no_source(photos, tmp_path):
    with pytest.raises(DatasetError, match="there is nothing at"):
        image_paths(tmp_path / "nothing.tar")
    assert image_paths(photos / "notes.txt") == []  # it lists nothing
    (tmp_path / "odd.bin").write_bytes(b"odd")
    with pytest.raises(DatasetError, match=r"odd\.bin is no folder"):
        image_paths(tmp_path / "odd.bin")
    (tmp_path / "empty").mkdir()
    assert image_paths(tmp_path / "empty") == []
    for kind in ("photos.tar", "photos.tgz", "photos.zip"):
        archive = packed(photos, tmp_path / kind)
        archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
        with pytest.raises(DatasetError, match=kind):
            dict(read_images(archive, NAMES, key=str))
    damaged = io.BytesIO()
    with zipfile.ZipFile(damaged, "w") as file:
        file.writestr("a.jpg", b"0123456789")
    (tmp_path / "sum.zip").write_bytes(damaged.getvalue().replace(b"0123456789", b"0123456780"))
    with pytest.raises(DatasetError, match=r"a\.jpg"):
        dict(read_images(tmp_path / "sum.zip", ["a.jpg"]))


@pytest.mark.usefixtures("red_squares_are_faces")
def test_shards_are_prepared_as_one_source(invoke, photos, tmp_path):
    for number, part in enumerate(("female", "male")):
        parent = tmp_path / f"part{number}"
        (parent / part).parent.mkdir()
        (photos / part).rename(parent / part)
        packed(parent, tmp_path / f"shard-{number}.tar")
    arguments = ["prepare", "folder", f"{tmp_path}/shard-{{0..1}}.tar", "--name", "mine", "-o", str(tmp_path / "store")]
    invoke(*arguments)
    store = open_store(tmp_path / "store")
    assert (store.name, sorted(store.labels.tolist())) == ("mine", [0, 0, 1, 1])
    assert "already prepared" in CliRunner().invoke(app, arguments).output
