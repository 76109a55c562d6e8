"""Nobody is tested on what was learned from, whatever the faces are called and wherever they lie by now.

The faces are pure noise with labels drawn at random: whoever answers them right has seen them.
"""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tomli_w
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import CheckpointError, InputError, WeightsError
from facegender.faces.align import DEFAULT_TEMPLATE
from facegender.lab.datasets.join import join_stores
from facegender.lab.datasets.provenance import Provenance, Seen, Use, face_digests
from facegender.lab.datasets.splits import random_folds
from facegender.lab.datasets.store import Table, create_store, open_store, photo_digest
from facegender.lab.datasets.unseen import unseen
from facegender.lab.evaluation.models import open_model
from facegender.lab.training.checkpoint import MODEL, load_checkpoint, save_checkpoint
from facegender.lab.training.model import SEEN

SPLITS = ["train"] * 24 + ["validation"] * 18 + ["test"] * 18
NAME = "my photos, d&d + a+b"


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (60, 64, 64, 3), dtype=np.uint8)


def write(folder, name, crops, labels, splits=SPLITS, photos=()):
    """A store of these crops; `photos` are the contents of the files that they are from."""
    table = Table(
        images=[f"{i:03d}.jpg" for i in range(len(crops))],
        identities=[""] * len(crops),
        labels=np.asarray(labels),
        splits=list(splits),
        folds={"random": random_folds(np.asarray(labels), 3)},
        attributes={"race": [("East", "West")[i % 2] for i in range(len(crops))]},
        photos=[photo_digest(photo) for photo in photos],
    )
    with create_store(folder, name, len(crops)) as writer:
        for i, crop in enumerate(crops):
            writer.put(i, crop)
        writer.finish(table, {"method": "drawn", "template": DEFAULT_TEMPLATE.to_dict()}, {})
    return folder


def labels(seed=0):
    return np.random.default_rng(seed).permutation(np.arange(60) % 2)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe that learns noise by heart, given some epochs."""
    path = tmp_path_factory.mktemp("recipes") / "heart.toml"
    settings = {"epochs": 1, "batch_size": 8, "optimizer": "adamw", "learning_rate": 0.003, "dropout": 0.0}
    path.write_text(tomli_w.dumps({"name": "heart", "precision": "32-true", "weight_decay": 0.0, **settings}))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of noise, under a name that is not one word."""
    return write(tmp_path_factory.mktemp("stores") / "noise", NAME, noise(1), labels())


@pytest.fixture(scope="module")
def runs(made, recipe, tmp_path_factory):
    """Two finished runs on it: of the default, and of all faces."""
    folder = tmp_path_factory.mktemp("runs")
    for name, options in (("default", ["--set", "epochs=14"]), ("all", ["--all"])):
        result = run("train", made, "-o", folder / name, "-r", recipe, *options)
        assert result.exit_code == 0, result.output
        wanted = "24 train, 18 validation, 18 test" if name == "all" else "24 train"
        assert f"learned from {wanted}\n" in result.output
    return folder


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def measured(*words):
    result = run("evaluate", *words, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refusal(*words):
    result = run(*words)
    assert isinstance(result.exception, InputError), result.output
    return str(result.exception)


def test_noise_is_not_known_by_heart(made, runs):
    record = measured(made, runs / "default")
    assert (record["split"], record["metrics"]["count"], record["left_out"]) == ("test", 18, 0)
    assert record["metrics"]["accuracy"] < 0.85
    # By heart, it knows what it learned from: the test before would have been 1.000.
    data, model = open_store(made), open_model(runs / "default")
    assert model.predict(data, data.split("train")).measure().accuracy == 1.0
    record = measured(made, runs / "default", "--split", "all")
    assert (record["metrics"]["count"], record["left_out"]) == (36, 24)


def test_who_learned_everything_is_tested_on_nothing(made, runs, tmp_path):
    name = open_store(made).name
    for split in ("test", "all", "train", "unseen"):
        assert f"has seen every face of {name}" in refusal("evaluate", made, runs / "all", "--split", split)
    assert "has seen every face" in refusal("errors", made, runs / "all", "-o", tmp_path / "errors")
    assert "has seen every face" in refusal("audit", runs / "all", "--dataset", made)
    assert "has seen every face" in refusal("calibration", runs / "all", made)
    assert "has seen every face" in refusal("crossdataset", made, "-o", tmp_path / "cross", "--model", runs / "all")
    assert list(tmp_path.glob("*/*")) == []


@pytest.mark.parametrize("change", ["copy", "rename", "splits", "join", "shuffle"])
def test_copies_are_recognised(made, runs, change, tmp_path):
    store = open_store(made)
    order = np.random.default_rng(3).permutation(60) if change == "shuffle" else np.arange(60)
    # Those that were learned from would be the test.
    splits = ["test"] * 24 + ["train"] * 36 if change in ("splits", "shuffle") else SPLITS
    name = store.name if change == "copy" else "other"
    copy = write(tmp_path / "copy", name, store.crops[order], store.labels[order], [splits[i] for i in order])
    if change == "join":
        opened = {"other": open_store(copy), "more": open_store(write(tmp_path / "more", "more", noise(2), labels(2)))}
        join_stores(opened, [], [], tmp_path / "joined")
        copy = tmp_path / "joined"
    data = open_store(copy)
    known, everything = open_model(runs / "default"), open_model(runs / "all")
    learned = face_digests(store, store.split("train"))[:, 1]
    if change in ("splits", "shuffle"):
        assert "has seen every face of other test" in refusal("evaluate", copy, runs / "default")
    index = known.unseen(data, "unseen").index
    assert not np.isin(face_digests(data, index)[:, 1], learned).any()
    assert len(index) == len(data) - 24
    if change == "join":
        assert everything.unseen(data, "all").left_out == 42  # test splits are not joined
        assert len(everything.unseen(data, "all").index) == 42
    else:
        assert "has seen every face" in refusal("evaluate", copy, runs / "all", "--split", "all")


def test_a_store_that_is_a_part_of_a_joined_one(made, recipe, tmp_path):
    one, two = open_store(made), open_store(write(tmp_path / "two", "two", noise(2), labels(2)))
    join_stores({one.name: one, "two": two}, [], [], tmp_path / "joined")
    assert run("train", tmp_path / "joined", "-o", tmp_path / "run", "-r", recipe).exit_code == 0
    model = open_model(tmp_path / "run")
    assert model.provenance.names == {one.name, "two", f"{one.name}+two"}
    for store in (one, two):
        faces = model.unseen(store)
        assert (faces.split, len(faces.index), faces.left_out) == ("test", 18, 0)
    # Joined once more, the parts are still told apart.
    three = open_store(write(tmp_path / "three", "three", noise(5), labels(5)))
    first = open_store(tmp_path / "joined")
    join_stores({first.name: first, "three": three}, [], [], tmp_path / "again")
    again = open_store(tmp_path / "again")
    assert dict(again.parts) == {one.name: one.digest, "two": two.digest, "three": three.digest}
    assert again.attributes["store"] == [one.name] * 42 + ["two"] * 42 + ["three"] * 42
    assert len(model.unseen(again, "all").index) == len(again) - 48


def test_the_folds_that_were_learned_from(made, recipe, tmp_path):
    assert run("train", made, "-o", tmp_path / "run", "-r", recipe, "--holdout", "random:2").exit_code == 0
    data = open_store(made)
    held_out = np.flatnonzero(data.fold("random") == 2)
    model = open_model(tmp_path / "run")
    assert model.unseen(data, "unseen").index.tolist() == held_out.tolist()
    # The same from the record alone, without the digests of the faces.
    record = load_checkpoint(tmp_path / "run" / MODEL).details["learned_from"]
    bare = Provenance(Seen.from_record(record, None))
    assert unseen(data, bare, "unseen").index.tolist() == held_out.tolist()
    renamed = replace(data, name="other")
    assert unseen(renamed, bare, "unseen").index.tolist() == held_out.tolist()


def test_export_writes_no_accuracy_of_what_was_learned(made, runs, tmp_path):
    name = open_store(made).name
    options = ["--validate", made, "--test", made, "--name", "noise", "--licence", "ours", "-o", tmp_path / "out"]
    assert f"noise has seen every face of {name} validation" in refusal("export", runs / "all", *options)
    assert not (tmp_path / "out").exists()
    assert run("export", runs / "default", *options).exit_code == 0
    card = json.loads((tmp_path / "out" / "noise.json").read_text())
    assert set(card["accuracy"]) == {f"{name} test"}
    assert card["accuracy"][f"{name} test"]["accuracy"] < 0.85
    assert card["learned_from"]["stores"][0] == {
        "name": name,
        "sha256": open_store(made).digest,
        "splits": {"train": 24},
        "folds": {"random": [1, 2, 3]},
    }
    assert card["calibrated_on"]["stores"][0]["splits"] == {"validation": 18}

    # What it was calibrated on tests it no more than what it learned from, also in a copy.
    network = tmp_path / "out" / "noise.onnx"
    copy = shutil.copytree(made, tmp_path / "copy")
    manifest = json.loads((copy / "store.json").read_text())
    (copy / "store.json").write_text(json.dumps(manifest | {"name": "copy"}))
    for folder in (made, copy):
        for split in ("train", "validation"):
            assert "noise has seen every face of" in refusal("evaluate", folder, network, "--split", split)
        faces = open_model(network).unseen(open_store(folder))
        assert (faces.split, len(faces.index)) == ("test", 18)

    # Without the list of faces beside it, the digest of the store is left, and then its name.
    beside = network.with_suffix(".seen.npz")
    whole = beside.read_bytes()
    beside.unlink()
    for store in (open_store(copy), replace(open_store(made), digest="another")):
        faces = open_model(network).unseen(store)
        assert (faces.split, len(faces.index)) == ("test", 18)
    with pytest.raises(InputError, match="has seen every face"):
        open_model(network).unseen(open_store(copy), "validation")

    # A list that is another network's is no list.
    np.savez(beside, learned=np.arange(3, dtype=np.uint64), calibrated=np.arange(3, dtype=np.uint64))
    with pytest.raises(WeightsError, match="another network's"):
        open_model(network)
    beside.write_bytes(whole[:100])
    with pytest.raises(WeightsError, match="cannot be read"):
        open_model(network)


def test_a_photo_that_was_cropped_anew_is_the_same_photo(tmp_path):
    photos = [bytes([i]) * 9 for i in range(60)]
    before = open_store(write(tmp_path / "a", "a", noise(1), labels(), photos=photos))
    after = open_store(write(tmp_path / "b", "b", noise(7), labels(), photos=photos[::-1]))
    assert before.photos[0] == photo_digest(photos[0])
    provenance = Provenance(Seen.of(before, before.split("train")))
    assert unseen(after, provenance, "unseen").index.tolist() == list(range(36))
    # Of the same name, other photos: they may be the same ones in other bytes, so the default is their test split.
    others = open_store(write(tmp_path / "c", "a", noise(8), labels(), photos=[b"x" + photo for photo in photos]))
    chosen, every = unseen(others, provenance), unseen(others, provenance, "all")
    assert (chosen.split, len(chosen.index), chosen.note) == ("test", 18, "")
    assert len(every.index) == 60
    assert "learned from a store a, and none of these faces is in its list" in every.note
    no_test = write(tmp_path / "d", "a", noise(9), labels(), ["train"] * 60, [b"y" + photo for photo in photos])
    assert (unseen(open_store(no_test), provenance).split, len(unseen(open_store(no_test), provenance).index)) == (
        "all",
        60,
    )
    unknown = open_store(write(tmp_path / "d", "a", noise(8), labels()))
    assert (unseen(unknown, provenance).split, len(unseen(unknown, provenance).index)) == ("test", 18)


def test_photos_outside_of_a_store(tmp_path):
    photos = [bytes([i]) * 9 for i in range(60)]
    store = open_store(write(tmp_path / "a", "a", noise(1), labels(), photos=photos))
    seen = Seen.of(store, store.split("train"))
    assert seen.has_photo(photo_digest(photos[0]), "elsewhere", "validation")
    assert not seen.has_photo(photo_digest(photos[30]), "a", "train")  # the photo decides, not its name
    assert seen.has_photo("", "a", "train")
    assert not seen.has_photo("", "a", "validation")
    assert replace(seen, faces=None).has_photo(photo_digest(photos[30]), "a", "train")


def test_a_few_copies_by_chance_are_left_out_and_the_rest_is_measured(tmp_path):
    crops = np.concatenate([noise(seed) for seed in range(4)])
    both = np.arange(len(crops)) % 2
    store = open_store(write(tmp_path / "large", "large", crops, both, ["test"] * len(crops)))
    provenance = Provenance(Seen.of(store, np.array([7, 100])))
    other = replace(store, name="other", digest="other")
    faces = unseen(other, provenance, network="tiny")
    assert (faces.split, faces.left_out, len(faces.index)) == ("all", 2, 238)
    assert faces.note == "2 of 240 faces of other all are left out: tiny has seen them"
    assert unseen(other, Provenance(Seen()), network="tiny").note == ""


@pytest.mark.parametrize("name", ["my photos", "d&d", "a+b", "a", "b", "a+b+c", "c"])
def test_networks_from_before_are_known_by_their_names(name, tmp_path):
    old = Provenance.named("my photos, d&d;a+b+c", ["validated too"])
    store = open_store(write(tmp_path / "a", name, noise(1), labels()))
    assert unseen(store, old).split == "test"
    with pytest.raises(InputError, match=r"has seen every face of .* train"):
        unseen(store, old, "train")
    assert len(unseen(store, old, "train", by_name=False).index) == 24
    other = replace(store, name="validated too")
    with pytest.raises(InputError, match="has seen every face of validated too validation"):
        unseen(other, old, "validation")
    assert len(unseen(other, old, "validation", calibrating=True).index) == 18
    assert unseen(replace(store, name="photos"), old).split == "all"


def test_shipped_cards_are_known_by_their_names(tmp_path):
    for model, names in (("open", ["fairface"]), ("research", ["fairface", "utkface", "celeba"])):
        provenance = open_model(model).provenance
        assert set(names) <= provenance.names
        for name in ("fairface", "utkface", "celeba", "lfw"):
            store = open_store(write(tmp_path / name, name, noise(1), labels()))
            assert unseen(store, provenance).split == ("test" if name in names else "all")


def test_a_run_from_before_is_known_by_its_name(made, runs, tmp_path):
    saved = load_checkpoint(runs / "default" / MODEL)
    details = {key: value for key, value in saved.details.items() if key != "learned_from"}
    tensors = {key: value for key, value in saved.tensors.items() if key != SEEN}
    save_checkpoint(tmp_path / "old" / MODEL, tensors, details)
    assert open_model(tmp_path / "old").unseen(open_store(made)).split == "test"
    save_checkpoint(tmp_path / "odd" / MODEL, {**tensors, SEEN: saved.tensors[SEEN][:3]}, saved.details)
    with pytest.raises(CheckpointError, match="another network's"):
        open_model(tmp_path / "odd")


def test_what_train_asks_for(made, tmp_path):
    assert "give one" in refusal("train", made, "-o", tmp_path / "run", "--all", "--holdout", "random:2")
    tested = write(tmp_path / "tested", "tested", noise(1), labels(), ["test"] * 60)
    assert "--all learns from what it has" in refusal("train", tested, "-o", tmp_path / "run")


def test_a_known_store_without_a_test_split(tmp_path):
    data = open_store(write(tmp_path / "a", "a", noise(1), labels()))
    with pytest.raises(InputError, match="a has no test split, and tiny has seen others of its faces"):
        unseen(replace(data, splits=["train"] * 60), Provenance(Seen.of(data, data.split("train"))), network="tiny")


def test_photos_of_a_manifest_are_recognised(astronaut, recipe, tmp_path):
    """Photos that it learned from are not audited under another name; the manifest's own name says nothing."""
    photos = tmp_path / "photos"
    photos.mkdir()
    rows = []
    for i in range(12):
        shifted = np.roll(astronaut, 5 * i, 1)
        cv2.imwrite(str(photos / f"{i}.png"), np.ascontiguousarray(shifted[..., ::-1]))
        rows.append(f"{i}.png,{'male' if i % 2 else 'female'},{'train' if i < 8 else 'test'}")
    (photos / "own.csv").write_text("\n".join(["path,label,split", *rows]))
    assert run("prepare", "manifest", photos / "own.csv", "-o", tmp_path / "store").exit_code == 0
    assert run("train", tmp_path / "store", "-o", tmp_path / "run", "-r", "tuned", "--set", "epochs=1").exit_code == 0
    moved = shutil.copytree(photos, tmp_path / "elsewhere")
    for i in range(12):
        (moved / f"{i}.png").rename(moved / f"photo {i}.png")
    (moved / "new.csv").write_text("\n".join(["path,label", *(f"photo {row[: row.rindex(',')]}" for row in rows)]))
    result = run("audit", tmp_path / "run", "--manifest", moved / "new.csv")
    assert result.exit_code == 0, result.output
    assert "8 of 12 faces of new all are left out" in result.output
    assert "note: no list" not in result.output
    assert "no list of the faces that open learned from" in run("audit", "open", "--manifest", moved / "new.csv").output


def test_a_list_of_some_faces_still_knows_them(tmp_path):
    """Training that began with a network without a list: its own photos are recognised, the others by name."""
    data = open_store(write(tmp_path / "a", "a", noise(1), labels()))
    own, before = Seen.of(data, np.arange(20)), Seen((Use("fairface", "", {"train": 0}),))
    both = own | before
    assert (both.listed, both.complete) == (False, False)
    assert Seen.from_record(json.loads(json.dumps(both.to_record())), both.faces) == both
    renamed = replace(data, name="renamed", digest="other")
    assert unseen(renamed, Provenance(both), "all").index.tolist() == list(range(20, len(data)))
    assert unseen(replace(renamed, name="fairface"), Provenance(both)).split == "test"
    assert (own | own).listed
