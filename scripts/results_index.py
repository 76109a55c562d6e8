"""Write results/README.md: one line a CSV file, from the files themselves and the table below.

python scripts/results_index.py
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from facegender.report import table
from facegender.tables import read_table

RESULTS = Path(__file__).parents[1] / "results"

QUESTIONS = {
    "accuracy": "How often are the shipped networks right, about whom, and what are their probabilities worth?",
    "robustness": "What do damaged, printed and turned photos do to the answers?",
    "speed": "How fast is it, how much memory does it take, and does it stay up?",
    "survey": "Do the intervals of `facegender survey` hold?",
    "paper": "What comes out of the paper's experiments here?",
}


class About(NamedTuple):
    """What files of one pattern hold, the day of their last measurement, and their command if no column has it."""

    what: str
    date: str
    command: str = ""


FILES = {
    "accuracy/flagship.csv": About(
        "every shipped classifier on every test set: accuracy, women, men, calibration, coverage", "2026-11-27"
    ),
    "accuracy/audit_*.csv": About(
        "every group of faces of a test set: accuracy, rates, calibration, coverage (also as JSON)", "2026-11-27"
    ),
    "accuracy/calibration_*.csv": About(
        "calibration by set, by group and on damaged faces (charts: `reliability_*.png`, `risk_coverage_*.png`)",
        "2026-11-27",
    ),
    "accuracy/fairface.csv": About(
        "the default weights, from photo to answer, by race and gender, on FairFace validation photos (the "
        "odd-numbered of the first 5,000)",
        "2026-11-27",
    ),
    "accuracy/detector.csv": About(
        "the face detector against its teacher: faces, landmarks, answers, time", "2026-11-24"
    ),
    "accuracy/detector_people.csv": About(
        "the landmarks against those of people, beside YuNet and dlib; false faces in drawings", "2026-11-27"
    ),
    "accuracy/detector_tried.csv": About("what was tried for the next face detector, and dropped", "2026-11-27"),
    "accuracy/ablations.csv": About("what was tried for the network that ships, kept or dropped", "2026-11-27"),
    "accuracy/template.csv": About(
        "how much of the head a crop shows: short trainings on three templates", "2026-11-24"
    ),
    "accuracy/peers.csv": About(
        "the tools that come by pip or npm with their weights inside, beside ours, on the same photos", "2026-11-27"
    ),
    "accuracy/teachers.csv": About(
        "the committee that teaches, and each of its members: train faces out of fold, validation, LFW",
        "2026-11-26",
        "python studies/teachers/committee.py FEATURES OUT FACES.jsonl ...",
    ),
    "accuracy/track_correlation.csv": About(
        "how the errors of the frames of a track correlate, and the calibration of its answer", "2026-11-24"
    ),
    "robustness/names.csv": About(
        "photos of random names through every format, a run taken up and a survey", "2026-11-25"
    ),
    "robustness/peer_corpora.csv": About(
        "test images of Pillow and sharp through predict: answers, refusals, and whether each refusal is true",
        "2026-11-26",
    ),
    "robustness/mutations.csv": About("damaged images of every format: answers, errors, crashes", "2026-11-26"),
    "robustness/turned.csv": About(
        "faces turned by 30 to 180 degrees: found, answered, answered against the upright photo", "2026-11-27"
    ),
    "robustness/prints.csv": About(
        "halftone screens, newsprint, grain, JPEG, printed pages: found with and without smoothing, right, uncertain",
        "2026-11-27",
    ),
    "speed/engine.csv": About("many photos: speed, memory, cost, kills; videos; Ray", "2026-11-24"),
    "speed/faceless.csv": About("photos without a face: the search in other orientations", "2026-11-27"),
    "speed/memory.csv": About("peak memory of whole commands", "2026-11-24", "python studies/speed/memory.py LFW.tar"),
    "speed/page.csv": About("the page in a browser beside Python: the same numbers, and time", "2026-11-24"),
    "speed/service.csv": About("the service under load, overload, hostile input and SIGTERM", "2026-11-24"),
    "speed/timings.csv": About("time of the make targets", "2026-11-27"),
    "speed/training_throughput.csv": About("the input pipeline against one resident batch", "2026-11-23"),
    "speed/pareto.csv": About("accuracy of what ships beside its time and size (chart: `pareto.png`)", "2026-11-27"),
    "speed/benchmark_flagship/benchmark.csv": About(
        "what ships, and its networks, against the paper's network in one run", "2026-11-27"
    ),
    "survey/simulation.csv": About(
        "coverage, width and bias on collections of known composition, shifted or not", "2026-11-24"
    ),
    "survey/videos.csv": About("coverage and width for 5 to 30 videos", "2026-11-25"),
    "survey/nightly.csv": About(
        "three nights of one command over a folder that changes: records that are stale, doubled, missing, different",
        "2026-11-27",
    ),
    "survey/first_share.csv": About(
        "from a machine with Python and pip to a share with its interval: seconds of each step", "2026-11-26"
    ),
    "survey/sets.csv": About(
        "coverage and width on a set that the error rates are not from, without labels and with 100 to 500",
        "2026-11-27",
    ),
    "paper/parameters.csv": About(
        "Tables 3 and 4, published and counted", "2026-11-23", "facegender params --format csv"
    ),
    "paper/custom_cnn_table1.csv": About(
        "the paper's network layer by layer, with multiply-accumulates",
        "2026-11-23",
        "facegender params custom-cnn-table1 --format csv",
    ),
    "paper/lfw_counts.csv": About("LFW as it is, beside Table 2", "2026-11-24"),
    "paper/dataset_counts.csv": About(
        "the other datasets, or the parts of them at hand: images kept and left out "
        "(collected by `studies/paper/dataset_counts.py`)",
        "2026-11-24",
    ),
    "paper/lfw_crossval.csv": About(
        "ten-fold cross-validations: mean and deviation (collected by `studies/paper/collect_crossval.py`)",
        "2026-11-27",
    ),
    "paper/lfw_folds.csv": About(
        "every fold of these", "2026-11-27", "python studies/paper/collect_crossval.py RUN ..."
    ),
    "paper/recipe_search.csv": About("how the tuned recipe was found, on identity fold 9", "2026-11-23"),
    "paper/benchmark/benchmark.csv": About(
        "Figure 3: every network in every runtime (also as JSON, chart: `figure3.png`)", "2026-11-24"
    ),
    "paper/reproduction_folds.csv": About("the three networks on LFW's tenth random fold", "2026-11-24"),
    "paper/crossdataset.csv": About("trained on each dataset, tested on every other", "2026-11-24"),
    "paper/crossdataset_subgroups.csv": About("the same by every group, with its interval", "2026-11-24"),
    "paper/leaks.csv": About("photos and people in two splits or two datasets", "2026-11-24"),
    "paper/reproduce.csv": About("time of `facegender reproduce --quick`", "2026-11-24"),
}

HEAD = """\
# Results

Written by `python scripts/results_index.py` (`make docs`) from the files below. Every file is one study; the script
`studies/QUESTION/NAME.py` or the command beside it wrote it. The columns `command` and `machine` of a file say which
options it ran with and on what. Commands name scripts where they are now; some ran when all scripts were in `studies/`.
`--epochs N` and `--network NAME` in older training commands are `--set epochs=N` and `--set network=NAME` today. The
date is that of the last change of the numbers.

`STORE` is what `facegender prepare lfw LFW.tar --output STORE` writes from the complete deep-funneled LFW; `LFW.tar`
has the label lists and people.txt beside it. The scores of a shipped network are in its card, too:
`src/facegender/weights/NAME.json`."""

TAIL = """\
The run of the shipped detector differs from what `facegender train-detector` does today in two ways. Its first 4,500
steps weighted the losses of score, box and landmarks 1 : 2 : 5, the other 4,500 as now, 2 : 2 : 12. What the teacher
was unsure of in one part of a mosaic was also left out of the parts beside it. Both were found during the training."""


def main() -> None:
    """Write the page."""
    (RESULTS / "README.md").write_text(page(), encoding="utf-8")


def files() -> list[str]:
    """The CSV files below results/, as paths with slashes."""
    return sorted(path.relative_to(RESULTS).as_posix() for path in RESULTS.rglob("*.csv"))


def page() -> str:
    """The whole text.

    Raises:
        LookupError: a file that FILES doesn't describe, or a description without a file.
    """
    there = files()
    if unused := [pattern for pattern in FILES if not any(fnmatchcase(name, pattern) for name in there)]:
        raise LookupError(f"FILES in scripts/results_index.py describes files that are not there: {unused}")
    parts = [HEAD]
    for question, words in QUESTIONS.items():
        rows = [_line(name) for name in there if name.startswith(f"{question}/")]
        parts += [f"## {question}", words, table(("file", "content", "command", "rows", "date"), rows)]
    return "\n\n".join([*parts, TAIL]) + "\n"


def _line(name: str) -> tuple[str, ...]:
    about = next((about for pattern, about in FILES.items() if fnmatchcase(name, pattern)), None)
    if about is None:
        raise LookupError(f"describe {name} in FILES in scripts/results_index.py")
    rows = read_table(RESULTS / name, ())
    commands = list(dict.fromkeys(row["command"] for row in rows)) if not about.command else [about.command]
    more = f" and {len(commands) - 1} more" if len(commands) > 1 else ""
    short = name.partition("/")[2]
    return f"[{short}]({name})", about.what, f"`{commands[0]}`{more}", str(len(rows)), about.date


if __name__ == "__main__":
    main()
