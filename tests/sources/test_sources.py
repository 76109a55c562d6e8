"""Where photos come from: folders, patterns, lists, and samples of them."""

import os
import pickle
import random
from pathlib import Path

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegender.errors import InputError, PhotoReadError
from facegender.faces.decode import FORMATS, decode
from facegender.sources import SUFFIXES, find_photos, is_remote, read, sample
from facegender.sources.patterns import expand_ranges
from facegender.sources.photos import first as first_photos


def write(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(os.fsencode(name))


def names(*arguments, recursive=False, skip=None):
    photos = find_photos(arguments, recursive=recursive, skip=skip)
    listed = [source.name for source in photos]
    assert [source.name for source in photos] == listed
    assert photos.count() == len(listed)
    return listed


def kind(source):
    with pytest.raises(PhotoReadError) as caught:
        decode(read(source))
    return caught.value.kind


def test_folders_and_files_in_the_order_given(there):
    write("many/b.png", "many/a.PNG", "many/sub/c.heic", "many/note.txt", "many/.hidden.png", "many/.git/d.png")
    write("one.jpg", "letter.dat")
    assert names("one.jpg", "many", "letter.dat", "one.jpg") == [
        "one.jpg",
        "many/a.PNG",
        "many/b.png",
        "letter.dat",
        "one.jpg",
    ]
    assert names("many", recursive=True) == ["many/a.PNG", "many/b.png", "many/sub/c.heic"]
    [source] = find_photos(["one.jpg"])
    assert read(pickle.loads(pickle.dumps(source))) == "one.jpg"
    assert not is_remote(source)


def test_listing_again_sees_what_is_new(there):
    write("many/b.png")
    photos = find_photos(["many"])
    write("many/a.png")
    assert [source.name for source in photos] == ["many/a.png", "many/b.png"]


def test_a_list_of_another_encoding_where_names_are_text(tmp_path, monkeypatch):
    """As on Windows."""
    (tmp_path / "list.txt").write_bytes(b"M\x81ller.jpg\n")
    monkeypatch.setattr(os, "fsdecode", lambda name: name.decode() if isinstance(name, bytes) else str(name))
    with pytest.raises(InputError, match="neither UTF-8 nor UTF-16"):
        list(find_photos([str(tmp_path / "list.txt")]))


def test_photos_to_be_skipped(there):
    write("many/a.png", "many/a.faces.jpg", "b.faces.jpg")

    def skip(path):
        return path.endswith(".faces.jpg")

    assert names("many", "b.faces.jpg", skip=skip) == ["many/a.png", "b.faces.jpg"]
    assert names("**/*", skip=skip) == ["many/a.png"]


def test_every_usual_name_of_a_format_that_is_read_is_that_of_a_photo():
    PIL.Image.init()
    readable = {suffix for suffix, name in PIL.Image.registered_extensions().items() if name in FORMATS}
    assert readable <= SUFFIXES


def test_what_is_missing_is_a_photo_that_cannot_be_read(there):
    absent = ["absent.jpg", "absent.tar", "absent.zip", "absent.csv", "a\0b.jpg", "x" * 5000]
    photos = list(find_photos(absent))
    assert [source.name for source in photos] == absent
    assert [kind(source) for source in photos][:5] == ["not_found"] * 5


def test_a_folder_that_cannot_be_listed_stands_in_for_its_photos(there, unprivileged):
    write("many/a.png", "many/locked/b.png")
    Path("many/locked").chmod(0)
    with unprivileged():
        first, second = find_photos(["many"], recursive=True)
        assert kind(second) == "permission"
    Path("many/locked").chmod(0o755)
    assert (first.name, second.name) == ("many/a.png", "many/locked")


def test_nothing_found(there):
    Path("hollow").mkdir()
    write("empty.txt", "deep/er/a.jpg")
    Path("empty.txt").write_text("\n \n")
    deeper = "--recursive, in Python recursive=True, searches subfolders"
    for arguments, recursive, words in [
        (["hollow", "deep"], False, f"hollow holds no files; no photos in deep ({deeper})"),
        (["hollow"], False, "hollow holds no files"),
        (["hollow"], True, "hollow holds no files"),
        (["*.png", "empty.txt"], False, "no file matches *.png; no photos in empty.txt"),
        ([], False, "no photos were named"),
    ]:
        with pytest.raises(InputError) as caught:
            find_photos(arguments, recursive=recursive)
        assert str(caught.value) == words
    photos = find_photos(["hollow", "deep/er", "empty.txt"])
    assert photos.empty == ("hollow", "empty.txt")
    assert photos.count() == 1


def test_standard_input_is_a_list_of_arguments(there, stdin):
    write("many/a.png", "b.jpg", "t.txt")
    stdin(b"\n  \nmany\r\nb.jpg\n#c.jpg\nb\xff.jpg")
    photos = find_photos(["-"])
    for _ in range(2):
        assert [source.name for source in photos] == ["many/a.png", "b.jpg", "#c.jpg", "b\udcff.jpg"]
    stdin(b"\n")
    with pytest.raises(InputError, match="no photos were named"):
        find_photos(["-"])


def test_patterns(there):
    write("p/b.jpg", "p/a.jpg", "p/x/c.jpg", "p/x/y/d.jpg", "p/e.png", "p/.f.jpg", "p/.g/h.jpg", "p/n.txt", "p/i.dat")
    write("p/[1].jpg", "p/1.jpg")
    Path("p/x/back").symlink_to("../../p")
    Path("p/folder.jpg").mkdir()
    assert names("p/*.jpg") == ["p/1.jpg", "p/[1].jpg", "p/a.jpg", "p/b.jpg"]
    assert names("p/[ab].jpg") == ["p/a.jpg", "p/b.jpg"]
    assert names("p/?/c.*") == ["p/x/c.jpg"]
    assert names("p/**/?.jpg") == names("p/**/**/?.jpg")
    assert names("p/**/?.jpg") == ["p/1.jpg", "p/a.jpg", "p/b.jpg", "p/x/c.jpg", "p/x/y/d.jpg"]
    assert names("p/*.dat") == ["p/i.dat"]
    assert "p/i.dat" not in names("p/*")  # nor is the text taken for a list
    assert names("p/.*") == ["p/.f.jpg"]
    assert names(f"{there}/p/*/y/*") == [f"{there}/p/x/y/d.jpg"]
    assert names("p/[1].jpg") == ["p/[1].jpg"]  # a file of that name goes before


def test_ranges(there):
    write("s-{1..2}.jpg")
    assert list(expand_ranges("a{008..011}b{1..2}")) == [f"a{i:03d}b{j}" for i in range(8, 12) for j in (1, 2)]
    assert names("t-{9..10}.jpg") == ["t-9.jpg", "t-10.jpg"]
    assert names("s-{1..2}.jpg") == ["s-{1..2}.jpg"]
    assert names("{a,b}.jpg") == ["{a,b}.jpg"]


LISTED = ["b.jpg", "#c d.jpg", "/abs/e.jpg", "x/ü.jpg"]


def test_lists(there):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    Path("lists").mkdir()
    Path("lists/a.txt").write_bytes(("\ufeff" + "\r\n\r\n".join(LISTED)).encode())
    Path("lists/a.LST").write_text("\n".join(LISTED))
    rows = [f"{i},{name}\n" for i, name in enumerate(LISTED)]
    Path("lists/a.csv").write_text("\ufeffid,path\n" + "".join([*rows, "5,\n", "6\n"]))
    Path("lists/a.tsv").write_text("path\tid\n" + "".join(f'"{name}"\t1\n' for name in LISTED))
    table = pa.table({"id": range(5), "path": [LISTED[0], None, *LISTED[1:]]})
    parquet.write_table(table, "lists/a.parquet", row_group_size=2)
    for suffix in ("txt", "LST", "csv", "tsv", "parquet"):
        photos = list(find_photos([f"lists/a.{suffix}"]))
        assert [source.name for source in photos] == LISTED
        assert [read(source) for source in photos] == ["lists/b.jpg", "lists/#c d.jpg", "/abs/e.jpg", "lists/x/ü.jpg"]
        assert names(f"{there}/lists/a.{suffix}") == LISTED
    Path("a.txt").write_text("b.jpg")
    assert [read(source) for source in find_photos(["a.txt"])] == ["b.jpg"]


def test_a_table_without_paths(there):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    Path("a.csv").write_text("image,label\n1,2\n")
    Path("b.csv").touch()
    parquet.write_table(pa.table({"image": [1]}), "a.parquet")
    for name, words in [("a.csv", "image, label"), ("b.csv", "none"), ("a.parquet", "image")]:
        with pytest.raises(InputError, match=f"{name} has no column path .its columns: {words}"):
            find_photos([name])


def test_damaged_tables_are_rows_with_errors(there):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"path": [f"{i}.jpg" for i in range(20_000)]}), "a.parquet", compression="gzip")
    whole = Path("a.parquet").read_bytes()
    Path("cut.parquet").write_bytes(whole[:-100])
    hole = len(whole) // 2
    Path("hole.parquet").write_bytes(whole[:hole] + bytes(500) + whole[hole + 500 :])
    Path("long.csv").write_text("path\na.jpg\n" + "b" * 200_000 + "\nc.jpg\n")
    for name, first in [("cut.parquet", None), ("hole.parquet", None), ("long.csv", "a.jpg")]:
        *before, last = find_photos([name])
        assert kind(last) == "truncated"
        assert last.name == name
        assert not first or [source.name for source in before] == [first]


@pytest.mark.parametrize("n", [1, 7, 40, 100])
def test_a_sample(n, there):
    write(*(f"many/{i:03d}.jpg" for i in range(40)))
    photos = find_photos(["many"])
    drawn, population = sample(photos, n, seed=3)
    listed = [source.name for source in drawn]
    assert population == 40
    assert len(listed) == drawn.count() == min(n, 40)
    assert listed == sorted(set(listed))
    assert listed == [source.name for source in drawn]
    assert listed == [source.name for source in sample(photos, n, seed=3)[0]]
    assert n != 7 or listed != [source.name for source in sample(photos, n, seed=4)[0]]


def test_a_sample_is_uniform(there):
    write(*(f"many/{i}.jpg" for i in range(5)))
    photos = find_photos(["many"])
    counts = dict.fromkeys((source.name for source in photos), 0)
    for seed in range(200):
        for source in sample(photos, 2, seed)[0]:
            counts[source.name] += 1
    assert all(50 < count < 110 for count in counts.values())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text("ab?*[]{}.1/", min_size=1, max_size=12), max_size=4), st.randoms())
def test_arguments_of_whatever_text(tmp_path_factory, texts, rng):
    folder = tmp_path_factory.mktemp("any")
    for name in ("a/b.jpg", "1.png", "[a].jpg", "a/{1..1}.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    arguments = [f"{folder}/{text}" for text in texts] + [str(folder)]
    rng.shuffle(arguments)
    photos = find_photos(arguments, recursive=True)
    assert photos.count() == sum(1 for _ in photos) >= 4


def test_memory_does_not_grow_with_a_list(there):
    tracemalloc = pytest.importorskip("tracemalloc")
    Path("long.csv").write_text("path\n" + "".join(f"{random.Random(i).random()}.jpg\n" for i in range(5000)))
    photos = find_photos(["long.csv"])
    tracemalloc.start()
    assert sum(1 for _ in photos) == 5000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


def test_links_in_a_circle_end_no_pattern(there):
    write("loop/b.jpg", "deep/b/c.jpg")
    Path("loop/a.jpg").symlink_to("a.jpg")
    Path("deep/a").symlink_to("a")
    assert names("loop/*.jpg") == ["loop/b.jpg"]
    assert names("deep/*/c.jpg") == ["deep/b/c.jpg"]
    assert names("deep/**/c.jpg") == ["deep/b/c.jpg"]


def test_a_limit_beyond_all_numbers_takes_no_memory(there):
    write("a.jpg", "b.jpg")
    some, total = first_photos(find_photos(["."]), 10**18)
    assert ([source.name for source in some], total) == (["a.jpg", "b.jpg"], 2)
