"""Photos in tar and zip archives, whole and damaged."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import random
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facegender.errors import InputError, PhotoReadError
from facegender.sources import MAX_BYTES, find_photos, read

CONTENT = {
    "b.jpg": b"B" * 3000,
    "x/a.PNG": os.urandom(2000),
    "./x/c.webp": b"",
    "../../up.jpg": b"up",
    "/etc/abs.jpg": b"abs",
    "long" * 60 + ".jpg": b"long",
    "ünï.jpg": b"name",
    "d.left.jpg": b"shard",
    "z.jpg": os.urandom(1500),
}
OTHERS = {"x/note.txt": b"text", "d.json": b"{}", "x/.h.jpg": b"", "__MACOSX/._b.jpg": b"fork"}
PACKERS = {"tar": bytes, "tar.gz": gzip.compress, "tgz": gzip.compress, "tar.bz2": bz2.compress, "txz": lzma.compress}


def tar(content, format_=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zip_(content, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def traced(call):
    """What a call gives, and its peak of memory: the least of three, since other threads' memory is traced too."""
    peaks = []
    for _ in range(3):
        tracemalloc.start()
        try:
            result = call()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return result, min(peaks)


def outcome(source):
    """The bytes of a photo, or the kind of its error."""
    source = pickle.loads(pickle.dumps(source))
    try:
        return read(source)
    except PhotoReadError as error:
        return error.kind if source.name in str(error) else str(error)


def outcomes(path):
    photos = find_photos([str(path)])
    listed = {source.name.removeprefix(f"{path}/"): outcome(source) for source in photos}
    assert photos.count() in (None, len(listed))
    return listed


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_tar(suffix, format_, tmp_path):
    path = tmp_path / f"shard.{suffix}"
    path.write_bytes(PACKERS[suffix](tar(CONTENT | OTHERS, format_)))
    assert outcomes(path) == CONTENT
    assert list(outcomes(path)) == list(CONTENT)
    assert (find_photos([str(path)]).count() is None) == (suffix != "tar")


def test_the_compression_is_told_by_the_bytes(tmp_path):
    path = tmp_path / "named.tar"
    path.write_bytes(gzip.compress(tar(CONTENT)[:5000]) + gzip.compress(tar(CONTENT)[5000:]))
    assert outcomes(path) == CONTENT


def test_archives_by_the_name_that_the_user_wrote(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        Path(f"s-{i:02d}.tar").write_bytes(tar({f"{i}.jpg": b""}))
    Path("s-03.zip").write_bytes(zip_({"3.jpg": b""}))
    expected = [f"s-{i:02d}.tar/{i}.jpg" for i in range(3)]
    assert [source.name for source in find_photos(["s-{00..02}.tar"])] == expected
    assert [source.name for source in find_photos(["./s-*"])] == [f"./{name}" for name in [*expected, "s-03.zip/3.jpg"]]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python reads Zstandard")
def test_zstandard_is_refused_where_python_cannot_read_it(tmp_path):
    path = tmp_path / "shard.tar.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    with pytest.raises(InputError, match="needs Python"):
        find_photos([str(path)])


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_members_of_a_tar_that_are_no_files(pack, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in [
            ("folder.jpg", tarfile.DIRTYPE),
            ("link.jpg", tarfile.SYMTYPE),
            ("hard.jpg", tarfile.LNKTYPE),
        ]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("pipe.jpg")
        member.type = tarfile.FIFOTYPE
        archive.addfile(member)
    path = tmp_path / "a.tar"
    path.write_bytes(pack(buffer.getvalue()))
    assert outcomes(path) == dict.fromkeys(["link.jpg", "hard.jpg", "pipe.jpg"], "not_found")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, lambda data: bz2.compress(data, 1)])
def test_a_tar_that_is_cut_short(pack, tmp_path):
    content = {f"{i}.jpg": os.urandom(20_000) for i in range(20)}
    whole = pack(tar(content))
    path = tmp_path / "a.tar"
    path.write_bytes(whole[: len(whole) // 2])
    found = outcomes(path)
    assert found.pop(str(path)) == "truncated"
    assert 0 < len(found) < 13
    good = {name: data for name, data in found.items() if data == content[name]}
    assert len(good) >= len(found) - 1
    assert set(found.values()) - set(good.values()) <= {"truncated"}
    assert list(found) == list(content)[: len(found)]


def test_a_tar_with_a_damaged_header(tmp_path):
    whole = tar({f"{i}.jpg": b"x" for i in range(6)})
    path = tmp_path / "a.tar"
    path.write_bytes(whole[: 3 * 1024] + b"\xff" * 512 + whole[3 * 1024 + 512 :])
    assert outcomes(path) == {"0.jpg": b"x", "1.jpg": b"x", "2.jpg": b"x", str(path): "truncated"}


def test_a_header_that_claims_gigabytes(tmp_path):
    """What describes the next member is read into memory: no more of it than any writer needs."""
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, 2**33
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(2**20)))
    found, peak = traced(lambda: outcomes(tmp_path / "a.tar.gz"))
    assert peak < 2**20 * 8
    assert "truncated" in found.values() or "not_an_image" in found.values()


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip"])
@pytest.mark.parametrize("data", [b"", b"Dear reader", bytes(5), b"\x1f\x8b", b"PK\3\4", b"PK\5\6", b"x" * 5000])
def test_what_is_no_archive(name, data, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    assert outcomes(path) in ({str(path): "not_an_image"}, {str(path): "truncated"})


def test_an_empty_archive_has_no_photos(tmp_path):
    for name, data in [("a.tar", tar({})), ("a.tgz", gzip.compress(tar({"n.txt": b""}))), ("a.zip", zip_({}))]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=rf"no photos in .*{name}($|: 1 file passed over .suffixes: .txt 1.$)"):
            find_photos([str(tmp_path / name)])


def test_an_archive_that_may_not_be_read(tmp_path, unprivileged):
    for name in ("a.tar", "a.zip"):
        path = tmp_path / name
        path.write_bytes(tar(CONTENT) if name == "a.tar" else zip_(CONTENT))
        path.chmod(0)
        with unprivileged():
            assert outcomes(path) == {str(path): "permission"}


def test_an_archive_that_is_gone_when_its_photos_are_read(tmp_path):
    for name, data in [("a.tar", tar(CONTENT)), ("a.zip", zip_(CONTENT))]:
        path = tmp_path / name
        path.write_bytes(data)
        source, *_ = find_photos([str(path)])
        path.unlink()
        assert outcome(source) == "not_found"


def test_a_header_that_promises_too_much(tmp_path):
    member = tarfile.TarInfo("huge.jpg")
    member.size = MAX_BYTES + 1
    for name, pack in [("a.tar", bytes), ("a.tar.gz", gzip.compress)]:
        path = tmp_path / name
        path.write_bytes(pack(tar({"a.jpg": b"a"})[:1024] + member.tobuf()))
        assert outcomes(path) == {"a.jpg": b"a", "huge.jpg": "byte_limit", str(path): "truncated"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip(method, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zip_(CONTENT | OTHERS, method))
    assert outcomes(path) == CONTENT
    assert list(outcomes(path)) == list(CONTENT)


def test_zips_of_unusual_build(tmp_path):
    plain = zip_(CONTENT)
    path = tmp_path / "a.zip"
    path.write_bytes(b"#!/bin/sh\n" * 100 + plain)  # extracts itself
    assert outcomes(path) == CONTENT
    path.write_bytes(plain[:-2] + struct.pack("<H", 500) + b"PK comment" * 50)
    assert outcomes(path) == CONTENT
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in CONTENT.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(data)
    assert outcomes(path) == CONTENT


@pytest.mark.parametrize(("name", "coding"), [("ünï.jpg", "utf-8"), ("é.jpg", "cp437")])
def test_names_without_the_flag_of_utf_8(name, coding, tmp_path):
    """macOS writes UTF-8 so."""
    plain = "x" * len(name.encode(coding))
    data = zip_({plain: b"1"}, zipfile.ZIP_STORED).replace(plain.encode(), name.encode(coding))
    (tmp_path / "a.zip").write_bytes(data)
    assert list(outcomes(tmp_path / "a.zip")) == [name]


def test_a_zip_whose_directory_has_wide_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    path = tmp_path / "a.zip"
    path.write_bytes(b"before" + zip_(CONTENT))
    assert b"PK\6\6" in path.read_bytes()
    assert outcomes(path) == CONTENT


def test_listing_a_zip_takes_no_memory(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zip_({f"{i}.jpg": b"" for i in range(5000)}, zipfile.ZIP_STORED))
    photos = find_photos([str(path)])
    count, peak = traced(photos.count)
    assert count == 5000
    assert peak < 200_000


def test_a_zip_bomb_is_refused_before_it_is_inflated(tmp_path):
    data = bytearray(zip_({"a.jpg": b"a", "bomb.jpg": bytes(60_000_000)}))
    size = data.rfind(b"PK\1\2") + 24
    path = tmp_path / "a.zip"
    # The first says how large it is. The second gives no more than it says, which its checksum then contradicts.
    for claim, kind in [(MAX_BYTES + 1, "byte_limit"), (10, "truncated")]:
        struct.pack_into("<L", data, size, claim)
        path.write_bytes(data)
        found, peak = traced(lambda: outcomes(path))
        assert found == {"a.jpg": b"a", "bomb.jpg": kind}
        assert peak < 2_000_000


def test_an_encrypted_member(tmp_path):
    data = bytearray(zip_({"a.jpg": b"a"}))
    for at in (data.find(b"PK\3\4") + 6, data.find(b"PK\1\2") + 8):
        data[at] |= 1
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    assert outcomes(path) == {"a.jpg": "permission"}


def test_a_compression_that_is_not_known(tmp_path):
    data = bytearray(zip_({"a.jpg": b"a"}))
    data[data.find(b"PK\1\2") + 10] = 97
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    assert outcomes(path) == {"a.jpg": "unreadable"}


def test_a_zip_that_is_cut_short(tmp_path):
    content = {f"{i}.jpg": os.urandom(5000) for i in range(10)}
    whole = zip_(content)
    path = tmp_path / "a.zip"
    path.write_bytes(whole[:27_000])  # no directory is left
    expected = {f"{i}.jpg": content[f"{i}.jpg"] for i in range(5)} | {"5.jpg": "truncated", str(path): "truncated"}
    assert outcomes(path) == expected
    path.write_bytes(whole[:12_000] + bytes(3000) + whole[15_000:])
    assert outcomes(path) == content | {"2.jpg": "truncated"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["a.tar", "a.tgz", "a.zip"]), seed=st.integers(0, 10**6), flips=st.integers(1, 12))
def test_damage_never_ends_a_listing(kind, seed, flips, tmp_path):
    rng = random.Random(seed)
    content = {f"{i}.jpg": bytes([i]) * 300 for i in range(6)}
    pack = {"a.tar": tar, "a.tgz": lambda c: gzip.compress(tar(c)), "a.zip": zip_}[kind]
    data = bytearray(pack(content))
    for _ in range(flips):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    if rng.random() < 0.3:
        del data[rng.randrange(len(data)) :]
    path = tmp_path / kind
    path.write_bytes(data)
    sound = tmp_path / "sound.jpg"  # else the names of all members may be damaged, and nothing be there
    for source in find_photos([str(path), str(sound)]):
        assert isinstance(outcome(source), bytes | str)


def test_photos_are_read_in_another_process(tmp_path):
    paths = [tmp_path / name for name in ("a.tar", "a.zip", "a.tgz")]
    for path, data in zip(paths, (tar(CONTENT), zip_(CONTENT), gzip.compress(tar(CONTENT))), strict=True):
        path.write_bytes(data)
    sources = list(find_photos([str(path) for path in paths]))
    code = (
        "import sys, pickle; from facegender.sources import read; "
        "sys.stdout.buffer.write(pickle.dumps([read(s) for s in pickle.load(sys.stdin.buffer)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(sources), capture_output=True, check=True)
    assert pickle.loads(done.stdout) == list(CONTENT.values()) * 3
