import json
import os
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from outputs import FORMATS, asked, fill, output, paths, photos_in, record, widths

from facegender.errors import InputError
from facegender.formats.records import FACES
from facegender.formats.registry import by_suffix
from facegender.inference.changes import is_gone
from facegender.inference.engines import InProcess
from facegender.inference.options import Options
from facegender.inference.provenance import run_file
from facegender.inference.run import analyze, collect
from facegender.sources import Source, content_digest, find_photos, read


@FORMATS
def test_a_photo_replaced_under_its_name_is_asked_for_again(suffix, tmp_path):
    path = tmp_path / f"out.{suffix}"
    fill(tmp_path, a="old", b="old", c="old")
    assert asked(path) == ["a", "b", "c"]
    fill(tmp_path, b="newer")
    assert asked(path) == ["b"]
    stems = [Path(name).stem for name in paths(path)]
    assert stems == ["a", "b", "c"]  # in its old place
    assert [r["width"] for r in by_suffix(path).records(path, FACES)] == [3, 5, 3]
    assert asked(path) == []


def test_photos_of_the_same_name_in_two_folders_do_not_replace_each_other(tmp_path):
    path = tmp_path / "out.jsonl"
    for folder, text in (("one", "1"), ("two", "22")):
        (tmp_path / folder).mkdir()
        fill(tmp_path / folder, a=text, b="same")
    (tmp_path / "link").symlink_to(tmp_path / "two")

    def night(folder):
        """As with a list that names photos from its own folder."""
        with output(path) as out:
            for name in ("a.png", "b.png"):
                photo = Source.file(name, str(tmp_path / folder / name))
                if not out.is_done(photo):
                    text = Path(read(photo)).read_text()
                    out.write([{**record(name), "width": len(text)}], [content_digest(read(photo))])
        return widths(path)

    one, two = ("a", 1), ("a", 2)
    assert night("one") == [one, ("b", 4)]
    for folder in ("two", "one", "two"):
        assert night(folder) == [one, ("b", 4), two]  # a copy needs no record of its own
    fill(tmp_path / "two", a="four")
    assert night("link") == [one, ("b", 4), ("a", 4)]  # the same photo by another path
    (tmp_path / "one").rename(tmp_path / "moved")
    fill(tmp_path / "moved", a="fifth")
    assert night("moved") == [("a", 5), ("b", 4), ("a", 4)]


def test_content_counts_not_time(tmp_path):
    path = tmp_path / "out.csv"
    fill(tmp_path, a="same", b="same")
    asked(path)
    for name, text in (("a", "same"), ("b", "diff")):  # as long as before
        fill(tmp_path, **{name: text})
        os.utime(tmp_path / f"{name}.png", ns=(5, 5))
    assert asked(path) == ["b"]
    assert asked(path) == []


def test_a_photo_that_was_not_there_is_tried_again(tmp_path):
    path = tmp_path / "out.jsonl"
    late = Source.file(str(tmp_path / "late.png"))
    with output(path) as out:
        assert not out.is_done(late)
        out.write([{**record(late.name, 0), "error": {"kind": "not_found", "message": "no such file"}}])
    with output(path) as out:
        assert out.is_done(late)
    fill(tmp_path, late="1")
    assert asked(path) == ["late"]
    assert widths(path) == [("late", 1)]


@pytest.mark.parametrize(
    ("kind", "again"),
    [(kind, True) for kind in ("permission", "unreadable", "missing_extra", "timeout", "crashed", "byte_limit")]
    + [("truncated", False)],
)
def test_errors_that_may_be_gone_are_tried_again(kind, again, tmp_path):
    path = tmp_path / "out.jsonl"
    fill(tmp_path, a="1")
    photo = Source.file(str(tmp_path / "a.png"))
    with output(path) as out:
        assert not out.is_done(photo)
        out.write([{**record(photo.name, 0), "error": {"kind": kind, "message": "no"}}])
    with output(path) as out:
        assert out.is_done(photo) != again


def test_a_photo_that_is_gone_keeps_its_record_until_pruned(tmp_path):
    path = tmp_path / "out.jsonl"
    fill(tmp_path, a="1", b="1", c="1")
    asked(path)
    (tmp_path / "b.png").unlink()
    assert asked(path) == []
    assert len(widths(path)) == 3
    with output(path, prune=True) as out:
        for photo in photos_in(tmp_path)[:1]:  # c is there, but not listed this time
            assert out.is_done(photo)
    assert out.pruned == 1
    assert [stem for stem, _ in widths(path)] == ["a", "c"]
    assert json.loads(run_file(path).read_text())["photos"] == 2


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_members_of_archives_change_and_go(kind, tmp_path):
    archive, path = tmp_path / f"photos.{kind}", tmp_path / "out.jsonl"

    def pack(**texts):
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), **texts)
            if kind == "zip":
                with zipfile.ZipFile(archive, "w") as packed:
                    for name in texts:
                        packed.write(Path(folder, f"{name}.png"), f"{name}.png")
            else:
                with tarfile.open(archive, "w:gz" if kind.endswith("gz") else "w") as packed:
                    for name in texts:
                        packed.add(Path(folder, f"{name}.png"), f"{name}.png")

    def night(**options):
        with output(path, **options) as out:
            wanted = [photo for photo in find_photos([str(archive)]) if not out.is_done(photo)]
            for photo in wanted:
                out.write([record(photo.name)], [content_digest(read(photo))])
        return [Path(photo.name).stem for photo in wanted], out.pruned

    pack(a="1", b="1")
    assert night() == (["a", "b"], 0)
    assert night(prune=True) == ([], 0)
    pack(b="2", c="1")
    assert night(prune=True) == (["b", "c"], 0 if kind == "tar.gz" else 1)
    archive.unlink()
    with output(path, prune=True) as out:
        pass
    assert out.pruned == (3 if kind == "tar.gz" else 2)


@pytest.mark.parametrize("name", [b"\xff.png", b"\\udcff.png", b"\n.png", "é".encode() * 120])
def test_photos_of_odd_names_change_and_go(name, tmp_path):
    path, photo = tmp_path / "out.csv", os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118 (bytes)
    source = Source.file(os.fsdecode(photo))

    def night(**options):
        with output(path, **options) as out:
            done = out.is_done(source) if os.path.exists(photo) else None  # noqa: PTH110
            if done is False:
                out.write([record(source.name)], [content_digest(source.name)])
        return done, out.pruned

    def put(content):
        with open(photo, "wb") as file:  # noqa: PTH123
            file.write(content)

    put(b"1")
    assert [night(), night(prune=True)] == [(False, 0), (True, 0)]
    put(b"22")
    assert [night(), night()] == [(False, 0), (True, 0)]
    os.utime(photo, ns=(5, 5))
    assert night() == (True, 0)
    os.unlink(photo)  # noqa: PTH108
    assert night(prune=True) == (None, 1)


def test_what_may_not_be_looked_at_is_not_gone(tmp_path, unprivileged):
    (tmp_path / "closed" / "sub").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    with unprivileged():
        assert not is_gone(str(tmp_path / "closed" / "a.png"))
        assert not is_gone(str(tmp_path / "closed" / "sub" / "a.png"))
        assert is_gone(str(tmp_path / "a.png"))


def test_members_behind_the_damage_of_an_archive_are_not_pruned(tmp_path):
    archive, path = tmp_path / "photos.tar", tmp_path / "out.jsonl"
    with tarfile.open(archive, "w") as packed:
        for name in ("a", "b", "c"):
            fill(tmp_path, **{name: name * 600})
            packed.add(tmp_path / f"{name}.png", f"{name}.png")

    def night(**options):
        with output(path, **options) as out:
            for photo in find_photos([f"{tmp_path}/../{tmp_path.name}/photos.tar"]):
                if not out.is_done(photo):
                    out.write([record(photo.name)])
        return out.pruned

    assert night() == 0
    data = bytearray(archive.read_bytes())
    data[1536 : 1536 + 512] = b"x" * 512  # the header of b
    archive.write_bytes(data)
    assert night(prune=True) == 0


def test_the_error_of_an_archive_that_is_whole_again_is_pruned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive, path = Path("photos.tar"), tmp_path / "out.jsonl"
    fill(tmp_path, a="1", b="1")

    def night(**options):
        with output(path, **options) as out:
            for photo in find_photos([str(archive)]):
                if not out.is_done(photo):
                    out.write([record(photo.name)])
        return [Path(name).name for name in paths(path)], out.pruned

    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as packed:
        packed.add("a.png")
        packed.add("b.png")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:1024] + b"x" * 512)
    assert night() == (["a.png", "photos.tar"], 0)
    assert night(prune=True) == (["a.png", "photos.tar"], 0)
    archive.write_bytes(whole)
    assert night(prune=True) == (["a.png", "b.png"], 1)


def test_some_of_the_photos_do_not_tell_which_are_gone(tiny_model, tiny_detector, tmp_path, noise, save):
    for name in ("a.png", "b.png"):
        save(name, noise)
    options = Options(model=tiny_model, detector=tiny_detector)
    few = collect(tmp_path, limit=1)
    with pytest.raises(InputError, match="which are gone"):
        analyze(few, options=options, engine=InProcess(), output=tmp_path / "out.csv", prune=True)


def test_nothing_is_pruned_for_a_drive_that_is_not_there(tiny_model, tiny_detector, tmp_path, noise, save):
    places = [save(f"{folder}/a.png", noise).parent for folder in ("here", "drive")]
    out, options = tmp_path / "out.csv", Options(model=tiny_model, detector=tiny_detector)
    analyze(places, options=options, engine=InProcess(), output=out)
    before = out.read_bytes()
    (places[1] / "a.png").unlink()
    with pytest.raises(InputError, match=r"no photos in .*drive.*connected"):
        analyze(places, options=options, engine=InProcess(), output=out, prune=True)
    assert out.read_bytes() == before
    assert analyze(places[:1], options=options, engine=InProcess(), output=out, prune=True).pruned == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_photo_and_is_not_waited_for(tiny_model, tiny_detector, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    options = Options(model=tiny_model, detector=tiny_detector)
    [result] = analyze([tmp_path / "pipe.png"], options=options, engine=InProcess())
    assert result.error.kind == "not_found"


@pytest.mark.parametrize("number", [{"draw": 0}, {"draw": -1}, {"limit": 0}])
def test_no_photos_at_all_are_no_collection(number, tmp_path, noise, save):
    save("a.png", noise)
    with pytest.raises(InputError, match="at least 1"):
        collect(tmp_path, **number)
