"""From a finished run to files that answer as PyTorch does, in every form and runtime."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from scipy.special import expit

from facegender.errors import AccuracyLossError, CheckpointError, InputError
from facegender.inference.classifier import GenderClassifier
from facegender.inference.runtime import open_network
from facegender.lab.datasets.provenance import Provenance, Seen
from facegender.lab.effects import degrade_mixed
from facegender.lab.export.convert import convert
from facegender.lab.export.measure import ERRORS, MOST_CROPS, EvaluationCrops, balanced, faces_to_test, validation_faces
from facegender.lab.export.run import _calibrated, _people, export_run
from facegender.lab.training.calibration import out_of_fold
from facegender.lab.training.checkpoint import MODEL
from facegender.lab.training.loop import Examples, train
from facegender.lab.training.model import features_and_logits, load_model

pytestmark = pytest.mark.slow

FORMS = [(form, precision) for form in ("onnx", "openvino") for precision in ("fp32", "fp16", "int8")]


@pytest.fixture(scope="module")
def run(store, quick, tmp_path_factory):
    """The folder of a run that learned from the train split."""
    folder = tmp_path_factory.mktemp("runs") / "quick"
    train(quick, Examples(store, store.split("train")), folder)
    return folder


@pytest.fixture(scope="module")
def calibrated(run, store):
    """The run, its validation faces, and what its calibration gives."""
    trained = load_model(run / MODEL)
    faces = validation_faces([store], trained.provenance, "quick")
    return trained, faces, _calibrated(trained, faces)


@pytest.fixture(scope="module")
def exported(run, store, calibrated, tmp_path_factory):
    """Every form and precision, by both: the network to open. The cards are those of the first and of the last."""
    folder = tmp_path_factory.mktemp("exported")
    texts = {"licence": "ours", "command": "pytest"}
    first = export_run(run, [store], [store], folder, "first", **texts, max_loss=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facegender.lab.export.run._calibrated", lambda *_: calibrated[-1])
        last = export_run(
            run, [store], [store], folder, "last", **texts, form="openvino", precision="int8", max_loss=10
        )
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in first.files + last.files)
    files = {FORMS[0]: first.files[0], FORMS[-1]: last.files[0]}
    for form, precision in FORMS[1:-1]:
        content = convert(first.files[0].read_bytes(), form, precision, np.asarray(store.crops))
        for suffix, part in content.items():
            (folder / f"{form}-{precision}{suffix}").write_bytes(part)
        files[form, precision] = folder / f"{form}-{precision}{next(iter(content))}"
    return files


@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_every_file_gives_the_same_probabilities(form, exported, store):
    crops = np.asarray(store.crops)
    given = open_network(exported[form]).run(crops)
    exact = GenderClassifier(exported["onnx", "fp32"]).p_male(crops)
    assert given.dtype == np.float32
    assert np.abs(given - exact).max() <= {"fp32": 1e-5, "fp16": 0.01, "int8": 0.2}[form[1]]
    assert np.abs(given - exact).mean() <= 0.03


def test_openvino_files_have_cards_too(exported, store):
    classifier = GenderClassifier(exported["openvino", "int8"], threads=1)
    assert (classifier.card.name, classifier.card.precision) == ("last", "int8")
    assert len(classifier.predict(np.asarray(store.crops[:7]))) == 7
    with pytest.raises(InputError, match=r"last\.xml is OpenVINO's and runs on the CPU"):
        GenderClassifier(exported["openvino", "int8"], device="cuda")


def test_weights_take_fewer_bytes(exported):
    for form in ("onnx", "openvino"):
        full, half, byte = (
            exported[form, precision].with_suffix(".bin" if form == "openvino" else ".onnx").stat().st_size
            for precision in ("fp32", "fp16", "int8")
        )
        assert half < 0.51 * full
        assert byte < 0.29 * full


def test_openvino_reads_the_onnx_files_too(exported, store):
    openvino = pytest.importorskip("openvino")
    crops = np.asarray(store.crops)
    for precision in ("fp32", "fp16", "int8"):
        path = exported["onnx", precision]
        compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        tolerance = 0.05 if precision == "int8" else 1e-3
        assert np.abs(compiled(crops)[0] - open_network(path).run(crops)).max() <= tolerance


def test_a_file_that_is_not_whole(exported, tmp_path):
    for path in exported["openvino", "int8"].parent.glob("last.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "last.bin"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(Exception, match=r"last\.xml is damaged"):
        GenderClassifier(tmp_path / "last.xml")
    weights.unlink()
    with pytest.raises(Exception, match=r"last\.xml is not whole: .*last\.bin is missing"):
        GenderClassifier(tmp_path / "last.xml")


def test_the_command(invoke, run, store, store_folder, tmp_path):
    options = ["--validate", str(store_folder), "--test", str(store_folder), "--name", "made", "--licence", "ours"]
    result = invoke("export", run, *options, "-o", tmp_path / "out")
    assert "lost over all: 0.00 points" in result.output

    classifier = GenderClassifier(tmp_path / "out" / "made.onnx")
    features, logits = features_and_logits(load_model(run / MODEL).classifier, store.crops, np.arange(len(store)))
    assert features.shape == (len(store), 50)
    ours = classifier.p_male(np.asarray(store.crops))
    order = np.argsort(logits[:, 1] - logits[:, 0], kind="stable")
    assert (np.diff(ours[order]) >= -0.2).all()  # one temperature a face, but the order is nearly that of the logits

    card = json.loads((tmp_path / "out" / "made.json").read_text())
    assert (card["channels"], card["licence"], card["precision"]) == ("rgb", "ours", "fp32")
    assert list(card["confidence_for_error"]) == list(ERRORS)
    tested = card["accuracy"]["made test"]
    test = store.split("test")
    assert tested["count"] == len(test)
    assert tested["accuracy"] == pytest.approx(((ours[test] >= 0.5) == store.labels[test]).mean(), abs=1e-5)
    assert tested["brier_score"] == pytest.approx(np.square(ours[test] - store.labels[test]).mean(), abs=1e-4)
    assert set(tested["answered"]) == {"0.01", "0.02"}
    assert card["validation"]["made validation"]["count"] == len(store.split("validation"))


def test_thresholds_are_chosen_from_answers_of_other_calibrations(calibrated, store):
    """The answers of each face are by calibrations that were fitted without its person."""
    trained, faces, (_, (exact,), held_out) = calibrated
    people = _people(faces)
    assert len(set(people.tolist())) == len({store.identities[i] for i in faces[0].index}) == 9
    shown = [np.ascontiguousarray(store.crops[faces[0].index])]
    shown.append(degrade_mixed(shown[0]))
    parts = [features_and_logits(trained.classifier, crops, np.arange(len(people))) for crops in shown]
    features, logits = (np.concatenate(part) for part in zip(*parts, strict=True))
    rows = (features, logits, np.tile(faces[0].labels, 2), np.repeat([1.0, 0.5], len(people)))
    each = np.tile(np.arange(len(people)), 2)
    expected = out_of_fold(*rows, faces=each, people=np.tile(people, 2))[: len(people)]
    assert expit(held_out) == pytest.approx(expected.clip(1e-7, 1 - 1e-7), abs=1e-6)
    assert not np.allclose(expected, exact, atol=1e-4)


def test_people_of_two_stores(store):
    one = replace(store, identities=["Ann Lee", "", "", "ann-lee", "7"] * 24)
    two = replace(one, name="two")
    index = np.arange(5)
    people = _people([EvaluationCrops("one", one, index), EvaluationCrops("two", two, index)]).tolist()
    assert people[0] == people[3] == people[5] == people[8]
    assert len(set(people)) == 7  # she, four unknown, and the seventh person of each


def test_nothing_of_this_machine_is_in_the_files(exported, run):
    for path in exported.values():
        content = path.read_bytes()
        if path.suffix == ".onnx":
            model = onnx.load(path)
            for weights in model.graph.initializer:
                weights.ClearField("raw_data")  # any three bytes occur among millions
            content = model.SerializeToString()
        assert b".py" not in content
        assert str(path.parent).encode() not in content
        assert b"facegender-" not in content  # the temporary folder


def test_a_store_that_the_run_did_not_learn_from_is_tested_whole(store):
    other = replace(store, name="other")
    both = faces_to_test([store, other], Provenance.named("made"), "tiny")
    assert {faces.name: len(faces.index) for faces in both} == {"made test": len(store.split("test")), "other all": 120}


def test_every_store_counts_the_same(store):
    few = replace(store, name="few", splits=["train"] * 60 + list(store.splits[60:]))
    nothing = Provenance(Seen())
    both = validation_faces([store, few], nothing, "tiny")
    counts = [len(store.split("validation")), len(few.split("validation"))]
    assert [len(faces.index) for faces in both] == counts
    assert counts[1] < counts[0] < MOST_CROPS
    assert all((np.diff(faces.index) > 0).all() for faces in both)
    assert both[0].index.tolist() == validation_faces([store, few], nothing, "tiny")[0].index.tolist()
    first, second = np.split(balanced(both), [counts[0]])
    assert first.sum() == pytest.approx(second.sum()) == pytest.approx(sum(counts) / 2)
    assert len(set(first)) == len(set(second)) == 1


def test_lost_accuracy_is_refused(run, store, calibrated, tmp_path, monkeypatch):
    """Conversion that turns answers around: the command has to notice by itself."""
    from facegender.lab.export import run as module

    def backwards(model, form, precision, crops):
        parsed = onnx.load_from_string(model)
        for node in parsed.graph.node:
            if node.op_type == "Sigmoid":
                node.output[0] = "p_female"
        parsed.graph.node.append(onnx.helper.make_node("Sub", ["one", "p_female"], ["p_male"]))
        parsed.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1), "one"))
        return {".onnx": parsed.SerializeToString()}

    monkeypatch.setattr(module, "convert", backwards)
    monkeypatch.setattr(module, "_calibrated", lambda *_: calibrated[-1])
    with pytest.raises(AccuracyLossError, match=r"onnx int8 loses .* points.*--max-loss"):
        export_run(run, [store], [store], tmp_path, "made", licence="", command="", precision="int8")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported(run, store, tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        export_run(tmp_path, [store], [store], tmp_path, "made", licence="", command="")
    unsplit = replace(store, name="unsplit", splits=["train"] * len(store))
    with pytest.raises(InputError, match="unsplit has no validation split"):
        export_run(run, [unsplit], [store], tmp_path, "made", licence="", command="")
    with pytest.raises(InputError, match="made has no test split"):
        export_run(run, [store], [replace(unsplit, name="made")], tmp_path, "made", licence="", command="")
    men = replace(store, name="men", labels=np.ones_like(store.labels))
    with pytest.raises(InputError, match="men validation are not of both labels"):
        export_run(run, [men], [store], tmp_path, "made", licence="", command="")
