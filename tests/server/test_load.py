"""Several requests at once, and the end of the service."""

import contextlib
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from facegender.cli import main
from facegender.server.run import JsonFormatter
from facegender.wire import Limits

from .conftest import form, running, workers_of

pytestmark = pytest.mark.slow

TOKEN = {"authorization": "Bearer open-sesame"}


def test_what_waits_is_worked_on_together(service, photos):
    batches = service.count("batch_tasks_count")
    with service.held_up():
        first = service.later("/v1/analyze", photos[0])
        service.until("working_tasks", 1)
        others = [service.later(f"/v1/analyze?min_confidence={least}", photos[0]) for least in (0.5, 0.75, 1)]
        service.until("queue_tasks", 3)
    assert first.result(20).status == 200
    faces = [other.result(20).json["photos"][0]["faces"][0] for other in others]
    assert 0.25 < faces[0]["p_male"] < 0.5
    assert [face.pop("label") for face in faces] == ["female", "uncertain", "uncertain"]
    assert faces[0] == faces[1] == faces[2]
    assert service.count("batch_tasks_count") == batches + 2


def test_a_full_queue_sends_away_and_recovers(narrow, photos):
    with narrow.held_up():
        taken = [narrow.later("/v1/analyze", photos[0], **TOKEN)]
        narrow.until("working_tasks", 1)
        taken += [narrow.later("/v1/analyze", photos[0], **TOKEN) for _ in range(4)]
        narrow.until("queue_tasks", 4)
        for answer in (
            narrow.post("/v1/analyze", photos[0], **TOKEN),
            narrow.form("/v1/analyze", ("a", photos[0]), **TOKEN),
            narrow.post("/v1/classify", bytes(64 * 64 * 3), "application/octet-stream", **TOKEN),
        ):
            assert answer.problem == (429, "busy")
            assert int(answer.headers["retry-after"]) >= 1
        # What cannot be taken in any case is said first; what needs no worker is answered.
        assert narrow.post("/v1/analyze", photos[0], "text/plain", **TOKEN).problem[0] == 415
        assert narrow.get("/readyz").status == 200
    assert [answer.result(20).status for answer in taken] == [200] * 5
    assert narrow.post("/v1/analyze", photos[0], **TOKEN).status == 200
    assert narrow.count('rejected_total{kind="busy"}') == 3


def test_bytes_that_are_held_are_bounded(narrow):
    big = bytes(150_000)
    with narrow.held_up():
        taken = [narrow.later("/v1/analyze", big, **TOKEN) for _ in range(2)]
        narrow.until("held_bytes", 300_000)
        assert narrow.post("/v1/analyze", big, **TOKEN).problem == (429, "busy")
        # Of unknown length: refused when it has grown too large.
        body = b"186a0\r\n" + bytes(100_000) + b"\r\n186a0\r\n" + bytes(100_000) + b"\r\n0\r\n\r\n"
        assert narrow.post("/v1/analyze", body, transfer_encoding="chunked", **TOKEN).problem[0] in (413, 429)
    assert [answer.result(20).status for answer in taken] == [200] * 2
    narrow.until("held_bytes", 0)


def test_the_expected_wait_is_bounded(models, photos):
    with running(**models, limits=Limits(max_wait=1e-9)) as hurried:
        assert hurried.post("/v1/analyze", photos[0]).status == 200  # nothing is before it
        with hurried.held_up():
            taken = hurried.later("/v1/analyze", photos[0])
            hurried.until("working_tasks", 1)
            answer = hurried.post("/v1/analyze", photos[0])
            assert answer.problem == (429, "busy")
            assert answer.headers["retry-after"] == "1"
        assert taken.result(20).status == 200


def test_the_photos_of_those_who_leave_are_dropped(service, photos):
    gone = service.count("disconnected_total")
    batches = service.count("batch_tasks_sum")
    with service.held_up():
        first = service.later("/v1/analyze", photos[0])
        service.until("working_tasks", 1)
        leaving = http.client.HTTPConnection("127.0.0.1", service.port)
        leaving.request("POST", "/v1/analyze", photos[0], {"content-type": "image/png"})
        service.until("queue_tasks", 1)
        leaving.close()
        service.until("queue_tasks", 0)
        service.until("disconnected_total", gone + 1)
        service.until("held_bytes", len(photos[0]))
    assert first.result(20).status == 200
    assert service.count("batch_tasks_sum") == batches + 1


def test_those_who_leave_within_their_body_are_forgotten(service):
    gone = service.count("disconnected_total")
    leaving = http.client.HTTPConnection("127.0.0.1", service.port)
    leaving.request("POST", "/v1/analyze", b"", {"content-type": "image/png", "content-length": "1000"})
    leaving.send(b"part")
    service.until("held_bytes", 4)
    leaving.close()
    service.until("disconnected_total", gone + 1)
    service.until("held_bytes", 0)


def test_workers_that_are_lost_for_good_are_told_and_come_back(models, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("facegender.server.batcher._REOPEN_DELAY", 0.1)
    detector = tmp_path / "detector.onnx"
    for suffix in (".onnx", ".json"):
        shutil.copy(Path(models["detector_model"]).with_suffix(suffix), detector.with_suffix(suffix))
    with running(models=models["models"], detector_model=str(detector)) as service:
        with service.held_up() as workers:
            taken = service.later("/v1/analyze", photos[0])
            service.until("working_tasks", 1)
            detector.rename(tmp_path / "away")
            for worker in workers:
                worker.kill()
        [photo] = taken.result(20).json["photos"]
        assert photo["error"]["kind"] == "crashed"
        assert service.post("/v1/analyze", photos[0]).problem == (500, "failed")
        service.until("workers_ready", 0)
        for answer in (service.get("/readyz"), service.post("/v1/analyze", photos[0])):
            assert answer.problem == (503, "not_ready")
            assert int(answer.headers["retry-after"]) >= 1
        assert service.get("/healthz").status == 200
        (tmp_path / "away").rename(detector)
        service.until("workers_ready", 1)
        assert len(service.post("/v1/analyze", photos[0]).json["photos"][0]["faces"]) == 1


def test_a_request_has_one_line_in_the_log_and_no_name(service, photos, caplog):
    with caplog.at_level("INFO", "facegender.server"):
        service.form("/v1/analyze?model=tiny", ("secret.jpg", photos[1]), ("secret.txt", b"secret"))
        service.get("/secret?secret=1")
        service.until("queue_tasks", 0)
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    [entry] = [line for line in lines if line["method"] == "POST"]
    assert entry["path"] == "/v1/analyze"
    assert (entry["status"], entry["photos"]) == (200, 2)
    assert entry["bytes"] > len(photos[1])
    assert entry["ms"] > 0
    assert re.fullmatch("[0-9a-f]{16}", entry["request"])
    assert "secret" not in json.dumps(entry)


def alive(process):
    """Whether a process does anything; nobody may be there to clear it away."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


class Command:
    """``facegender serve`` as people start it."""

    def __init__(self, models, folder, *options):
        self.folder = folder
        names = itertools.chain(*(("--model", model) for model in models["models"]))
        command = [sys.executable, "-m", "facegender", "serve", "--port", "0", "--workers", "1", *names]
        self.process = subprocess.Popen(
            [*command, "--detector-model", models["detector_model"], *options],
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        first = self.process.stderr.readline()
        found = re.match(r"serving http://127.0.0.1:(\d+)/ ", first)
        assert found, first + self.process.stderr.read()
        self.port = int(found[1])
        # A pipe that nobody empties would stop the service in the middle of a line.
        self.log = ThreadPoolExecutor(1).submit(self.process.stderr.readlines)

    def ask(self, method, path, body=None, kind="image/png"):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, {"content-type": kind})
            response = connection.getresponse()
            return response.status, response.read().decode()

    def post(self, body):
        status, reply = self.ask("POST", "/v1/analyze", body)
        return status, json.loads(reply)

    def metric(self, name):
        return float(re.search(rf"^facegender_{name} (\S+)$", self.ask("GET", "/metrics")[1], re.M)[1])

    def end(self):
        lines = self.log.result(30)
        self.process.stderr.close()
        return self.process.wait(30), [json.loads(line) for line in lines if line.startswith("{")]


def test_a_signal_under_load_loses_nothing_that_was_accepted(models, photos, tmp_path):
    command = Command(models, tmp_path)
    large = form(("large.png", photos[1] + bytes(3_000_000)))
    assert json.loads(command.ask("POST", "/v1/analyze", *large)[1])["photos"][0]["width"] == 320
    workers = workers_of(command.process.pid)
    with ThreadPoolExecutor(40) as threads:
        for worker in workers:
            worker.suspend()
        asked = [threads.submit(command.post, photos[number % 3]) for number in range(40)]
        while command.metric("queue_tasks") + command.metric("working_tasks") < 40:
            pass
        command.process.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.send_signal(signal.SIGTERM)  # as an init system would
            worker.resume()
        answers = [each.result() for each in asked]
    assert [status for status, _ in answers] == [200] * 40
    assert [len(reply["photos"][0]["faces"]) for _, reply in answers] == [(1, 2, 0)[number % 3] for number in range(40)]
    status, lines = command.end()
    assert status == 0
    assert [line["status"] for line in lines if line["path"] == "/v1/analyze"] == [200] * 41
    assert list(tmp_path.iterdir()) == []  # also after a body of 3 MB
    assert not any(map(alive, workers))


def test_a_body_that_was_on_its_way_is_still_taken(models, photos, tmp_path):
    command = Command(models, tmp_path)
    with socket.create_connection(("127.0.0.1", command.port), timeout=30) as connection:
        head = f"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(photos[1])}\r\n"
        connection.sendall(head.encode() + b"Content-Type: image/png\r\n\r\n" + photos[1][:100])
        while command.metric("held_bytes") < 100:
            pass
        command.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(ConnectionError):  # once nobody listens any more
            while command.ask("GET", "/healthz"):
                pass
        connection.sendall(photos[1][100:])
        reply = b""
        while more := connection.recv(65_536):
            reply += more
    assert reply.startswith(b"HTTP/1.1 200")
    assert len(json.loads(reply.partition(b"\r\n\r\n")[2])["photos"][0]["faces"]) == 2
    assert command.end()[0] == 0


def test_what_cannot_be_finished_within_the_grace_is_told_so(models, photos, tmp_path):
    command = Command(models, tmp_path, "--grace", "0.1")
    [worker] = workers_of(command.process.pid)
    worker.suspend()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(command.post, photos[0])
        while command.metric("working_tasks") < 1:
            pass
        command.process.send_signal(signal.SIGINT)
        status, problem = asked.result()
    assert (status, problem["kind"]) == (503, "not_ready")
    assert command.end()[0] == 1
    assert not alive(worker)


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        (["--model", "nobody"], "nobody", 1),
        (["--host", "0.0.0.0"], "--no-token", 2),
        (["--token-file", "absent"], "absent", 2),
        (["--token-file", "absent", "--no-token"], "exclude", 2),
        (["--max-queue", "1"], "--max-queue", 2),
        (["--workers", "0"], "--workers", 2),
        (["--workers", "9999999999"], "--workers", 2),
        (["--max-wait", "nan"], "max_wait", 2),
        (["--grace", "inf"], "grace", 2),
    ],
)
def test_a_service_that_cannot_start(options, words, status, monkeypatch, capsys):
    monkeypatch.delenv("FACEGENDER_TOKEN", raising=False)
    monkeypatch.setattr(sys, "argv", ["facegender", "serve", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    assert words in capsys.readouterr().err


def test_without_the_extra(monkeypatch, capsys):
    monkeypatch.setattr("facegender.cli.root.find_spec", lambda package: None)
    monkeypatch.setattr(sys, "argv", ["facegender", "serve"])
    with pytest.raises(SystemExit):
        main()
    assert "facegender[server]" in capsys.readouterr().err
