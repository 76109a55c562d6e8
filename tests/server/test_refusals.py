import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.cli.serve import TOKEN_VARIABLE
from facegender.errors import InputError, WeightsError
from facegender.server.service import Service
from facegender.server.settings import ServerSettings
from facegender.wire import Limits

from .conftest import running

TOKEN = {"authorization": "Bearer open-sesame"}


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("model=nobody", "tiny, other"),
        ("max_error=0.02&min_confidence=0.9", "not both"),
        ("max_error=nan", "max_error"),
        ("max_error=0.7", "max_error"),
        ("max_error=0.001", "max_error"),
        ("min_confidence=0.4", "min_confidence"),
        ("min_confidence=much", "min_confidence"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/analyze", "/v1/classify"])
def test_what_cannot_be_asked_for(service, photos, path, query, word):
    answer = service.post(f"{path}?{query}", photos[0], "application/octet-stream")
    assert answer.problem == (422, "invalid")
    assert word in answer.json["detail"]


@pytest.mark.parametrize(
    ("query", "unknown", "closest"),
    [
        ("max_eror=0.05", "max_eror", "max_error"),
        ("MIN-CONFIDENCE=0.9", "MIN-CONFIDENCE", "min_confidence"),
        ("model=tiny&Model=other", "Model", "model"),
        ("max_error=0.05&conf", "conf", "min_confidence"),
        ("photo=a.jpg", "photo", "model"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/analyze", "/v1/classify"])
def test_unknown_parameters_are_named_with_the_closest_known_one(service, path, query, unknown, closest):
    answer = service.post(f"{path}?{query}", bytes(64 * 64 * 3), "application/octet-stream")
    assert answer.problem == (422, "invalid")
    assert answer.json["detail"] == f"unknown parameter {unknown!r}; the closest known one is {closest!r}"


def test_a_path_without_parameters_takes_none(service):
    answer = service.get("/v1/models?model=tiny")
    assert answer.problem == (422, "invalid")
    assert answer.json["detail"] == "unknown parameter 'model'; this path takes none"
    assert service.get("/healthz?t=1").status == service.get("/readyz?t=1").status == service.get("/?t=1").status == 200


def test_names_of_unknown_parameters_are_text(service):
    detail = service.post("/v1/analyze?%1b%5b31m" + "x" * 1000, b"").json["detail"]
    assert "\x1b" not in detail
    assert len(detail) < 200


@pytest.mark.parametrize(
    ("path", "field", "words"),
    [
        ("/v1/analyze", "photos", "unknown form field 'photos'; the closest known one is 'photo'"),
        ("/v1/analyze", "crop", "unknown form field 'crop'; the closest known one is 'photo'"),
        ("/v1/classify", "photo", "unknown form field 'photo'; the closest known one is 'crop'"),
        ("/v1/analyze", "max_error", "'max_error' is no form field but a parameter of the query"),
    ],
)
def test_unknown_form_fields_are_named(service, photos, path, field, words):
    answer = service.form(path, ("a.png", photos[0]), field=field)
    assert answer.problem == (422, "invalid")
    assert answer.json["detail"] == words


@pytest.mark.parametrize("size", [0, 1, 64 * 64 * 3 - 1, 64 * 64 * 3 + 1])
def test_crops_are_whole(service, size):
    answer = service.post("/v1/classify", bytes(size), "application/octet-stream")
    assert answer.problem == (422, "invalid")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text/plain", 415),
        ("application/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
        ("image", 415),
        ("multipart/mixed; boundary=edge", 415),
        ("multipart/form-data", 400),
        (f"multipart/form-data; boundary={'e' * 71}", 400),
    ],
)
def test_content_types(service, photos, kind, expected):
    answer = service.post("/v1/analyze", photos[0], kind)
    assert answer.problem[0] == expected


def test_a_compressed_body_is_not_unpacked(service, photos):
    for encoding in ("gzip", "deflate", "br, gzip"):
        answer = service.post("/v1/analyze", photos[0], content_encoding=encoding)
        assert answer.problem == (415, "unsupported_media_type")


PART = b'--edge\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\nx\r\n'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", 400),
        (b"no form", 400),
        (PART, 400),
        (PART + b"--edge", 400),
        (b"--edge--\r\n", 422),
        (PART.replace(b'"photo"', b'"picture"') + b"--edge--\r\n", 422),
        (PART.replace(b'; filename="a"', b"") + b"--edge--\r\n", 422),
        (PART.replace(b"Content-Disposition", b"Content-Anything") + b"--edge--\r\n", 422),
        (PART.replace(b"\r\n\r\n", b"\r\nX-Long: " + b"a" * 10_000 + b"\r\n\r\n") + b"--edge--\r\n", 400),
        (PART.replace(b"\r\n\r\n", b"\r\nX: a" * 100 + b"\r\n\r\n") + b"--edge--\r\n", 400),
    ],
)
def test_forms_that_are_none(service, body, expected):
    answer = service.post("/v1/analyze", body, "multipart/form-data; boundary=edge")
    assert answer.problem[0] == expected


def test_paths_and_methods(service):
    assert service.get("/v1/nothing").problem == (404, "not_found")
    assert service.get("/../../etc/passwd").problem == (404, "not_found")
    assert service.get("/%2e%2e/%2e%2e/etc/passwd").problem == (404, "not_found")
    assert service.get("/docs").problem == (404, "not_found")
    assert service.post("/v1/nothing", b"").problem == (404, "not_found")
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MADEUP"):
        answer = service.ask(method, "/v1/analyze")
        assert answer.problem == (405, "method_not_allowed")
        assert answer.headers["allow"] == "POST"
    assert service.post("/healthz", b"").problem == (405, "method_not_allowed")
    assert service.post("/", b"").problem == (405, "method_not_allowed")


def test_a_token_is_asked_for(narrow, photos):
    asks = {"/v1/analyze": "POST", "/v1/classify": "POST", "/v1/models": "GET", "/metrics": "GET"}
    for path, method in asks.items():
        for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic open-sesame"}):
            answer = narrow.ask(method, path, **given)
            assert answer.problem == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
    # Before anything else is told of the service.
    assert narrow.post("/v1/analyze?model=nobody", photos[0]).problem == (401, "unauthorized")
    assert narrow.get("/v1/models", **TOKEN).status == 200
    assert narrow.post("/v1/analyze", photos[0], **TOKEN).status == 200
    for path in ("/healthz", "/readyz", "/", "/openapi.json"):
        assert narrow.get(path).status == 200
    document = narrow.get("/openapi.json").json
    assert document["paths"]["/v1/models"]["get"]["security"]
    assert "401" in document["paths"]["/v1/models"]["get"]["responses"]


def test_bodies_above_the_limits(narrow, photos):
    assert narrow.post("/v1/analyze", bytes(200_001), **TOKEN).problem == (413, "too_large")
    assert narrow.form("/v1/analyze", *[("a", b"x")] * 4, **TOKEN).problem == (413, "too_large")
    answer = narrow.form("/v1/analyze", *[("a", photos[0])] * 3, **TOKEN)
    assert [len(photo["faces"]) for photo in answer.json["photos"]] == [1, 1, 1]


def test_a_web_page_of_another_name_is_not_let_in(service, photos):
    for host in ("evil.example", f"evil.example:{service.port}", "localhost.evil.example", "[::2]", ""):
        assert service.get("/v1/models", host=host).problem == (400, "host")
    for host in ("localhost", f"LOCALHOST:{service.port}", "[::1]:80", "127.0.0.1"):
        assert service.get("/v1/models", host=host).status == 200
    strange = service.post("/v1/analyze", photos[0], origin="https://evil.example")
    assert strange.problem == (403, "origin")
    assert service.post("/v1/analyze", photos[0], origin="null").problem == (403, "origin")
    own = service.post("/v1/analyze", photos[0], origin=f"http://127.0.0.1:{service.port}")
    assert own.status == 200
    assert "access-control-allow-origin" not in own.headers


def test_web_pages_that_may_use_the_service(models, photos):
    with running(**models, origins=("https://known.example",), allowed_hosts=("faces.example",)) as service:
        known, strange = "https://known.example", "https://strange.example"
        asking = {"access_control_request_method": "POST", "access_control_request_headers": "authorization"}
        allowed = service.ask("OPTIONS", "/v1/analyze", origin=known, **asking)
        assert allowed.status == 200
        assert allowed.headers["access-control-allow-origin"] == known
        assert service.ask("OPTIONS", "/v1/analyze", origin=strange, **asking).problem == (403, "origin")
        answer = service.post("/v1/analyze", photos[0], origin=known, host="faces.example")
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == known
        assert service.post("/v1/analyze", photos[0], origin=strange).problem == (403, "origin")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"host": "0.0.0.0"}, "--no-token"),
        ({"host": "example.org"}, "--no-token"),
        ({"token": ""}, "token"),
        ({"token": "two\nlines"}, "token"),
        ({"workers": 0}, "worker"),
        ({"origins": ("example.org",)}, "origin"),
        ({"origins": ("https://example.org/",)}, "origin"),
        ({"grace": float("inf")}, "grace"),
    ],
)
def test_settings_that_cannot_be(settings, word):
    with pytest.raises(InputError, match=word):
        ServerSettings(**settings)


def test_limits_that_let_nothing_through():
    for limits in (
        {"max_queue": 3},
        {"max_memory": 1},
        {"max_wait": 0},
        {"max_wait": float("inf")},
        {"max_pixels": -1},
    ):
        with pytest.raises(InputError):
            Limits(**limits)


def test_models_that_cannot_be_served(models, write_model, tmp_path):
    with pytest.raises(InputError, match="two models"):
        Service(ServerSettings(models=(*models["models"], models["models"][0])))
    with pytest.raises(WeightsError, match="nobody"):
        Service(ServerSettings(models=("nobody",)))
    card = write_model(tmp_path, "rare", confidence_for_error={"0.05": 0.5})
    with pytest.raises(InputError, match="rare"):
        Service(ServerSettings(models=(str(card),)))


def test_beyond_this_machine_with_a_token_or_knowingly():
    assert ServerSettings(host="0.0.0.0", token="a").hosts is None
    assert ServerSettings(host="0.0.0.0", open_to_all=True, allowed_hosts=("Faces.example",)).hosts == {
        *("localhost", "127.0.0.1", "[::1]", "0.0.0.0", "faces.example"),
    }


def test_an_empty_variable_is_no_token(monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, "")
    result = CliRunner().invoke(app, ["serve", "--host", "0.0.0.0"])
    assert result.exit_code == 2
    assert "there is no token" in " ".join(result.stderr.replace("│", " ").split())


def test_an_origin_that_is_no_address(service, photos):
    assert service.post("/v1/analyze", photos[0], origin="http://[").problem == (403, "origin")


def test_every_refusal_is_counted(service):
    kinds = ("not_found", "method_not_allowed", "invalid")
    before = [service.count(f'rejected_total{{kind="{kind}"}}') for kind in kinds]
    assert service.get("/nowhere").status == 404
    assert service.get("/v1/analyze").status == 405
    assert service.post("/v1/analyze?max_error=abc", b"x").status == 422
    after = [service.count(f'rejected_total{{kind="{kind}"}}') for kind in kinds]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]
