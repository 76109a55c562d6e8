"""Audits: hand-made answers whose cells are known, and the command on a store and on photos."""

import csv
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import InputError
from facegender.lab.evaluation.audit import AuditedFaces, audit_faces, is_child
from facegender.lab.evaluation.audit_report import write_audit_report
from facegender.lab.evaluation.models import open_model
from facegender.lab.evaluation.subgroups import FEW


def faces():
    """80 women, 120 men; of 40 young women 10 are wrong, of 40 old women 2, of 100 old men 4; 20 boys are right."""
    labels = np.array([0] * 80 + [1] * 120)
    p_male = np.where(labels == 1, 0.99, 0.01)
    p_male[:10], p_male[40:42] = 0.9, 0.6
    p_male[80:84] = 0.3
    age = ["0-2"] * 40 + ["30-39"] * 40 + ["30-39"] * 100 + ["0-2"] * 20
    return AuditedFaces("made", labels, p_male, {"age": age, "region": ["north", "south"] * 100})


def test_the_cells_are_what_a_hand_counts():
    audit = audit_faces("tiny", faces(), 0.95)
    everyone = audit.cells[0]
    assert (everyone.count, everyone.accuracy) == (200, 184 / 200)
    assert everyone.coverage == 184 / 200
    assert everyone.error == 0.0
    women, men = audit.by("gender")
    assert (women.values, women.fpr, women.tpr) == ("female", 12 / 80, None)
    assert (men.tpr, men.fpr) == (116 / 120, None)
    cells = {cell.values: cell for cell in audit.by("age x gender")}
    assert cells["0-2 x female"].accuracy == 0.75
    assert cells["0-2 x female"].children
    assert cells["0-2 x male"].few
    assert not cells["30-39 x male"].few
    assert sum(cell.count for cell in audit.by("age x region x gender")) == 200
    assert audit.groupings[-1] == "age x region x gender"


def test_many_columns_give_the_cells_that_have_faces():
    """Twelve columns of ten values have 10^12 combinations, of which 200 may have faces."""
    rng = np.random.default_rng(0)
    columns = {f"y_{i}": [str(value) for value in rng.integers(0, 10, 200)] for i in range(12)} | {
        "y_pred": ["a"] * 200
    }
    given = faces()
    audit = audit_faces("tiny", AuditedFaces("made", given.labels, given.p_male, columns), 0.95)
    assert sum(cell.count for cell in audit.by(audit.groupings[-1])) == 200
    assert audit.by("gender")[0].fpr == 12 / 80


def test_the_worst_cell_has_enough_faces_and_gaps_are_between_groups():
    audit = audit_faces("tiny", faces(), 0.95)
    assert audit.worst.values == "0-2 x female"
    assert audit.worst.count >= FEW
    assert audit.gaps["gender"]["difference"] == pytest.approx(116 / 120 - 68 / 80, abs=1e-5)
    assert audit.gaps["gender"]["worst"] == "female"
    assert audit.gaps["age"]["ratio"] == pytest.approx((50 / 60) / (134 / 140), abs=1e-5)


def test_the_worst_cell_is_not_the_one_with_bad_luck():
    """Of 20 groups of 30 one has 6 wrong by chance; a group of 2,000 has 15 % wrong for certain."""
    groups = [f"small {i:02d}" for i in range(20) for _ in range(30)] + ["large"] * 2000
    p_male = np.full(len(groups), 0.9)
    p_male[:6] = 0.1  # 80 %
    p_male[600:900] = 0.1  # 85 %
    audit = audit_faces("tiny", AuditedFaces("made", np.ones(len(groups), int), p_male, {"group": groups}), 0.5)
    cells = {cell.values: cell for cell in audit.by("group")}
    assert cells["small 00"].accuracy < cells["large"].accuracy
    assert audit.worst.values in ("large", "large x male")


def test_cells_are_bounded_by_people():
    labels, p_male = np.ones(200, int), np.where(np.arange(200) % 40 < 4, 0.1, 0.9)
    apart = audit_faces("tiny", AuditedFaces("made", labels, p_male, {}), 0.5).cells[0]
    few = AuditedFaces("made", labels, p_male, {}, people=[f"p{i // 4}" for i in range(200)])
    together = audit_faces("tiny", few, 0.5).cells[0]
    assert together.accuracy == apart.accuracy
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_too_few_faces_make_no_gap():
    few = AuditedFaces("few", np.array([0] * 40 + [1] * 40), np.full(80, 0.4), {"race": ["a"] * 75 + ["b"] * 5})
    audit = audit_faces("tiny", few, 0.5)
    assert "race" not in audit.gaps
    assert audit.gaps["gender"]["difference"] == 1
    with pytest.raises(InputError, match="no faces"):
        audit_faces("tiny", AuditedFaces("none", np.array([], int), np.array([]), {}), 0.5)


def test_a_column_named_as_the_label_is_refused():
    with pytest.raises(InputError, match="column named 'gender'"):
        audit_faces("tiny", AuditedFaces("own", np.array([0, 1]), np.array([0.1, 0.9]), {"gender": ["x", "y"]}), 0.5)


def test_a_report_does_not_call_a_small_cell_large(tmp_path):
    small = AuditedFaces("small", np.array([0] * 8 + [1] * 8), np.full(16, 0.9), {})
    write_audit_report(tmp_path, audit_faces("tiny", small, 0.5), "facegender audit")
    text = (tmp_path / "audit.md").read_text()
    assert "No group has 30 faces; the worst cell is **female*" in text
    assert "of at least 30 faces" not in text


@pytest.mark.parametrize(
    ("band", "child"),
    [
        ("0-2", True),
        ("10-19", True),
        ("17", True),
        ("18", False),
        ("20-29", False),
        ("more than 70", False),
        ("", False),
    ],
)
def test_children(band, child):
    assert is_child(band) is child


def test_the_command_on_a_store(invoke, store_folder, tiny_model, tmp_path):
    result = invoke("audit", tiny_model, "--dataset", store_folder, "--split", "all", "-o", tmp_path)
    assert "worst:" in result.output
    with (tmp_path / "audit.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["columns"] == "all"
    assert {"model", "dataset", "low", "high", "ece", "brier", "coverage", "children", "few", "command"} <= set(rows[0])
    summary = json.loads((tmp_path / "audit.json").read_text())
    assert summary["worst"]["high"] <= summary["all"]["high"]
    assert summary["worst_by"] == "upper end of the 95 % interval"
    page = (tmp_path / "audit.html").read_text()
    assert page.startswith("<!doctype html>")
    assert 'src="audit_' not in page  # the figures are inside


@pytest.fixture
def photos(tiny_model, astronaut, tmp_path):
    """A manifest of four faces, a photo without one and one that is absent, named as what the network learned from."""
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = ["path,label,region"]
    for number in range(4):
        name = f"{number}.png"
        cv2.imwrite(str(folder / name), np.ascontiguousarray(astronaut[..., ::-1]))
        lines.append(f"{name},{'female' if number % 2 else 'male'},{'north' if number < 2 else 'south'}")
    cv2.imwrite(str(folder / "empty.png"), np.full((200, 200, 3), 127, np.uint8))
    lines += ["empty.png,male,north", "absent.png,male,north"]
    manifest = folder / f"{min(open_model(tiny_model).provenance.names)}.csv"
    manifest.write_text("\n".join(lines))
    return manifest


#: The command where PyTorch cannot be imported.
WITHOUT_TORCH = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from facegender.cli import main
main()
"""


def without_torch(*arguments):
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_on_photos_needs_no_torch(tiny_model, photos, tmp_path):
    arguments = ["audit", str(tiny_model), "--manifest", str(photos), "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / "audit.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["values"] for row in rows if row["columns"] == "region"} == {"north", "south"}
    assert rows[0]["count"] == "4"
    assert "1 absent or no photo, left out" in done.stdout
    assert "not found, so not answered: 0 women, 1 men" in done.stdout
    assert "most often of male (by gender): 1 of 3" in done.stdout
    summary = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert summary["not_found"] == {"female": 0, "male": 1}
    assert summary["not_found_by"] == [{"column": "region", "value": "north", "count": 1, "all": 3}]


def test_a_run_needs_torch(photos, tmp_path):
    arguments = ["audit", str(tmp_path), "--manifest", str(photos)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "needs the package torch" in done.stderr) == (1, True)


def test_what_it_cannot_audit(store_folder, tiny_model):
    result = CliRunner().invoke(app, ["audit", str(tiny_model)])
    assert "one of them" in str(result.exception)
    result = CliRunner().invoke(
        app, ["audit", str(tiny_model), "--dataset", str(store_folder), "--split", "all", "--by", "shoe"]
    )
    assert "no attribute 'shoe'" in str(result.exception)
