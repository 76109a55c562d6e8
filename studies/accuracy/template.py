"""How much of the head a crop should show: the same short training on crops of several templates.

    python studies/accuracy/template.py LFW.tar FAIRFACE_TRAIN_DIR fairface_label_train.csv

Learns from LFW's identity folds 1 to 8 and from 8,000 FairFace training photos, judges by fold 9 and by 2,000 other
FairFace training photos; fold 10 and FairFace's validation photos, which tests use, are not touched.
Writes results/accuracy/template.csv.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facegender.faces.align import LandmarkTemplate
from facegender.faces.decode import decode
from facegender.faces.types import Crops
from facegender.inference.detector import OnnxDetector
from facegender.lab.datasets.cropping import FaceCropper
from facegender.lab.datasets.lfw import USUAL_FACE, list_lfw
from facegender.lab.datasets.listing import prepare
from facegender.lab.datasets.store import Store, open_store
from facegender.lab.evaluation.metrics import measure, p_male_from_logits
from facegender.lab.study import study_parser, write_results
from facegender.lab.training.loop import Examples, train
from facegender.lab.training.model import predict_logits
from facegender.lab.training.recipe import load_recipe
from facegender.progress import track
from facegender.tables import read_table

#: Side of the crop and the drop of its centre below the eyes, in inter-eye distances: from tight to wide.
TEMPLATES = ((2.6, 0.40), (3.1, 0.40), (3.7, 0.40))
TRAINING, JUDGING = 8_000, 2_000
EPOCHS = 5


def main() -> None:
    parser = study_parser(__doc__, "accuracy/template.csv")
    parser.add_argument("lfw", type=Path)
    parser.add_argument("fairface", type=Path)
    parser.add_argument("labels", type=Path)
    arguments = parser.parse_args()
    rows = read_table(arguments.labels, ("file", "gender"))
    sample = [rows[i] for i in np.linspace(0, len(rows) - 1, TRAINING + JUDGING).round().astype(int)]
    genders = np.array([int(row["gender"] == "Male") for row in sample])
    files = [arguments.fairface / Path(row["file"]).name for row in sample]
    judged = np.arange(len(sample)) % ((TRAINING + JUDGING) // JUDGING) == 0

    lines = []
    for side, drop in TEMPLATES:
        template = LandmarkTemplate.mean_face(side, drop)
        with tempfile.TemporaryDirectory() as folder:
            prepare(list_lfw(arguments.lfw), Path(folder, "lfw"), template=template)
            lfw = open_store(Path(folder, "lfw"))
            crops, found = _fairface_crops(files, template)
            store, parts = _together(lfw, crops, genders, judged)
            recipe = load_recipe("tuned", epochs=EPOCHS)
            model = train(recipe, Examples(store, parts["train"]), Path(folder, "run"))
            line: dict[str, object] = {"side": side, "drop": drop}
            for name in ("lfw", "fairface"):
                p_male = p_male_from_logits(predict_logits(model.classifier, store.crops, parts[name]))
                result = measure(store.labels[parts[name]], p_male)
                line |= {f"{name}_accuracy": round(result.accuracy, 4)}
                line |= {f"{name}_balanced": round(result.balanced_accuracy, 4)}
            line["fairface_found"] = round(found, 4)
            lines.append(line)
            print(line, flush=True)
    write_results(arguments.output, lines, "torch", "onnxruntime", "opencv-python-headless", epochs=EPOCHS)


def _fairface_crops(files: list[Path], template: LandmarkTemplate) -> tuple[Crops, float]:
    cropper = FaceCropper(OnnxDetector(), template, USUAL_FACE)
    crops, found = [], []
    for start in track(range(0, len(files), 16), "FairFace"):
        some, heights = cropper.crop([decode(path) for path in files[start : start + 16]])
        crops += some
        found += [height is not None for height in heights]
    return np.stack(crops), float(np.mean(found))


def _together(
    lfw: Store, crops: Crops, labels: npt.NDArray[np.int64], judged: npt.NDArray[np.bool_]
) -> tuple[Store, dict[str, npt.NDArray[np.int64]]]:
    fold = lfw.fold("identity")
    first = len(lfw)
    parts = {
        "train": np.concatenate([np.flatnonzero(fold <= 8), first + np.flatnonzero(~judged)]),
        "lfw": np.flatnonzero(fold == 9),
        "fairface": first + np.flatnonzero(judged),
    }
    names = [*lfw.images, *(f"fairface {i}" for i in range(len(crops)))]
    store = replace(
        lfw,
        name="lfw and fairface",
        wide=np.concatenate([lfw.wide, crops]),
        photos=(),
        images=names,
        identities=names,
        labels=np.concatenate([lfw.labels, labels]),
        splits=["train"] * len(names),
        folds={},
        attributes={},
    )
    return store, parts


if __name__ == "__main__":
    main()
