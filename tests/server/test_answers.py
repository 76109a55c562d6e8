import hashlib
import io

import jsonschema
import numpy as np
import PIL.Image
import pytest

from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import OnnxDetector
from facegender.inference.pipeline import FaceAnalyzer
from facegender.page import assets


@pytest.fixture(scope="module")
def analyzer(models):
    return FaceAnalyzer(models["models"][0], OnnxDetector(models["detector_model"]))


def check(service, name, answer):
    """See that an answer is what the service's own document says of it."""
    document = service.get("/openapi.json").json
    jsonschema.validate(answer, {"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def test_answers_are_those_of_the_analyzer(service, analyzer, photos):
    files = [(f"{number}.png", data) for number, data in enumerate(photos)]
    files.insert(1, ("notes.txt", b"no image"))
    answer = service.form("/v1/analyze", *files)
    assert answer.status == 200
    check(service, "Analysis", answer.json)
    expected = [result.to_dict() for result in analyzer.analyze_named(files)]
    body = answer.json["photos"]
    assert body[1]["error"]["kind"] == "not_an_image"
    assert "notes.txt" in body[1]["error"]["message"]
    assert body == expected
    assert [len(photo["faces"]) for photo in body] == [1, 0, 2, 0]
    assert answer.json["model"] == {
        "name": "tiny",
        "sha256": analyzer.classifier.card.sha256,
        "min_confidence": 0.6,
    }


@pytest.mark.parametrize("kind", ["image/png", "image/x-anything", "application/octet-stream", "IMAGE/PNG; q=1"])
def test_raw_bytes_are_one_photo(service, analyzer, photos, kind):
    answer = service.post("/v1/analyze", photos[1], kind)
    assert answer.json["photos"] == [analyzer.analyze(photos[1]).to_dict()]


def test_a_body_of_unknown_length(service, analyzer, photos):
    chunks = (photos[0][start : start + 100] for start in range(0, len(photos[0]), 100))
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    answer = service.post("/v1/analyze", body, transfer_encoding="chunked")
    assert answer.json["photos"] == [analyzer.analyze(photos[0]).to_dict()]


def crops_of(*reds):
    return np.stack([np.full((64, 64, 3), (red, 10, 20), np.uint8) for red in reds])


def test_labels_are_as_sure_as_the_request_asks(service):
    body = crops_of(128, 150, 170).tobytes()  # p_male 0.5, 0.67, 0.79

    def labels(query):
        answer = service.post(f"/v1/classify{query}", body, "application/octet-stream").json
        assert answer["model"]["name"] == ("other" if "other" in query else "tiny")
        return [each["label"] for each in answer["predictions"]]

    assert labels("") == ["uncertain", "male", "male"]
    assert labels("?max_error=0.02") == ["uncertain", "male", "male"]
    assert labels("?min_confidence=0.75") == ["uncertain", "uncertain", "male"]
    assert labels("?min_confidence=0.5") == ["male", "male", "male"]
    assert labels("?model=other") == ["uncertain"] * 3
    assert labels("?model=other&max_error=0.05") == ["male", "male", "male"]


def test_crops_are_classified_in_order(service, models):
    crops = np.random.default_rng(0).integers(0, 256, (600, 64, 64, 3), np.uint8)  # more than a task holds
    crops[:, :, :, 0] = np.linspace(0, 255, 600).astype(np.uint8)[:, None, None]
    answer = service.post("/v1/classify", crops.tobytes(), "application/octet-stream")
    check(service, "Classification", answer.json)
    body = answer.json["predictions"]
    expected = GenderClassifier(models["models"][0]).predict(crops)
    assert [each["label"] for each in body] == [each.label for each in expected]
    assert [each["p_male"] for each in body] == [each.p_male for each in expected]


def png(pixels):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_crops_may_be_image_files(service):
    files = [("", png(crop)) for crop in crops_of(0, 255)]
    answer = service.form("/v1/classify", *files, field="crop")
    assert [each["label"] for each in answer.json["predictions"]] == ["female", "male"]
    wrong = service.form("/v1/classify", *files, ("", png(np.zeros((64, 63, 3), np.uint8))), field="crop")
    assert wrong.problem == (422, "invalid")
    assert "crop 2" in wrong.json["detail"]
    assert "63 x 64" in wrong.json["detail"]


def test_models_tell_what_the_cards_say(service, analyzer):
    body = service.get("/v1/models").json
    check(service, "Models", body)
    card = analyzer.classifier.card.to_dict()
    assert body["default"] == "tiny"
    assert [each["name"] for each in body["models"]] == ["tiny", "other"]
    assert body["models"][0] == {name: card[name] for name in body["models"][0]}
    assert body["detector"]["sha256"] == analyzer.detector.card.sha256
    assert body["limits"]["max_photos"] == service.service.limits.max_photos


def test_examples_of_the_document_are_answers(service):
    document = service.get("/openapi.json").json
    for path, name in (("/v1/analyze", "Analysis"), ("/v1/classify", "Classification")):
        answers = document["paths"][path]["post"]["responses"]
        check(service, name, answers["200"]["content"]["application/json"]["example"])
        assert {"400", "403", "408", "413", "415", "422", "429", "500", "503"} <= set(answers)
        for status, answer in answers.items():
            if status != "200":
                content = answer["content"]["application/problem+json"]
                assert content["schema"] == {"$ref": "#/components/schemas/ProblemDetails"}
                assert all(str(each["value"]["status"]) == status for each in content["examples"].values())
    assert "ProblemDetails" in document["components"]["schemas"]


def test_counts(service, photos):
    before = service.count('photos_total{model="tiny"}'), service.count('faces_total{model="tiny"}')
    service.form("/v1/analyze", ("a", photos[1]), ("b", b"bad"))
    assert service.count('photos_total{model="tiny"}') == before[0] + 2
    assert service.count('faces_total{model="tiny"}') == before[1] + 2
    assert service.count("workers_ready") == 1
    assert service.count("queue_tasks") == service.count("held_bytes") == 0
    assert service.count('requests_total{method="POST",path="/v1/analyze",status="200"}') > 0


def test_the_page_is_given_out(service):
    every = assets()
    page = service.get("/")
    assert page.status == 200
    assert page.body == every["index.html"].read()
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    for name, asset in every.items():
        answer = service.get(f"/{name}")
        assert answer.headers["content-type"] == asset.media_type
        assert answer.body == asset.read(unpacked=True)
        same = service.get(f"/{name}", if_none_match=answer.headers["etag"])
        assert (same.status, same.body) == (304, b"")
    packed = next(name for name, asset in every.items() if asset.gzipped)
    answer = service.get(f"/{packed}", accept_encoding="gzip, br")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.body == every[packed].read()
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.body).hexdigest()}"'
