import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import CheckpointError, InputError
from facegender.lab.evaluation.crossdataset import cross_dataset, cross_test, draw_heatmap, run_folder
from facegender.lab.evaluation.metrics import Metrics, accuracy_interval
from facegender.lab.evaluation.models import open_models


@pytest.fixture(scope="module")
def stores(store):
    """``made``, and ``turned``: its crops upside down, its splits one further, no validation."""
    further = {"train": "test", "validation": "train", "test": "train"}
    turned = replace(
        store,
        name="turned",
        wide=np.ascontiguousarray(store.crops[:, ::-1]),
        splits=[further[split] for split in store.splits],
        digest="turned",
    )
    return {"made": store, "turned": turned}


@pytest.fixture(scope="module")
def done(stores, tmp_path_factory, quick):
    output = tmp_path_factory.mktemp("crossdataset")
    return output, cross_dataset(quick, stores, output)


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_every_network_meets_every_test_split(done, stores):
    output, result = done
    matrix = rows(output / "matrix.csv")
    assert [(r["trained_on"], r["tested_on"]) for r in matrix] == [
        (trained, tested) for trained in stores for tested in stores
    ]
    assert [int(r["count"]) for r in matrix] == 2 * [len(stores[name].split("test")) for name in stores]
    for row, cell in zip(matrix, result, strict=True):
        answers = rows(output / "predictions" / row["trained_on"] / f"{row['tested_on']}.csv")
        women = np.array([answer["label"] == "female" for answer in answers])
        right = (np.array([float(answer["p_male"]) for answer in answers]) < 0.5) == women
        assert float(row["accuracy"]) == pytest.approx(right.mean(), abs=1e-5)
        people = [answer["image"].split("_")[0] for answer in answers]  # five photos of each
        interval = accuracy_interval(right, people)
        assert (float(row["accuracy_low"]), float(row["accuracy_high"])) == pytest.approx(interval, abs=1e-5)
        assert int(row["female_count"]) == women.sum()
        assert float(row["female_accuracy"]) == pytest.approx(right[women].mean(), abs=1e-5)
        assert float(row["male_accuracy"]) == pytest.approx(right[~women].mean(), abs=1e-5)
        assert cell.metrics.auc == pytest.approx(float(row["auc"]), abs=1e-5)
    # Upside down, who is lit from above is lit from below.
    accuracy = {(c.trained_on, c.tested_on): c.metrics.accuracy for c in result}
    assert accuracy["made", "made"] > 0.9
    assert accuracy["made", "turned"] < 0.1


def test_groups_are_parts_of_their_cell(done):
    output, result = done
    groups = rows(output / "subgroups.csv")
    assert {g["attribute"] for g in groups} == {"race"}
    for cell in result:
        mine = [g for g in groups if (g["trained_on"], g["tested_on"]) == (cell.trained_on, cell.tested_on)]
        assert sum(int(g["count"]) for g in mine if g["gender"] == "both") == cell.metrics.count


def test_whom_the_network_knows_is_told(done, stores, quick):
    output, _ = done
    leaked = {(r["trained_on"], r["tested_on"]): r for r in rows(output / "matrix.csv")}
    # Those whom `turned` tests, `made` trains on; by name, since the photos are turned over.
    known = leaked["made", "turned"]
    assert known["leaked"] == known["count"]
    assert known["accuracy_without_leaks"] == ""
    half = {**stores, "turned": replace(stores["turned"], identities=stores["turned"].identities[:10] + [""] * 110)}
    result = cross_dataset(quick, half, output, only_train=["made"])
    cell = next(c for c in result if c.tested_on == "turned")
    right = cell.predictions.right[~cell.leaked]
    assert 0 < cell.leaked.sum() < cell.metrics.count
    assert cell.without_leaks == (len(right), right.sum())
    assert leaked["made", "made"]["leaked"] == "0"


def test_done_runs_are_read_and_other_recipes_refused(done, stores, quick):
    output, first = done
    model = run_folder(output, "made") / "model.safetensors"
    before = model.stat().st_mtime_ns
    again = cross_dataset(quick, stores, output, only_train=["made"])
    assert model.stat().st_mtime_ns == before
    assert [c.metrics for c in again] == [c.metrics for c in first[:2]]
    with pytest.raises(CheckpointError, match="another recipe"):
        cross_dataset(replace(quick, epochs=3), stores, output)


def test_a_matrix_of_networks_that_are_there(done, stores, tiny_model, tmp_path):
    output, first = done
    models = open_models([run_folder(output, "turned"), tiny_model])
    result = cross_test(models, stores, tmp_path)
    assert [c.metrics for c in result[:2]] == [c.metrics for c in first[2:]]
    assert result[0].leaked is not None
    # Nobody says what the ONNX file was trained on.
    assert {r["trained_on"]: r["leaked"] for r in rows(tmp_path / "matrix.csv")}["tiny"] == ""


def test_runs_on_one_store_are_told_apart(done, stores, tmp_path):
    run = run_folder(done[0], "made")
    words = []
    for name in ("a", "b", "deep/a"):
        shutil.copytree(run, tmp_path / name)
        words.append(tmp_path / name)
    models = open_models([words[0], words[1] / "model.safetensors"])
    cross_test(models, stores, tmp_path / "out")
    assert list(dict.fromkeys(row["trained_on"] for row in rows(tmp_path / "out" / "matrix.csv"))) == ["a", "b"]
    assert {path.name for path in (tmp_path / "out" / "predictions").iterdir()} == {"a", "b"}
    assert list(open_models(words)) == [str(words[0]), "b", str(words[2])]


def test_stores_of_one_use(stores, tmp_path, quick):
    tested_only = replace(stores["turned"], splits=["test"] * 120)
    trained_only = replace(stores["made"], splits=["train"] * 120)
    result = cross_dataset(replace(quick, epochs=1), {"made": trained_only, "turned": tested_only}, tmp_path)
    assert [(c.trained_on, c.tested_on) for c in result] == [("made", "turned")]
    assert "heldout_accuracy" in (tmp_path / "train-made" / "history.csv").read_text()


def test_a_name_does_not_lead_out_of_the_folder(stores, tiny_model, tmp_path):
    odd = {"../made": replace(stores["made"], name="../made")}
    cross_test(open_models([tiny_model]), odd, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert rows(tmp_path / "out" / "matrix.csv")[0]["tested_on"] == "../made"


def test_two_stores_have_two_files():
    names = ("a b", "a_b", "a.b", "A b", "..", "größe")
    files = {run_folder(Path("out"), name).name for name in names}
    assert len(files) == len(names)
    assert all(re.fullmatch(r"train-[\w-]+", file) for file in files)


def test_what_cannot_be_done_is_said_before_training(stores, tmp_path, quick):
    def refused(match, changed, **options):
        with pytest.raises(InputError, match=match):
            cross_dataset(quick, changed, tmp_path, **options)

    def all_in(split, name="made"):
        return {name: replace(stores[name], splits=[split] * 120)}

    refused("none of made has a train split", all_in("test"))
    refused("none of made has a test split", all_in("train"))
    refused("no store named lfw was given", stores, only_train=["lfw"])
    refused("none of turned has a train split", {**stores, **all_in("test", "turned")}, only_train=["turned"])
    men = replace(
        stores["made"], labels=np.where([s == "test" for s in stores["made"].splits], 1, stores["made"].labels)
    )
    refused("test crops of made are not of both labels", {"made": men})
    assert list(tmp_path.iterdir()) == []


def test_the_picture(tmp_path):
    rates = {"tpr": 1.0, "fpr": 0.2, "precision": 0.8, "female_accuracy": 0.8, "balanced_accuracy": 0.9}
    cells = {
        (a, b): Metrics(400 - 390 * (b == "few"), 0.91, auc=0.95, **rates)
        for a in ("one", "two")
        for b in ("one", "few")
    }
    draw_heatmap(tmp_path / "matrix.svg", cells, "drawn & tested")
    drawn = (tmp_path / "matrix.svg").read_text()
    for text in ("trained on", "tested on", "accuracy (%)", "91.0", "women 80.0", "men 100.0", "only 10 faces"):
        assert f"<!-- {text} -->" in drawn
    draw_heatmap(tmp_path / "matrix.png", cells)
    with PIL.Image.open(tmp_path / "matrix.png") as picture:
        assert picture.width > 400


def test_the_command(invoke, store_folder, tiny_model, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(store_folder, copy)
    manifest = json.loads((copy / "store.json").read_text())
    (copy / "store.json").write_text(json.dumps({**manifest, "name": "copy"}))
    arguments = ["crossdataset", str(store_folder), str(copy), "-o", str(tmp_path / "out")]
    result = invoke(*arguments, "-r", "tuned", "--set", "epochs=1", "--only-train", "made")
    assert "made -> copy" in result.stderr
    assert (tmp_path / "out" / "matrix.png").exists()
    result = invoke(*arguments, "--model", tiny_model)
    assert rows(tmp_path / "out" / "matrix.csv")[0]["trained_on"] == "tiny"


def test_options_for_training_beside_a_network_that_is_there(store_folder, tiny_model, tmp_path):
    arguments = ["crossdataset", str(store_folder), "--model", str(tiny_model), "-o", str(tmp_path / "out")]
    for option in (["--recipe", "tuned"], ["--set", "epochs=1"], ["--only-train", "made"]):
        result = CliRunner().invoke(app, [*arguments, *option])
        assert f"--model trains nothing; {option[0]} is for training" in str(result.exception)
    assert not (tmp_path / "out").exists()
