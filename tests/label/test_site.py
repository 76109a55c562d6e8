"""The server over real HTTP: what it says, and to whom."""

import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import numpy as np
import PIL.Image
import pytest

from facegender.errors import InputError
from facegender.formats.records import printable
from facegender.label.pictures import Pictures
from facegender.label.site import LabellingApp, serving
from facegender.sources.source import LocalFile
from facegender.survey.labels import read_labels


@pytest.fixture
def desk(start, serve):
    """A session and how to ask its server."""
    session = start()
    with serve(session) as url:
        where = urlsplit(url)

        def ask(path, body=None, headers=(), method=None, at=None):
            connection = http.client.HTTPConnection("127.0.0.1", where.port)
            content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            way = method or ("GET" if body is None else "POST")
            connection.request(way, (at or where.path) + path, content, dict(headers))
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, json.loads(data) if kind == "application/json" else data, answer.headers

        ask.host = where.netloc
        yield session, ask


def test_faces_are_asked_for_and_answered(desk):
    session, ask = desk
    assert ask("state")[1]["count"] == 40
    status, item, _ = ask("item/3")
    assert (status, item["place"], item["answer"]) == (200, 3, None)
    status, state, _ = ask("item/3", {"answer": "male"})
    assert (status, state["done"], state["next"]) == (200, 1, 0)
    assert ask("item/3")[1]["answer"] == "male"
    assert ask("undo", {})[1]["place"] == 3
    assert ask("undo", {})[1]["place"] is None
    assert session.done == 0


def test_nothing_that_is_sent_tells_what_the_network_said(desk):
    _, ask = desk
    said = json.dumps([ask("state")[1], ask("item/0")[1]])
    for word in ("p_male", "quality", "uncertain", "stratum", "score"):
        assert word not in said


def test_the_picture_is_of_the_face_that_is_meant(desk):
    session, ask = desk
    for place in range(6):
        item = session.item(place)
        number = 2 * int(item.photo[:3]) + int(item.box[0] > 40)
        status, data, headers = ask(f"item/{place}/face.jpg")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        image = np.asarray(PIL.Image.open(io.BytesIO(data)))
        assert max(image.shape) >= 300
        middle = image[image.shape[0] // 2, image.shape[1] // 2].astype(int)
        assert np.abs(middle - [number, 255 - number, 128]).max() < 12
        whole = np.asarray(PIL.Image.open(io.BytesIO(ask(f"item/{place}/photo.jpg")[1])))
        assert whole.shape == (80, 140, 3)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("item/40", None, 404),
        ("item/-1", None, 404),
        ("item/x", None, 404),
        ("item/0/face.png", None, 404),
        ("../state", None, 404),
        ("label.py", None, 404),
        ("item/0", {"answer": "boy"}, 400),
        ("item/0", {}, 400),
        ("item/0", [], 400),
        ("item/0", b"no json", 400),
        ("item/0", b'{"answer": "' + b"a" * 2000 + b'"}', 400),
        ("item/40", {"answer": "male"}, 404),
    ],
)
def test_what_makes_no_sense_is_refused(desk, path, body, status):
    session, ask = desk
    assert ask(path, body)[0] == status
    assert session.done == 0


def test_only_the_page_may_ask(desk):
    session, ask = desk
    good = {"Origin": f"http://{ask.host}"}
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert ask("state", headers=headers)[0] == 403
        assert ask("item/0", {"answer": "male"}, headers)[0] == 403
    assert ask("state", at="/")[0] == ask("state", at="/guess/")[0] == 404
    assert ask("item/0", {"answer": "male"}, at="/")[0] == 404
    assert session.done == 0
    assert ask("item/0", {"answer": "male"}, good)[0] == 200


def test_the_headers_keep_everything_here(desk):
    _, ask = desk
    status, content, headers = ask("")
    assert status == 200
    assert b"http" not in content.replace(b"http-equiv", b"")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert [ask(name)[0] for name in ("label.js", "label.css", "style.css", "favicon.svg")] == [200] * 4


def test_a_photo_that_is_gone_is_said_and_the_rest_goes_on(start):
    session = start()
    missing = session.item(0).photo
    sources = {session.item(place).photo: LocalFile("x", "/nowhere/x.png") for place in range(3)}
    with serving(LabellingApp(session, Pictures(sources))) as url:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url + "item/0/face.jpg")
        assert refused.value.code == 404
        assert "no such file" in json.loads(refused.value.read())["error"]
        refused.value.close()
        with urllib.request.urlopen(url + "item/0") as answer:
            assert json.loads(answer.read())["photo"] == missing


def test_where_photos_are_looked_for(collection, results, tmp_path, monkeypatch):
    names = collection.photos["path"].tolist()
    assert set(Pictures.find(names, [results], []).sources) == set(names)  # beside the results
    other = tmp_path / "elsewhere.jsonl"
    with pytest.raises(InputError, match="--photos"):
        Pictures.find(names, [other], [])
    moved = Pictures.find(names, [other], [str(results.parent)])  # by file name
    assert moved.face(names[0], (15, 20, 40, 40))[:2] == b"\xff\xd8"


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes are Linux's")
def test_photos_whose_names_are_not_utf_8(results, tmp_path):
    name = os.fsdecode(b"\xe9.png")
    (tmp_path / name).write_bytes((results.parent / "000.png").read_bytes())
    for given in ([], [str(tmp_path)]):
        found = Pictures.find([printable(name)], [tmp_path / "faces.jsonl"], given)
        assert found.face(printable(name), (15, 20, 40, 40))[:2] == b"\xff\xd8"


def test_answers_of_many_connections_are_all_kept(desk):
    session, ask = desk
    threads = [threading.Thread(target=ask, args=(f"item/{i}", {"answer": "female"})) for i in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.done == 40
    assert len(session.path.read_text().splitlines()) == 41


def test_the_verb_from_start_to_survey(results, collection, tmp_path):
    """As a person would: start, answer, Ctrl-C, survey."""
    labels = tmp_path / "labels.csv"
    command = [sys.executable, "-m", "facegender", "label", str(results), "-o", str(labels), "--number", "60"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
        # A shell's background, where the tests may run, ignores interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        url = re.search(r"http://127\.0\.0\.1:\d+/\S+/", process.stderr.readline())[0]
        for place in range(60):
            with urllib.request.urlopen(f"{url}item/{place}") as answer:
                item = json.loads(answer.read())
            word = "female" if place % 3 == 0 else "male"
            data = json.dumps({"answer": word}).encode()
            urllib.request.urlopen(urllib.request.Request(f"{url}item/{item['place']}", data)).close()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 0
    assert "60 of 60 faces have an answer" in said
    known = read_labels([labels], collection)
    assert (known.women, known.men) == (20, 40)
    done = subprocess.run(
        [sys.executable, "-m", "facegender", "survey", str(results), "--labelled", str(labels), "--bootstrap", "100"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "photos like these" in done.stdout
