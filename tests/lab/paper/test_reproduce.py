"""A whole reproduction, on drawn crops and with networks that train in seconds."""

import csv
import json
import re
import shutil
from dataclasses import replace

import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import InputError, StoreError
from facegender.lab.paper.reproduce import reproduce
from facegender.lab.paper.scale import FoldRun, Scale, quick
from facegender.lab.training.hardware import Hardware
from facegender.lab.training.recipe import load_recipe

pytestmark = pytest.mark.slow

CPU = Hardware("cpu")


@pytest.fixture(scope="module")
def scale():
    tuned = load_recipe("tuned", epochs=1, batch_size=20, precision="32-true")
    paper = load_recipe("paper", epochs=1, batch_size=20, precision="32-true")
    return Scale(
        "quick",
        "a test",
        (
            FoldRun("paper-custom-rgb", "custom CNN", replace(paper, learning_rate=1e3), (4,)),  # it diverges
            FoldRun("tuned-custom-rgb", "custom CNN", tuned, (3, 4)),
            FoldRun("tuned-custom-gray", "custom CNN", replace(tuned, colour="gray"), (4,)),
        ),
        (FoldRun("tuned-custom-rgb-identity", "custom CNN", tuned, (2,), "identity"),),
        (("custom CNN", tuned),),
        benchmark_seconds=0.02,
        benchmark_networks=("custom-cnn-table1",),
    )


@pytest.fixture(scope="module")
def done(scale, store_folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("reproduction")
    for name in ("lfw", "celeba"):
        shutil.copytree(store_folder, output / "stores" / name)
    parts = []
    page = reproduce(scale, output, hardware=CPU, on_part=parts.append)
    return output, page, parts


def test_the_report_holds_every_part(done):
    _, page, _ = done
    text = page.read_text()
    for title in ("Tables 1, 3 and 4", "Table 2", "Figure 3", "Figures 4 to 6", "Figure 7", "Figure 8", "Table 5"):
        assert f"<h2>{title}" in text
    assert "Section 3.4: across datasets" in text
    assert "Where the paper contradicts itself" in text
    assert "diverged: paper, custom-cnn-table1: step" in text
    assert "2,041,796" in text
    assert "<h2>LFW, folds by person" in text
    assert len(re.findall('src="data:image/png;base64,', text)) == text.count("<img") >= 6


def test_figures_and_tables_lie_beside_the_markdown(done):
    output, _, _ = done
    text = (output / "report.md").read_text()
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    for path in pictures:
        with PillowImage.open(output / path) as image:
            assert image.width > 300
    for name in ("figure3", "figures4-6", "folds", "figure7-lfw", "figure7-celeba"):
        assert (output / "figures" / f"{name}.svg").read_text().startswith("<?xml")
    with (output / "crossdataset" / "custom-cnn" / "matrix.csv").open() as file:
        pairs = {(row["trained_on"], row["tested_on"]) for row in csv.DictReader(file)}
    assert pairs == {(one, other) for one in ("lfw", "celeba") for other in ("lfw", "celeba")}


def test_what_is_done_is_read(done, scale):
    output, page, parts = done
    models = [*sorted(output.rglob("model.safetensors")), output / "benchmark" / "benchmark.json"]
    before = [path.stat().st_mtime_ns for path in models]
    first = page.read_text()
    assert reproduce(scale, output, hardware=CPU).read_text() == first
    assert [path.stat().st_mtime_ns for path in models] == before
    assert "LFW: custom CNN, ours, gray, input 64, 1 epoch, fold 4" in parts


def test_it_says_with_which_settings_each_part_was_run(done):
    text = (done[0] / "report.md").read_text()
    tuned = "--recipe tuned --set epochs=1 --set batch_size=20 --set precision=32-true"
    for command in (
        f"facegender crossval lfw --folds random --only 3 --only 4 {tuned} --output tuned-custom-rgb",
        f"facegender crossval lfw --folds identity --only 2 {tuned} --output tuned-custom-rgb-identity",
        f"facegender crossdataset lfw celeba {tuned} --output DIR",
        "facegender benchmark made -n custom-cnn-table1 --precision fp32 --batches 1,64 --seconds 0.02 --output DIR",
    ):
        assert command in text
    assert "--set colour=gray" in text
    assert "--set learning_rate=1000.0" in text


def test_times_of_another_machine_or_scale_are_measured_again(done, scale):
    output, _, _ = done
    path = output / "benchmark" / "benchmark.json"
    here = json.loads(path.read_text())
    for change in ({"machine": "an abacus, 10 cores"}, {"command": here["command"].replace("0.02", "5")}):
        path.write_text(json.dumps(here | change))
        reproduce(scale, output, hardware=CPU)
        again = json.loads(path.read_text())
        assert (again["machine"], again["command"]) == (here["machine"], here["command"])


def test_without_data_it_says_what_to_give(tmp_path):
    with pytest.raises(InputError, match="--data FOLDER"):
        reproduce(quick(), tmp_path)
    result = CliRunner().invoke(app, ["reproduce", "--quick", "--full", "--output", str(tmp_path)])
    assert result.exit_code == 2
    assert "exclude each other" in result.output


def test_a_damaged_store_is_not_passed_over(store_folder, tmp_path):
    stores = tmp_path / "stores"
    for name in ("lfw", "celeba"):
        shutil.copytree(store_folder, stores / name)
    (stores / "lfw" / "store.json").unlink()
    with pytest.raises(StoreError, match=r"lfw has no readable store\.json"):
        reproduce(quick(), tmp_path / "out", stores=stores)
