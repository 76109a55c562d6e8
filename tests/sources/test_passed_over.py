"""What is no photo by its name: looked at, or counted. What is a video, and what a list."""

import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegender.errors import InputError
from facegender.lab.datasets.images import image_paths
from facegender.sources import find_photos, find_videos, read, sample
from facegender.sources.kinds import HEAD_BYTES, Kind, is_photo_data, kind_of
from facegender.sources.manifests import is_text, lines


def data_of(format_, size=(8, 8)):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", size).save(buffer, format_)
    return buffer.getvalue()


JPEG, PNG = data_of("JPEG"), data_of("PNG")
HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(500)
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(500)
MPEG_TS = (b"\x47" + bytes(187)) * 4
M2TS = (b"\1\2\3\4\x47" + bytes(187)) * 4
MATROSKA = b"\x1a\x45\xdf\xa3" + bytes(500)


def write(**contents):
    for name, content in contents.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def names(*arguments, **options):
    photos = find_photos(arguments, **options)
    listed = [source.name for source in photos]
    assert photos.count() == len(listed)
    return listed, str(photos.passed_over) if photos.passed_over else ""


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (JPEG, Kind.PHOTO),
        (PNG, Kind.PHOTO),
        (data_of("GIF"), Kind.PHOTO),
        (data_of("WEBP"), Kind.PHOTO),
        (data_of("AVIF"), Kind.PHOTO),
        (data_of("JPEG2000"), Kind.PHOTO),
        (HEIC, Kind.PHOTO),
        (MP4, Kind.VIDEO),
        (MPEG_TS, Kind.VIDEO),
        (M2TS, Kind.VIDEO),
        (MATROSKA, Kind.VIDEO),
        (b"\0\0\1\xba" + bytes(100), Kind.VIDEO),
        (b"RIFF\1\0\0\0AVI LIST", Kind.VIDEO),
        (b"RIFF\1\0\0\0WAVEfmt ", None),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", None),
        (b"\0\0\0\x20ftypM4A \0\0\2\0", None),
        (b"PK\3\4", Kind.ARCHIVE),
        (b"II*\0", None),
        (b"G", None),
        (b"", None),
        (b"Dear reader", None),
    ],
)
def test_kinds_by_content(head, kind):
    assert kind_of(head[:HEAD_BYTES]) is kind


def test_photos_of_other_names_are_photos(there):
    write(**{"p/a.JPG_large": JPEG, "p/b": PNG, "p/c.HIF": HEIC, "p/d.heics": HEIC, "p/e.jpg": b"", "p/f.jpg~": JPEG})
    assert names("p") == ([f"p/{name}" for name in ("a.JPG_large", "b", "c.HIF", "d.heics", "e.jpg", "f.jpg~")], "")
    assert names("p/*") == names("p")
    assert names("p/b") == (["p/b"], "")


def test_what_is_passed_over_is_counted(there):
    write(**{"p/a.jpg": JPEG, "p/b": b"text", "p/c": b"", "p/d.pdf": b"%PDF", "p/e.mp4": MP4, "p/f.MTS": MPEG_TS})
    write(**{"p/._a.jpg": b"\0\5\x16\7", "p/.DS_Store": b"", "p/g.dng": b"II*\0", "p/h.jpg.bak": JPEG, "q/i.jpg": JPEG})
    Path("p/link").symlink_to("../q", target_is_directory=True)
    counted = "suffixes: none 2, .bak 1, .dng 1, .pdf 1; hidden 1"
    assert names("p") == (["p/a.jpg"], f"8 files passed over ({counted}; videos 2)")
    everything = ["p/a.jpg", "q/i.jpg"]
    assert names("p", "q", recursive=True) == (
        everything,
        f"9 files passed over ({counted}; linked folders 1; videos 2)",
    )
    listed, said = names("p/*")
    assert (listed, said) == (["p/a.jpg"], "7 files passed over (suffixes: none 2, .bak 1, .dng 1, .pdf 1; videos 2)")
    assert names("p/*.pdf")[0] == ["p/d.pdf"]  # asked for by name
    drawn, _ = sample(find_photos(["p", "q"]), 1, 0)
    assert len(drawn.passed_over) == 8
    Path("p/a.jpg").unlink()
    with pytest.raises(InputError, match=r"no photos in p: 8 files passed over \(suffixes: none 2"):
        find_photos(["p"])


def test_many_suffixes_are_few_words(there):
    write(**{f"p/{number}.x{number}": b"" for number in range(9)}, **{"p/a.jpg": JPEG})
    _, said = names("p")
    assert said.startswith("9 files passed over (suffixes: .x")
    assert said.endswith(", others 3)")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_archives_count_too(kind, there):
    members = {"1.jpg": JPEG, "__MACOSX/._1.jpg": b"x", "note.txt": b"x", "film.mp4": MP4, "readme": b"x"}
    if kind == "zip":
        with zipfile.ZipFile("a.zip", "w") as archive:
            archive.mkdir("empty") if hasattr(archive, "mkdir") else None
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(f"a.{kind}", f"w:{'gz' if kind.endswith('gz') else ''}") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    photos = find_photos([f"a.{kind}"])
    assert [source.name for source in photos] == [f"a.{kind}/1.jpg"]
    assert str(photos.passed_over) == "4 files passed over (suffixes: none 1, .txt 1; hidden 1; videos 1)"


def test_a_pipe_in_a_folder_is_not_waited_for(there):
    write(**{"p/a.jpg": JPEG})
    os.mkfifo("p/pipe")
    assert names("p") == (["p/a.jpg"], "1 file passed over (suffixes: none 1)")


def test_videos_of_folders_and_patterns(there):
    write(**{"v/b.m2ts": M2TS, "v/a.MP4": MP4, "v/.c.mp4": MP4, "v/sub/d.vob": b"", "v/n.txt": b"", "p/x.jpg": JPEG})
    write(**{"p/y.mov": MP4})
    assert find_videos(["v"]) == ("v/a.MP4", "v/b.m2ts")
    assert find_videos(["v"], recursive=True) == ("v/a.MP4", "v/b.m2ts", "v/sub/d.vob")
    assert find_videos(["v/*"]) == ("v/a.MP4", "v/b.m2ts")
    assert find_videos(["v/**/*.vob", "v/a.MP4"]) == ("v/sub/d.vob", "v/a.MP4")
    assert find_videos(["absent.3gp", "v/b.m2ts"]) == ("absent.3gp", "v/b.m2ts")
    assert find_videos(["p"]) == find_videos(["p/*"]) == find_videos(["-"]) == find_videos(["v/sub/none"]) == ()
    assert find_videos(["p/x.jpg", "v"]) == ()
    for photo, video in (("p/x.jpg", "v/a.MP4"), ("p", "p/*.mov"), ("https://a.example/b.jpg", "v/a.MP4")):
        with pytest.raises(InputError) as caught:
            find_videos([video, photo, video])
        assert str(caught.value) == f"give photos or videos, not both: {video} is a video, and {photo} names photos"


README = """These photos were taken in spring.

See https://example.com/photos and https://example.com/terms.jpg for more.
https://example.com/licence
They may be used by anybody.
"""


def test_a_readme_is_no_list(there):
    write(**{"p/a.jpg": JPEG, "p/README.txt": README.encode(), "p/binary.lst": bytes(range(256)) + bytes(9)})
    photos = find_photos(["p/README.txt", "p/a.jpg", "p/binary.lst"])
    assert [source.name for source in photos] == ["p/a.jpg"]
    assert photos.empty == ("p/README.txt", "p/binary.lst")
    with pytest.raises(InputError, match=r"no photos in p/README\.txt"):
        find_photos(["p/README.txt"])


def test_lists_of_odd_names_are_lists(there):
    write(**{"p/1": JPEG, "p/a b": JPEG})
    for text, count in (
        ("1\na b\n", 2),
        ("absent.jpg\nabsent.png\nno suffix\n", 3),
        ("https://a.example/1\nhttps://a.example/2\n", 2),
        ("x.jpg\n" * 5000, 5000),
        ("\n\n1\n", 1),
    ):
        Path("p/list.txt").write_text(text)
        assert sum(1 for _ in find_photos(["p/list.txt"]).arguments) == 1
        assert find_photos(["p/list.txt"]).count() == count


NAMES = ["b.jpg", "#c d.png", "/abs/ü.jpg", "x/\N{GRINNING FACE}.jpg", "日本.jpg"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-8"])
@pytest.mark.parametrize("ends", ["\r\n", "\n"])
def test_lists_in_every_encoding(encoding, ends, there, stdin):
    data = ends.join([*NAMES, ""]).encode(encoding)
    Path("list.txt").write_bytes(data)
    assert names("list.txt") == (NAMES, "")
    stdin(data)
    assert names("-") == (NAMES, "")
    table = ends.join(["id;path;x", *(f"1;{name};2" for name in NAMES), ""])
    Path("list.csv").write_bytes(table.encode(encoding))
    assert names("list.csv") == (NAMES, "")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("first", ["", "sep"])
def test_tables_with_any_delimiter(delimiter, suffix, first, there):
    rows = [["id", "path"], *([str(n), f'"{name}"'] for n, name in enumerate(NAMES))]
    head = f"sep={delimiter}\r\n" if first else ""
    Path(f"a.{suffix}").write_text(head + "".join(delimiter.join(row) + "\r\n" for row in rows), encoding="utf-8")
    assert names(f"a.{suffix}") == (NAMES, "")


def test_names_between_nul(there, stdin):
    write(**{"IMG[1].jpg": JPEG})  # a name, no pattern
    odd = ["./a.jpg", "./IMG[1].jpg", "./two\nlines.jpg", "./\udcff.jpg", "./ü.jpg", "./x\r.jpg", " ", "\x1d"]
    for end in (b"", b"\0"):
        data = b"\0".join(map(os.fsencode, odd)) + end
        Path("list.txt").write_bytes(data)
        assert names("list.txt") == (odd, "")
        stdin(data)
        assert [s.name for s in find_photos(["-"])] == odd
    long = [f"{n:05d}.jpg" for n in range(30_000)]
    stdin("\0".join(long).encode())
    assert [s.name for s in find_photos(["-"])] == long


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000"])
def test_a_photo_on_standard_input(format_, there, stdin):
    data = data_of(format_)
    stdin(data)
    photos = find_photos(["-"])
    for _ in range(2):
        [source] = photos
        assert (source.name, read(source)) == ("-", data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (MP4, "a video cannot be read from standard input .save it to a file"),
        (M2TS, "a video"),
        (b"PK\3\4" + bytes(99), "an archive cannot be read from standard input"),
        (b"\x7fELF" + bytes(99), "neither a photo of a known kind nor a list"),
        (b"%PDF-1.4\n\0\0\0", "neither"),
    ],
)
def test_other_data_on_standard_input_is_refused(data, words, there, stdin):
    stdin(data)
    with pytest.raises(InputError, match=words):
        find_photos(["-"])


def test_lists_that_begin_like_photos_are_lists(there, stdin):
    for data in (b"BMW.jpg\n", b"P6\n", b"II+.jpg", b"GIF8.jpg"):
        assert not is_photo_data(data)
        stdin(data)
        assert [s.name for s in find_photos(["-"])] == [data.decode().strip()]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=255).map(lambda name: name.replace(b"\0", b"0")), min_size=2))
def test_whatever_find_prints_is_read(listed):
    data = b"\0".join(listed) + b"\0"
    assert is_text(data)
    found = list(lines(io.BytesIO(data)))
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\n\0" not in data and b"\0\n" not in data:
        assert found == list(map(os.fsdecode, listed))


def test_prepare_and_predict_agree(there):
    contents = {"a.jpg": JPEG, "b": PNG, "c.HIF": HEIC, "d.jpg_large": JPEG, "e.gif": b"", ".f.jpg": JPEG, "g.txt": b""}
    contents |= {"h.dng": b"II*\0", "sub/i.jp2": b"", ".hidden/j.jpg": JPEG, "k.mp4": MP4, "l": struct.pack("<I", 7)}
    write(**{f"p/{name}": content for name, content in contents.items()})
    predicted = [source.name.removeprefix("p/") for source in find_photos(["p"], recursive=True)]
    assert image_paths(Path("p")) == sorted(predicted) == ["a.jpg", "b", "c.HIF", "d.jpg_large", "e.gif", "sub/i.jp2"]
    with zipfile.ZipFile("p.zip", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    found = [source.name.removeprefix("p.zip/") for source in find_photos(["p.zip"])]
    assert image_paths(Path("p.zip")) == sorted(found)
