"""Photos at URLs: a web server on this machine, and fsspec's file systems that need none."""

import gzip
import http.server
import io
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from facegender.errors import InputError, MissingExtraError, PhotoReadError
from facegender.sources import find_photos, is_remote, read, remote

fsspec = pytest.importorskip("fsspec")

FILES = {
    "/a.jpg": b"A" * 100_000,
    "/empty.jpg": b"",
    "/folder/b.png": b"B",
    "/list.txt": b"a.jpg\nfolder/b.png\nabsent.jpg\n",
    "/list.csv": b"id,path\n1,folder/b.png\n",
}


def tar(content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


SHARD = {f"{i:03d}.{suffix}": bytes([i]) * 5000 for i in range(20) for suffix in ("jpg", "cls")}
PHOTOS = {name: data for name, data in SHARD.items() if name.endswith(".jpg")}
FILES |= {"/shard-0.tar": tar(SHARD), "/shard-1.tar.gz": gzip.compress(tar(SHARD))}


class Handler(http.server.BaseHTTPRequestHandler):
    """Gives the files above, statuses by number, and answers that fail in other ways."""

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path.startswith("/status/"):
            self.send_error(int(path[8:11]))
        elif path == "/endless.jpg":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(10_000):
                    self.wfile.write(bytes(10_000))
            except OSError:
                pass
        elif path in ("/cut.jpg", "/cut.tar"):
            self.send_response(200)
            data = FILES["/shard-0.tar"] if path == "/cut.tar" else b"x" * 1000
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
        elif path == "/slow.jpg":
            self.server.released.wait(20)
        elif path in FILES:
            self.send_response(200)
            self.send_header("Content-Length", str(len(FILES[path])))
            self.end_headers()
            self.wfile.write(FILES[path])
        else:
            self.send_error(404)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("aiohttp")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.released = threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.released.set()
        server.shutdown()
        thread.join()


def outcome(source):
    try:
        return read(source)
    except PhotoReadError as error:
        return error.kind if source.name in str(error) else str(error)


def outcomes(*arguments, recursive=False):
    return {source.name: outcome(source) for source in find_photos(arguments, recursive=recursive)}


def test_photos_on_the_web(site):
    urls = {
        f"{site}/a.jpg": FILES["/a.jpg"],
        f"{site}/a.jpg?width=200&x=*": FILES["/a.jpg"],
        f"{site}/empty.jpg": b"",
        f"{site}/absent.jpg": "not_found",
        f"{site}/status/403.jpg": "permission",
        f"{site}/status/500.jpg": "unreadable",
        f"{site}/cut.jpg": "unreadable",
        "http://127.0.0.1:9/a.jpg": "unreadable",
    }
    assert outcomes(*urls) == urls
    photos = find_photos(list(urls))
    assert photos.count() == len(urls)
    assert all(is_remote(source) for source in photos)


def test_a_limit_of_bytes(site, monkeypatch):
    monkeypatch.setattr(remote, "MAX_BYTES", 200_000)
    monkeypatch.setattr("facegender.sources.source.MAX_BYTES", 200_000)
    assert outcomes(f"{site}/endless.jpg") == {f"{site}/endless.jpg": "byte_limit"}


def test_a_limit_of_time(site, monkeypatch):
    monkeypatch.setattr(remote, "TIMEOUT", 0.3)
    [source] = find_photos([f"{site}/slow.jpg"])
    with pytest.raises(PhotoReadError, match="too long"):
        read(source)


def test_shards_on_the_web(site):
    expected = {
        f"{site}/{shard}/{name}": data for shard in ("shard-0.tar", "shard-1.tar.gz") for name, data in PHOTOS.items()
    }
    arguments = (f"{site}/shard-{{0..0}}.tar", f"{site}/shard-1.tar.gz")
    assert outcomes(*arguments) == expected
    assert find_photos(arguments).count() is None


def test_shards_that_fail(site):
    found = outcomes(f"{site}/cut.tar", f"{site}/absent.tar", f"{site}/status/500.tar")
    whole = [name for name, data in found.items() if data == PHOTOS.get(name.rpartition("/")[2])]
    assert len(whole) < 15
    others = {name: kind for name, kind in found.items() if name not in whole}
    assert list(others) == [f"{site}/cut.tar", f"{site}/absent.tar", f"{site}/status/500.tar"]
    assert others.pop(f"{site}/absent.tar") == "not_found"
    assert set(others.values()) <= {"truncated", "unreadable"}


def test_lists_on_the_web(site):
    assert outcomes(f"{site}/list.txt", f"{site}/list.csv") == {
        "a.jpg": FILES["/a.jpg"],
        "folder/b.png": b"B",
        "absent.jpg": "not_found",
    }
    assert outcomes(f"{site}/list.csv?signature=a/b") == {"folder/b.png": b"B"}


def test_lists_here_of_photos_there(site, tmp_path):
    (tmp_path / "here.jpg").touch()
    (tmp_path / "list.txt").write_text(f"{site}/a.jpg\nhere.jpg\nnowhere://x/a.jpg\n")
    first, second, third = find_photos([str(tmp_path / "list.txt")])
    assert (read(first), read(second)) == (FILES["/a.jpg"], str(tmp_path / "here.jpg"))
    with pytest.raises(PhotoReadError, match="no protocol nowhere:// is known"):
        read(third)


@pytest.fixture
def bucket():
    """Files in a file system of this process; its name."""
    fs = fsspec.filesystem("memory")
    content = {
        "b.jpg": b"b",
        "a.jpg": b"a",
        "n.txt": b"a.jpg\nmemory://box/sub/c.png\n",
        "sub/c.png": b"c",
        ".h/d.jpg": b"d",
        "s.tar": tar({"t.jpg": b"t"}),
    }
    for name, data in content.items():
        fs.pipe(f"/box/{name}", data)
    yield "memory://box"
    fs.rm("/box", recursive=True)


def test_folders_and_patterns_in_a_bucket(bucket):
    def names(*arguments, **options):
        return [source.name.replace("memory:///", "memory://") for source in find_photos(arguments, **options)]

    assert names(f"{bucket}/") == [f"{bucket}/a.jpg", f"{bucket}/b.jpg"]
    assert names(f"{bucket}/", recursive=True) == [f"{bucket}/{name}" for name in ("a.jpg", "b.jpg", "sub/c.png")]
    assert names(f"{bucket}/*.jpg") == [f"{bucket}/a.jpg", f"{bucket}/b.jpg"]
    assert names(f"{bucket}/*") == [f"{bucket}/{name}" for name in ("a.jpg", "b.jpg", "s.tar/t.jpg")]
    assert names(f"{bucket}/**/c.*") == [f"{bucket}/sub/c.png"]
    assert [outcome(source) for source in find_photos([f"{bucket}/n.txt"])] == [b"a", b"c"]
    assert find_photos([f"{bucket}/"]).count() is None
    assert outcomes(f"{bucket}/nothing/") == {f"{bucket}/nothing/": "not_found"}
    with pytest.raises(InputError, match="no photos in"):
        find_photos([f"{bucket}/*.gif"])


def test_files_by_url(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"a")
    assert outcomes(f"file://{tmp_path}/a.jpg") == {f"file://{tmp_path}/a.jpg": b"a"}
    assert outcomes(f"file://{tmp_path}/b.jpg") == {f"file://{tmp_path}/b.jpg": "not_found"}


def test_what_cannot_be_served(monkeypatch):
    for url, words in [("nowhere://a.jpg", "no protocol nowhere://"), ("https://x/a.zip", "zip")]:
        with pytest.raises(InputError, match=words):
            find_photos([url])
    registry = sys.modules["fsspec.registry"]
    monkeypatch.setattr(registry, "_registry", {})
    monkeypatch.setattr(registry, "registry", {})
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"package s3fs .*facegender\[remote\]"):
        find_photos(["s3://box/a.jpg"])
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match="package fsspec"):
        find_photos(["https://x/a.jpg"])


def test_paths_of_this_machine_need_no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert find_photos([str(Path("a.jpg"))]).count() == 1
