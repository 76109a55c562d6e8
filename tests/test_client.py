"""The client, against servers that fail in all the ways there are, and against the service itself."""

import json
import os
import pickle
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.client import Client, ServerEngine
from facegender.errors import InputError, ServerError
from facegender.inference.classifier import GenderClassifier
from facegender.inference.options import Options
from facegender.inference.pipeline import FaceAnalyzer
from facegender.inference.provenance import run_file
from facegender.inference.run import analyze
from facegender.weights import load_card

TOKEN = "the-token-of-the-tests"
MODEL = {"name": "tiny", "sha256": "00", "min_confidence": 0.6}
FACE = {
    "box": [1.0, 2.0, 30.0, 40.0],
    "score": 0.9,
    "quality": 0.71,
    "landmarks": [[10.0, 10.0], [20.0, 10.0], [15.0, 15.0], [11.0, 20.0], [19.0, 20.0]],
    "p_male": 0.75,
    "label": "male",
}
RECORD = {"path": "", "width": 64, "height": 48, "weight": 1.0, "faces": [FACE], "error": None}
DONE = (200, {}, {"model": MODEL, "photos": [RECORD]})


def problem(status, kind, headers=None):
    return status, headers or {}, {"type": "about:blank", "status": status, "detail": f"it is {kind}", "kind": kind}


@pytest.fixture
def fake():
    """A server on loopback that gives one answer after the other, the last for ever; None breaks the connection.

    ``answers`` may also be a function of the body. ``asked`` lists the requests: method, path, headers, body.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with server.lock:
                server.asked.append((self.command, self.path, dict(self.headers), body))
                answers = server.answers(body) if callable(server.answers) else server.answers
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if answer is None:
                self.close_connection = True
                return
            status, headers, content = answer
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            kind = "text/html" if isinstance(content, bytes) else "application/json"
            for name, value in {"Content-Type": kind, "Content-Length": len(data), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815

        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.lock, server.asked, server.answers = threading.Lock(), [], [DONE]
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_photo_goes_out_without_its_name_and_comes_back_as_a_result(fake, tmp_path):
    path = tmp_path / "Jane Doe.jpg"
    path.write_bytes(b"the bytes of a photo")
    with Client(fake.url + "/", token=TOKEN, model="tiny", max_error=0.02) as client:
        result = client.analyze(path)
    [(method, target, headers, body)] = fake.asked
    assert (method, target, body) == ("POST", "/v1/analyze?model=tiny&max_error=0.02", b"the bytes of a photo")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert "Jane" not in str(headers)
    assert result.to_dict() == {**RECORD, "path": str(path)}
    assert result.faces[0].face.quality == 0.71


@pytest.mark.parametrize("answer", [None, problem(429, "busy", {"Retry-After": 0}), problem(503, "not_ready")])
def test_what_will_pass_is_waited_for(fake, answer):
    fake.answers = [answer, DONE]
    with Client(fake.url) as client:
        assert client.analyze(b"photo").width == 64
    assert [body for *_, body in fake.asked] == [b"photo", b"photo"]


def test_patience_has_an_end(fake):
    fake.answers = [problem(429, "busy", {"Retry-After": 0})]
    with Client(fake.url, retries=2) as client, pytest.raises(ServerError, match="it is busy") as caught:
        client.analyze(b"photo")
    assert (caught.value.status, caught.value.kind, len(fake.asked)) == (429, "busy", 3)
    fake.answers = [problem(503, "not_ready", {"Retry-After": 3600})]
    with Client(fake.url) as client, pytest.raises(ServerError, match="it is not_ready"):
        client.analyze(b"photo")
    assert len(fake.asked) == 4


def test_a_date_is_waited_for_too(fake):
    fake.answers = [problem(503, "not_ready", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), DONE]
    with Client(fake.url) as client:
        assert client.analyze(b"photo").error is None


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500])
def test_what_will_not_pass_is_told_at_once(fake, status):
    fake.answers = [problem(status, "some_kind")]
    with Client(fake.url, token=TOKEN) as client, pytest.raises(ServerError) as caught:
        client.analyze(b"photo")
    assert (caught.value.status, caught.value.kind, len(fake.asked)) == (status, "some_kind", 1)
    assert f"POST {fake.url}/v1/analyze: it is some_kind" in str(caught.value)
    assert TOKEN not in str(caught.value) + repr(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.status, again.kind) == (str(caught.value), status, "some_kind")


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"<html>Sign in to the network</html>"),
        (502, {}, b"<html>Bad gateway</html>"),
        (404, {}, b"<html>Not here</html>"),
        (200, {}, {"photos": "many"}),
        (200, {}, ["a", "list"]),
        (200, {}, {"model": MODEL, "photos": [RECORD, RECORD]}),
        (200, {}, {"model": MODEL, "photos": [{**RECORD, "faces": [{**FACE, "p_male": 7}]}]}),
        (200, {}, {"model": MODEL, "photos": [{**RECORD, "faces": [{**FACE, "landmarks": [[0, 0]]}]}]}),
        (200, {}, {"model": MODEL, "photos": [{**RECORD, "faces": [{**FACE, "label": "both"}]}]}),
        (200, {"Content-Encoding": "gzip"}, b"no gzip at all"),
    ],
)
def test_an_answer_that_makes_no_sense_names_the_server(fake, answer):
    fake.answers = [answer]
    with Client(fake.url, retries=0) as client, pytest.raises(ServerError, match=f"{fake.url} is no server of"):
        client.analyze(b"photo")


def test_a_redirection_is_not_followed(fake):
    fake.answers = [(307, {"Location": "http://example.org/"}, b"")]
    with Client(fake.url, token=TOKEN) as client, pytest.raises(ServerError, match=r"http://example\.org/"):
        client.analyze(b"photo")
    assert len(fake.asked) == 1


def test_a_server_that_is_not_there(fake):
    fake.answers = [None]
    with Client(fake.url, retries=1) as client, pytest.raises(ServerError, match=f"{fake.url} cannot be reached") as no:
        client.models()
    assert (no.value.status, no.value.kind, len(fake.asked)) == (None, "server", 2)


def test_photos_that_cannot_be_read_here_are_results(fake, tmp_path):
    (tmp_path / "photo.png").write_bytes(b"x")
    paths = [str(tmp_path / "no.png"), tmp_path, tmp_path / "photo.png"]
    with Client(fake.url) as client:
        gone, folder, read = client.analyze_many(paths)
    assert (gone.error.kind, gone.path, gone.error.message) == ("not_found", paths[0], f"no such file: {paths[0]}")
    assert (folder.error.kind, folder.error.message) == ("not_found", f"{tmp_path} is a folder, not a photo")
    assert read.error is None
    assert len(fake.asked) == 1


def test_a_photo_that_the_server_finds_too_large_costs_the_others_nothing(fake):
    fake.answers = [problem(413, "too_large"), DONE]
    with Client(fake.url) as client:
        large, other = client.analyze_many([b"0123456789", b"photo"], concurrency=1)
    assert large.error.kind == "byte_limit"
    assert large.error.message == f"the image given as bytes has 10 bytes, more than {fake.url} takes"
    assert other.error is None


def about(**limits):
    """What the server says of itself."""
    return 200, {}, {**dict.fromkeys(("version", "models", "default", "detector")), "limits": limits}


def test_a_photo_above_the_limits_of_the_server_is_not_sent(fake, tmp_path):
    small, wide, large = (tmp_path / f"{name}.png" for name in ("small", "wide", "large"))
    PIL.Image.new("L", (10, 10)).save(small)
    PIL.Image.new("L", (11, 10)).save(wide)
    with large.open("wb") as file:
        file.truncate(2**40)  # to read it would take all memory
    fake.answers = [about(max_bytes=1000, max_pixels=100), DONE]
    with Client(fake.url) as client:
        client.models()
        found = list(client.analyze_many([small, wide, large, large.name, b"x" * 1001, np.zeros((11, 10), np.uint8)]))
    assert [result.error and result.error.kind for result in found] == [
        *(None, "pixel_limit", "byte_limit", "not_found", "byte_limit", "pixel_limit"),
    ]
    assert found[1].error.message.startswith(f"{wide} has 11 x 10 = 110 pixels, above the limit of 100")
    takes = f"bytes, more than {fake.url} takes (at most 1000; facegender serve --max-bytes raises it)"
    assert found[2].error.message == f"{large} has {2**40} {takes}"
    assert found[4].error.message == f"the image given as bytes has 1001 {takes}"
    assert [body for *_, body in fake.asked] == [b"", small.read_bytes()]


@pytest.mark.parametrize("limits", [{}, {"max_bytes": "many"}, None])
def test_a_server_that_does_not_say_its_limits(fake, limits):
    fake.answers = [about() if limits is None else about(**limits), problem(413, "too_large")]
    if limits is None:
        del fake.answers[0][2]["limits"]
    with Client(fake.url) as client:
        client.models()
        assert client.limits == {}
        assert client.analyze(b"0123456789").error.kind == "byte_limit"
    assert len(fake.asked) == 2


def test_predict_does_not_read_what_the_server_would_refuse(fake, tmp_path):
    folder, archive = tmp_path / "photos", tmp_path / "photos.zip"
    folder.mkdir()
    (folder / "small.png").write_bytes(b"small")
    with (folder / "large.png").open("wb") as file:
        file.truncate(2**40)
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("large.png", b"x" * 6)
        packed.writestr("small.png", b"small")
    fake.answers = [about(max_bytes=5), DONE]
    result = CliRunner().invoke(app, ["predict", str(folder), str(archive), "--on", fake.url, "--format", "jsonl"])
    assert result.exit_code == 3
    assert [record["error"] and record["error"]["kind"] for record in map(json.loads, result.stdout.splitlines())] == [
        *("byte_limit", None, "byte_limit", None),
    ]
    assert [body for *_, body in fake.asked] == [b"", b"small", b"small"]


def test_photos_are_taken_as_fast_as_they_are_answered(fake):
    taken = []

    def photos():
        for number in range(1000):
            taken.append(number)
            yield b"%d" % number

    with Client(fake.url) as client:
        results = client.analyze_many(photos(), concurrency=3)
        assert taken == []
        next(results)
        assert len(taken) <= 6
        results.close()
    assert len(fake.asked) <= 6


def test_no_one_waits_for_a_run_that_has_failed(fake):
    # The second photo would be tried again after 50 seconds, had the first not ended the run.
    refused, put_off = problem(401, "unauthorized"), problem(503, "not_ready", {"Retry-After": 50})
    fake.answers = lambda body: [refused if body == b"one" else put_off]
    with Client(fake.url) as client, pytest.raises(ServerError):
        list(client.analyze_many([b"one", b"two", b"three"], concurrency=2))


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://localhost", "http://", "http://me:secret@localhost", "http://localhost/?a=b"]
)
def test_urls_that_cannot_be(url):
    with pytest.raises(InputError) as caught:
        Client(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"token": ""},
        {"token": "two words"},
        {"token": "line\n"},
        {"max_error": 0.1, "min_confidence": 0.9},
        {"timeout": 0},
        {"retries": -1},
    ],
)
def test_options_that_cannot_be(options):
    with pytest.raises(InputError):
        Client(**options)


def test_arguments_that_cannot_be(fake):
    with Client(fake.url) as client:
        with pytest.raises(InputError, match="several photos"):
            client.analyze_many("photo.jpg")
        with pytest.raises(InputError, match="at least 1 request"):
            client.analyze_many([], concurrency=0)
        with pytest.raises(InputError, match="uint8, H x W x 3"):
            client.analyze(np.zeros((4, 4)))
        with pytest.raises(InputError, match="uint8, N x 64 x 64 x 3"):
            client.classify(np.zeros((1, 32, 32, 3), np.uint8))
        assert client.classify(np.zeros((0, 64, 64, 3), np.uint8)) == []
    assert fake.asked == []


@pytest.fixture(scope="module")
def service(tiny_model, tiny_detector):
    """The URL of the service with the tiny networks, which asks for `TOKEN`."""
    command = [sys.executable, "-m", "facegender", "serve", "--port", "0", "--workers", "1"]
    command += ["--model", str(tiny_model), "--detector-model", str(tiny_detector), "--max-bytes", "4000000"]
    environment = {**os.environ, "FACEGENDER_TOKEN": TOKEN}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.match(r"serving (http://\S+)", line):
                break
        else:
            pytest.fail("".join(lines))
        rest = threading.Thread(target=lines.extend, args=(process.stderr,))
        rest.start()
        yield found[1]
        process.terminate()
        assert process.wait(30) == 0
        rest.join()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 21 photos of red squares, one of them large, a letter, and one cut short."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(20):
        image = np.repeat(rng.integers(0, 256, (110, 120, 1), dtype=np.uint8), 3, axis=2)
        image[30:80, 40:90] = (255, 0, number)
        PIL.Image.fromarray(image).save(folder / f"{number:02d}.{('png', 'jpg')[number % 2]}")
    large = np.zeros((900, 1200, 3), np.uint8)
    large[300:700, 500:900] = large[10:40, 10:40] = (255, 0, 0)
    PIL.Image.fromarray(large).save(folder / "large.jpg")
    (folder / "letter.jpg").write_text("Dear reader")
    (folder / "short.png").write_bytes((folder / "00.png").read_bytes()[:2000])
    return folder


def test_the_service_gives_the_records_of_the_analyzer(service, photos, tiny_model, tiny_detector):
    analyzer = FaceAnalyzer(tiny_model, tiny_detector, threads=1)
    paths = sorted(photos.iterdir())
    with Client(service, token=TOKEN) as client:
        theirs = list(client.analyze_many(paths, concurrency=4))
    ours = list(analyzer.analyze_many(paths))
    assert [result.to_dict() for result in theirs] == [result.to_dict() for result in ours]
    assert sum(len(result.faces) for result in theirs) > len(paths) // 2
    assert {result.error.kind for result in theirs if result.error} == {"not_an_image", "truncated"}


def test_bytes_and_arrays(service, photos, tiny_model, tiny_detector):
    analyzer: FaceAnalyzer = FaceAnalyzer(tiny_model, tiny_detector, threads=1)
    with PIL.Image.open(photos / "02.png") as image:
        array = np.array(image)
    some = [(photos / "01.jpg").read_bytes(), array, b"", b"Dear reader"]
    with Client(service, token=TOKEN) as client:
        for photo in some:
            assert client.analyze(photo).to_dict() == analyzer.analyze(photo).to_dict()


def test_crops_and_models(service, tiny_model):
    crops = np.random.default_rng(0).integers(0, 256, (300, 64, 64, 3), dtype=np.uint8)
    crops[:, :, :, 0] = np.linspace(0, 255, len(crops))[:, None, None]
    classifier = GenderClassifier(tiny_model, min_confidence=0.7)
    with Client(service, token=TOKEN, min_confidence=0.7) as client:
        theirs = client.classify(crops)
        about = client.models()
    assert theirs == classifier.predict(crops)
    assert about["default"] == "tiny"
    assert about["models"][0]["sha256"] == classifier.card.sha256
    assert about["limits"]["max_bytes"] == 4_000_000


def test_what_the_service_refuses(service):
    with Client(service) as client, pytest.raises(ServerError, match="FACEGENDER_TOKEN") as caught:
        client.analyze(b"photo")
    assert (caught.value.status, caught.value.kind) == (401, "unauthorized")
    with Client(service, token=TOKEN, model="huge") as client, pytest.raises(ServerError, match="tiny") as caught:
        client.analyze(b"photo")
    assert (caught.value.status, caught.value.kind) == (422, "invalid")
    with Client(service, token=TOKEN) as client:
        assert client.analyze(b"x" * 4_000_001).error.kind == "byte_limit"


@pytest.fixture
def run(service, monkeypatch):
    """Run predict on the service, or here with the networks of the service."""
    monkeypatch.setenv("FACEGENDER_TOKEN", TOKEN)

    def invoke(*args):
        return CliRunner().invoke(app, ["predict", *map(str, args)])

    return invoke


def test_predict_writes_the_same_records(run, service, photos, networks, tmp_path):
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz") as archive:
        for path in sorted(photos.iterdir()):
            archive.add(path, path.name)
    listed = tmp_path / "list.txt"
    listed.write_text(f"{photos / '03.jpg'}\n{tmp_path / 'gone.jpg'}\n")
    paths = [photos, tmp_path / "photos.tar.gz", listed]
    there, here = tmp_path / "there.jsonl", tmp_path / "here.jsonl"
    sent = run(*paths, "--on", service, "-o", there, "--sample", 40, "--seed", 1)
    done = run(*paths, *networks, "-o", here, "--sample", 40, "--seed", 1)
    assert done.stderr.splitlines()[-1] == "model tiny: MIT"
    times = re.compile(r" in \d+ s: ")
    assert times.sub(": ", sent.stderr) == times.sub(": ", done.stderr)
    assert sent.exit_code == done.exit_code
    assert sent.exit_code == 3
    assert there.read_bytes() == here.read_bytes()
    provenance = json.loads(run_file(there).read_text())
    assert provenance["model"] == json.loads(run_file(here).read_text())["model"]
    assert provenance["detector"]["name"] == "blocks"
    assert TOKEN not in run_file(there).read_text()
    again = run(*paths, "--on", service, "-o", there, "--sample", 40, "--seed", 1)
    assert (again.exit_code, again.stderr) == (0, f"{there} holds all 40 photos already\n")


def test_a_photo_replaced_while_it_is_sent_is_sent_again(fake, tmp_path):
    photo, out = tmp_path / "a.jpg", tmp_path / "out.jsonl"
    photo.write_bytes(b"before")

    def answers(body):
        photo.write_bytes(b"change")
        return [DONE]

    about = (200, {}, {**dict.fromkeys(("version", "models", "default")), "detector": {"name": "d", "sha256": "0"}})
    classified = (200, {}, {"model": MODEL, "predictions": [{"p_male": 0.5, "label": "uncertain"}]})
    fake.answers = lambda body: [about] if not body else [classified] if len(body) > 9 else answers(body)
    for count in (1, 1, 0):
        before = len(fake.asked)
        assert CliRunner().invoke(app, ["predict", str(photo), "--on", fake.url, "-o", str(out)]).exit_code == 0
        bodies = [body for *_, body in fake.asked[before:] if 0 < len(body) < 9]
        assert len(bodies) == count


def test_predict_prints_a_table(run, service, photos):
    result = run(photos / "01.jpg", "--on", service, "--min-confidence", "0.5")
    assert (result.exit_code, "male" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--workers", "2"], "--workers"),
        (["--device", "cpu", "--min-face", "20"], "--device, --min-face"),
        (["--detector", "yunet", "--detector-model", "x.onnx"], "--detector, --detector-model"),
        (["--annotate", "a", "--crops", "b"], "--annotate, --crops"),
        (["--max-pixels", "7"], "--max-pixels"),
        (["--time-limit", "5"], "--time-limit"),
        (["film.mp4"], "--on"),
    ],
)
def test_predict_refuses_what_a_server_would_not_do(options, named):
    result = CliRunner().invoke(app, ["predict", "x.jpg", "--on", "http://127.0.0.1:9", *options])
    assert result.exit_code == 2
    assert named in re.sub(r"[\s│]+", " ", result.stderr)


def test_predict_says_the_terms_of_the_network_that_a_server_runs(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    (tmp_path / "a.jpg").write_bytes(b"photo")
    cards = [load_card().to_dict(), {**load_card("open").to_dict(), "name": "own", "licence": "ask first"}]
    fake.answers = [(200, {}, {"models": cards, "default": "research", "version": "1", "detector": {}}), DONE]
    command = ["predict", str(tmp_path / "a.jpg"), "--on", fake.url]
    said = CliRunner().invoke(app, command).stderr
    assert said.startswith(f"terms of use of the default network, research: {load_card().licence}")
    assert said.endswith("model research: non-commercial research only (terms: MODEL_CARD.md)\n")
    fake.answers = [(200, {}, {"models": cards, "default": "research", "version": "1", "detector": {}}), DONE]
    said = CliRunner().invoke(app, [*command, "--model", "own"]).stderr
    assert "terms of use" not in said
    assert said.endswith("model own: ask first\n")


def test_predict_without_the_token_does_not_begin(run, service, photos, tmp_path, monkeypatch):
    monkeypatch.delenv("FACEGENDER_TOKEN")
    result = run(photos, "--on", service, "-o", tmp_path / "out.jsonl")
    assert isinstance(result.exception, ServerError)
    assert list(tmp_path.iterdir()) == []


def test_answers_of_another_model_than_the_one_that_was_noted_are_no_results(fake, tmp_path):
    """As after a restart of the server between the question for its model and the first photo."""
    (tmp_path / "a.jpg").write_bytes(b"photo")
    out = tmp_path / "out.jsonl"
    noted = (200, {}, {**dict.fromkeys(("version", "models", "default")), "detector": {"name": "d", "sha256": "0"}})
    classified = (200, {}, {"model": MODEL, "predictions": [{"p_male": 0.5, "label": "uncertain"}]})
    other = (200, {}, {"model": {**MODEL, "sha256": "01"}, "photos": [RECORD]})
    fake.answers = [noted, noted, classified, other]
    result = CliRunner().invoke(app, ["predict", str(tmp_path / "a.jpg"), "--on", fake.url, "-o", str(out)])
    assert isinstance(result.exception, ServerError)
    assert "'sha256': '01'" in str(result.exception)
    assert not out.exists()
    # Without a file nothing is noted: other options may be answered by another model.
    engine = ServerEngine(fake.url)
    fake.answers = [noted, classified, other]
    engine.provenance(Options())
    [found] = analyze(tmp_path / "a.jpg", options=Options(model="other"), engine=engine)
    assert found.error is None


def test_predict_notes_a_change_of_the_model(fake, photos, tmp_path):
    other = (200, {}, {"model": {**MODEL, "sha256": "01"}, "photos": [RECORD]})
    about = (200, {}, dict.fromkeys(("version", "models", "default", "detector", "limits")))
    fake.answers = [about, DONE, other]
    result = CliRunner().invoke(app, ["predict", str(photos), "--on", fake.url])
    assert isinstance(result.exception, ServerError)
    assert "'sha256': '01'" in str(result.exception)
