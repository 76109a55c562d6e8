"""Write MODEL_CARD.md from the cards beside the weights and from results/: no number in it is typed by hand.

python scripts/model_card.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from facegender import weights
from facegender.lab.datasets.listing import FACE_SIZE
from facegender.lab.evaluation.audit import GENDER
from facegender.lab.export.groups import TEST_SETS
from facegender.report import table
from facegender.tables import read_table
from facegender.wording import display_name

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "accuracy"

#: What each file is for; the rest of the card is measured.
PURPOSES = {
    "open": "trained on FairFace alone (CC BY 4.0), with a committee of networks under CC0 as teacher, so that its "
    "terms are those of the data: attribution",
    "research": "trained on FairFace, UTKFace, CelebA, All-Age-Faces and film stills, with a committee of other "
    "networks as teacher: better on press photos and old prints, for non-commercial research",
}

INTENDED = """\
**For** counting in large collections, with the error published beside the count (newsrooms, archives, social science);
for research on face analysis itself; for embedded use where a wrong answer harms nobody.

**Not for** deciding anything about a person; identity, access to spaces, advertising to individuals, surveillance;
guessing anybody's gender identity. It estimates how a face is likely to be *perceived* by annotators. It knows two
answers because its labels do: people who are perceived otherwise always get a wrong or an uncertain answer.

**Not for children**: answers about them are wrong more often than about any other age. The tables mark them."""


def main() -> None:
    """Write the card."""
    (ROOT / "MODEL_CARD.md").write_text(model_card(), encoding="utf-8")


def model_card() -> str:
    """The whole text."""
    names = [name for name in (*PURPOSES, *weights.list_models()) if name in weights.list_models()]
    names = list(dict.fromkeys(names))
    parts = [
        "# Model cards",
        "Written by `python scripts/model_card.py` from the cards beside the weights and from "
        "[results/](results/README.md); *male* is the positive class. Intervals are 95 %: of people where a set "
        "names them, otherwise Wilson's. Face size is the height of the face in the photo; unknown: no face was found.",
        INTENDED,
    ]
    scores = _rows("flagship.csv")
    for name in names:
        parts += _classifier(name, [row for row in scores if row["model"] == name])
    parts += _detector()
    return "\n\n".join(parts) + "\n"


def _classifier(name: str, scores: list[dict[str, str]]) -> list[str]:
    card = json.loads((weights.weight_path(name).with_suffix(".json")).read_text(encoding="utf-8"))
    size = weights.weight_path(name).stat().st_size / 1e6
    default = ", the default" if name == weights.DEFAULT else ""
    facts = [
        ("network", f"{card['network']}: {card['parameters']:,} parameters, RGB, 64x64 ([params](docs/cli.md))"),
        ("file", f"ONNX, {card['precision']}, {size:.2f} MB; uint8 crops in, calibrated p_male out"),
        ("trained on", display_name(card["training_data"])),
        ("recipe", f"{card['recipe']['name']}, {card['recipe']['epochs']} epochs, seed {card['recipe']['seed']}"),
        ("terms", card["licence"]),
        (
            '"uncertain"',
            "below a confidence of "
            + ", ".join(f"{c:.4f} for {100 * float(e):g} %" for e, c in card["confidence_for_error"].items())
            + " error among the answered, on validation faces",
        ),
        ("sha256", f"`{card['sha256']}`"),
        ("made by", f"`{card['command']}`"),
    ]
    parts = [f"## {name}{default}"]
    if name in PURPOSES:
        parts.append(f"{PURPOSES[name][0].upper()}{PURPOSES[name][1:]}.")
    parts.append(table(("", ""), facts))
    if scores:
        parts += [
            "What it scores ([results/accuracy/flagship.csv](results/accuracy/flagship.csv)); "
            "*zero-shot*: never trained on:",
            table(
                ("test", "faces", "accuracy %", "women %", "men %", "ECE %", "answered at 1 %", "wrong of them %"),
                [
                    (
                        f"{display_name(row['test'])}{', zero-shot' if 'zero' in row['seen'] else ''}",
                        f"{int(row['count']):,}",
                        f"{_p(row['accuracy'])} ({_p(row['low'], 1)} to {_p(row['high'], 1)})",
                        *(_p(row[key]) for key in ("female_accuracy", "male_accuracy", "ece")),
                        *(_p(row["coverage_at_1_percent"], 1), _p(row["error_at_1_percent"])),
                    )
                    for row in scores
                ],
            ),
        ]
    for test in TEST_SETS:
        parts += _groups(name, test)
    parts += _damages(name)
    return parts


def _groups(name: str, test: str) -> list[str]:
    path = f"audit_{test}_{name}.csv"
    rows = [row for row in _rows(path) if row["columns"].endswith(f" x {GENDER}") and row["columns"].count(" x ") == 1]
    rows = [row for row in rows if not row["columns"].startswith(("found", "source"))]
    if not rows:
        return []
    worst = sorted(rows, key=lambda row: (float(row["high"]), -int(row["count"])))[:14]
    return [
        f"Worst groups on {display_name(test)} ({len(worst)} of {len(rows)}), sorted by the upper end of the interval, "
        f"lowest first ([results/accuracy/{path}](results/accuracy/{path}) has all; † children, * fewer than 30 "
        "faces):",
        table(
            ("group", "faces", "accuracy %", "95 % interval", "answered at 1 %", "wrong of them %"),
            [
                (
                    f"{group(row)}{'†' if row['children'] else ''}{'*' if row['few'] else ''}",
                    f"{int(row['count']):,}",
                    *(_p(row["accuracy"], 1), f"{_p(row['low'], 1)} to {_p(row['high'], 1)}"),
                    *(_p(row["coverage"], 1), _p(row["error"], 1)),
                )
                for row in worst
            ],
        ),
    ]


def group(row: dict[str, str]) -> str:
    """A group of an audit by its column and unit: ``face size 48-95 px x female``, ``age 60-69 x female``."""
    column, value = row["columns"].split(" x ")[0], row["values"].split(" x ")[0]
    unit = " px" if column == FACE_SIZE and value != "unknown" else ""
    return f"{column} {value}{unit} x {row['values'].removeprefix(f'{value} x ')}".replace("_", " ")


def _damages(name: str) -> list[str]:
    path = f"calibration_{name}.csv"
    rows = [row for row in _rows(path) if row["damage"] != "none" or row["group"] == "of those damaged"]
    rows = [row for row in rows if row["test"] == "fairface"]
    if not rows:
        return []
    return [
        f"Poor faces: FairFace test crops damaged in one way each "
        f"([results/accuracy/{path}](results/accuracy/{path})):",
        table(
            ("damage", "accuracy %", "mean confidence %", "ECE %", "answered at 1 %", "wrong of them %"),
            [
                (
                    *(row["damage"], _p(row["accuracy"], 1), _p(row["confidence"], 1), _p(row["ece"], 1)),
                    *(_p(row["coverage_1"], 1), _p(row["error_1"], 1)),
                )
                for row in rows
            ],
        ),
    ]


def _detector() -> list[str]:
    card: dict[str, Any] = json.loads(weights.detector_path().with_suffix(".json").read_text(encoding="utf-8"))
    facts = [
        ("network", f"{card['network']}: {card['parameters']:,} parameters"),
        ("file", f"ONNX, fp32, {weights.detector_path().stat().st_size / 1e6:.2f} MB"),
        ("trained on", card["training_data"]),
        ("threshold", f"score {card['min_score']:g}, chosen on validation photos"),
        ("smallest face", f"about {card['smallest_face']:g} pixels of its input"),
        ("terms", card["licence"]),
        ("sha256", f"`{card['sha256']}`"),
    ]
    return [
        f"## {card['name']}",
        "Finds the faces and five landmarks in each. What it scores is in [docs/measured.md](docs/measured.md) and in "
        "[results/accuracy/detector.csv](results/accuracy/detector.csv). **Not** for surveillance or for counting "
        "people: by itself it misses faces from behind, in deep shadow, on their side, and under about 11 pixels. "
        "Faces found by group, on FairFace: "
        "[results/accuracy/fairface.csv](results/accuracy/fairface.csv).",
        table(("", ""), facts),
    ]


def _rows(name: str) -> list[dict[str, str]]:
    return read_table(RESULTS / name, ()) if (RESULTS / name).exists() else []


def _p(share: str, digits: int = 2) -> str:
    return f"{100 * float(share):.{digits}f}" if share else "-"


if __name__ == "__main__":
    main()
