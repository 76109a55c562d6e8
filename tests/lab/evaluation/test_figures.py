import numpy as np
import PIL.Image
import pytest
from scipy.special import expit

from facegender.errors import InputError
from facegender.lab.evaluation.figures import (
    STYLES,
    MeasuredNetwork,
    RocCurve,
    draw_folds,
    draw_measures,
    draw_roc,
    styles_of,
)
from facegender.lab.evaluation.metrics import Predictions
from facegender.lab.paper.published import figure5


def answers(spread, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(200) % 2
    margin = rng.normal(2 * labels - 1.0, spread)
    return Predictions([f"{i}.jpg" for i in range(200)], labels, expit(margin))


def texts(path):
    return {line.strip()[5:-4] for line in path.read_text().splitlines() if line.strip().startswith("<!-- ")}


def test_roc_of_three_networks(tmp_path):
    curves = [
        RocCurve("custom-cnn-table1", "custom CNN", answers(0.5)),
        RocCurve("googlenet", "GoogLeNet", answers(1.0)),
        RocCurve("alexnet", "AlexNet", answers(1.0)),
    ]
    draw_roc(tmp_path / "roc.svg", curves, "drawn")
    drawn = texts(tmp_path / "roc.svg")
    assert curves[0].auc == curves[0].predictions.measure().auc
    assert {f"{c.label}, AUC {c.auc:.4f}" for c in curves} <= drawn
    assert {"false positive rate (women called male)", "true positive rate (men called male)"} <= drawn
    for style in STYLES.values():
        assert style.colour.lower() in (tmp_path / "roc.svg").read_text()


def test_roc_of_networks_that_the_paper_does_not_draw(tmp_path):
    names = ("residual", "residual-wide", "custom-cnn-table1", "tiny", "residual")
    draw_roc(tmp_path / "roc.svg", [RocCurve(name, f"ours {i}", answers(1.0)) for i, name in enumerate(names)], "drawn")
    assert {f"ours {i}" for i in range(5)} <= {text.split(",")[0] for text in texts(tmp_path / "roc.svg")}
    styles = styles_of(names)
    assert len({style.colour for style in styles.values()}) == 4
    assert styles["custom-cnn-table1"] == STYLES["custom CNN"]


def test_roc_needs_both_labels(tmp_path):
    both = answers(1.0)
    men = Predictions(both.images[1::2], both.labels[1::2], both.p_male[1::2])
    with pytest.raises(InputError, match="curve 'ours'"):
        draw_roc(tmp_path / "roc.png", [RocCurve("alexnet", "ours", men)], "drawn")


def test_bars_stand_beside_the_published(tmp_path):
    measured = {"accuracy": 0.957, "tpr": 0.972, "fpr": 0.095, "precision": 0.973}
    rgb = [
        MeasuredNetwork(
            printed.network, measured, {"accuracy": 0.007}, {"accuracy": printed.accuracy, "tpr": printed.tpr}
        )
        for printed in figure5()
    ]
    gray = [MeasuredNetwork("custom CNN", measured)]
    draw_measures(tmp_path / "bars.svg", {"RGB": rgb, "gray": gray}, "LFW, ten folds")
    drawn = texts(tmp_path / "bars.svg")
    assert {"RGB", "gray", "accuracy", "TPR", "FPR", "precision", "share (%)", "LFW, ten folds", "95.7", "9.5"} <= drawn
    assert {f"{name}, {source}" for name in STYLES for source in ("measured", "published")} <= drawn
    assert {f"{100 * printed.tpr:.0f}" for printed in figure5()} <= drawn
    draw_measures(tmp_path / "bars.png", {"gray": gray}, "one network, nothing published")
    with PIL.Image.open(tmp_path / "bars.png") as picture:
        assert picture.width > 400


def test_folds_of_some_networks(tmp_path):
    folds = {"custom CNN": {1: 0.95, 2: 0.97, 10: 0.96}, "AlexNet": {1: 0.9}}
    draw_folds(tmp_path / "folds.svg", folds, "LFW")
    drawn = texts(tmp_path / "folds.svg")
    assert {"custom CNN, mean 96.00", "AlexNet, mean 90.00", "fold", "accuracy (%)", "10"} <= drawn
