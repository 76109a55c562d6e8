"""How alike the errors of two looks at one face are, and what a track's answer is worth for several assumptions of it.

    python studies/accuracy/track_correlation.py LFW_STORE [--videos VIDEO ...]

Half of LFW's people give the correlation, the other half judges it. Three kinds of tracks:

- photos: all photos of a person who has several, of many occasions; less alike than the frames of a film
- frames: sixteen versions of one photo, moved, turned, scaled, relit, blurred and compressed at random; more alike
- films: the tracks of the videos given; without labels they tell only how much log-odds change within a track. The
  shipped table has seventeen of intel-iot-devkit/sample-videos (CC BY 4.0): six previews and four gestures

The correlation is the intraclass correlation of the log-odds about the mean of their label (one-way random effects;
P. E. Shrout, J. L. Fleiss, "Intraclass correlations", Psychological Bulletin 86(2), 1979); for films the share of the
variance among LFW's people, less what there is within tracks. Writes results/accuracy/track_correlation.csv.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import log_loss

from facegender.inference.classifier import GenderClassifier
from facegender.lab.datasets.store import Store, open_store
from facegender.lab.effects import degrade
from facegender.lab.evaluation.metrics import expected_calibration_error
from facegender.lab.study import study_parser, write_results
from facegender.lab.training.augment import augment
from facegender.lab.training.recipe import Augmentation
from facegender.video.analyze import VideoAnalyzer
from facegender.video.answer import combined

VERSIONS = 16
MOST_PHOTOS = 16
#: As a face moves through a film, rather than as training wants it.
MOVED = Augmentation(rotate=6.0, scale=0.08, shift=0.03, flip=False, colour=0.12, erase=0.0, blur=0.3)
GRID = (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
NAMES = {"correlation 0": "correlation 0 (naive product)", "correlation 1": "correlation 1 (plain mean)"}
#: Log-odds beyond count as these, as in `facegender.video.answer`.
SUREST = 0.001

FloatArray = npt.NDArray[np.float64]
#: Label and p_male of each frame of a track.
TrackData = tuple[int, FloatArray]


def main() -> None:
    parser = study_parser(__doc__, "accuracy/track_correlation.csv")
    parser.add_argument("store", type=Path)
    parser.add_argument("--videos", type=Path, nargs="*", action="extend", default=[])
    parser.add_argument("--people", type=int, default=2000, help="for the tracks of one photo each")
    arguments = parser.parse_args()

    store, classifier = open_store(arguments.store), GenderClassifier(threads=1)
    rng = np.random.default_rng(0)
    kinds = {"photos": _photos(store, classifier, rng), "frames": _frames(store, classifier, rng, arguments.people)}
    lines: list[dict[str, object]] = []
    for kind, tracks in kinds.items():
        order = rng.permutation(len(tracks))
        estimate, judge = ([tracks[i] for i in half] for half in np.array_split(order, 2))
        rho = _intraclass(estimate)
        losses = {r: log_loss(_labels(estimate), _answers(estimate, r)) for r in GRID}
        best = min(losses, key=losses.__getitem__)
        for name, answers in {
            "one frame": np.array([p[0] for _, p in judge]),
            **{f"correlation {r:g}": _answers(judge, r) for r in sorted({*GRID, round(rho, 3)})},
        }.items():
            labels = _labels(judge)
            lines.append(
                {
                    "tracks": kind,
                    "count": len(judge),
                    "frames": round(float(np.mean([len(p) for _, p in judge])), 2),
                    "intraclass_correlation": round(rho, 3),
                    "least_loss_at": best,
                    "answer": NAMES.get(name, name),
                    "ece": round(expected_calibration_error(labels, answers), 4),
                    "log_loss": round(float(log_loss(labels, answers)), 4),
                    "brier": round(float(np.mean((answers - labels) ** 2)), 4),
                    "accuracy": round(float(np.mean((answers >= 0.5) == labels)), 4),
                }
            )
            print(lines[-1], flush=True)
    if arguments.videos:
        spread = float(np.mean([np.var(_residuals(tracks)) for tracks in kinds.values()]))
        lines.append(_films(arguments.videos, spread))
        print(lines[-1])
    write_results(arguments.output, lines, "onnxruntime")


def _photos(store: Store, classifier: GenderClassifier, rng: np.random.Generator) -> list[TrackData]:
    people: dict[str, list[int]] = {}
    for index, person in enumerate(store.identities):
        people.setdefault(person, []).append(index)
    several = [rng.permutation(photos)[:MOST_PHOTOS] for photos in people.values() if len(photos) > 1]
    rows = np.sort(np.concatenate(several))
    p_male = dict(zip(rows.tolist(), classifier.p_male(np.array(store.crops[rows])).tolist(), strict=True))
    return [(int(store.labels[some[0]]), np.array([p_male[i] for i in some.tolist()])) for some in several]


def _frames(store: Store, classifier: GenderClassifier, rng: np.random.Generator, people: int) -> list[TrackData]:
    first = {person: index for index, person in reversed(list(enumerate(store.identities)))}
    tracks = []
    for index in np.sort(rng.permutation(list(first.values()))[:people]).tolist():
        versions = augment(np.repeat(store.crops[index][None], VERSIONS, axis=0), MOVED, rng)
        p_male = classifier.p_male(degrade(versions, "JPEG, quality 20"))
        tracks.append((int(store.labels[index]), p_male.astype(np.float64)))
    return tracks


def _labels(tracks: Sequence[TrackData]) -> npt.NDArray[np.int64]:
    return np.array([label for label, _ in tracks], np.int64)


def _answers(tracks: Sequence[TrackData], correlation: float) -> FloatArray:
    return np.array([combined(p, np.ones(len(p)), correlation) for _, p in tracks])


def _log_odds(p: FloatArray) -> FloatArray:
    p = np.clip(p, SUREST, 1 - SUREST)
    return np.log(p / (1 - p))


def _residuals(tracks: Sequence[TrackData]) -> FloatArray:
    """Log-odds of all frames less the mean of their label's, people weighing the same."""
    odds = [_log_odds(p) for _, p in tracks]
    means = {y: np.mean([o.mean() for o, (label, _) in zip(odds, tracks, strict=True) if label == y]) for y in (0, 1)}
    return np.concatenate([o - means[label] for o, (label, _) in zip(odds, tracks, strict=True)])


def _intraclass(tracks: Sequence[TrackData]) -> float:
    residuals, sizes = _residuals(tracks), np.array([len(p) for _, p in tracks])
    groups = np.split(residuals, np.cumsum(sizes)[:-1])
    n, k = len(residuals), len(groups)
    within = sum(float(((g - g.mean()) ** 2).sum()) for g in groups) / (n - k)
    between = sum(len(g) * float(g.mean() - residuals.mean()) ** 2 for g in groups) / (k - 1)
    size = (n - float((sizes**2).sum()) / n) / (k - 1)
    return float((between - within) / (between + (size - 1) * within))


def _films(videos: Sequence[Path], spread: float) -> dict[str, object]:
    analyzer = VideoAnalyzer(fps=5.0)
    tracks = [
        _log_odds(np.array([s.p_male for s in track.sightings]))
        for video in videos
        for track in analyzer.analyze(video).tracks
        if len(track.sightings) > 4
    ]
    within = float(np.mean([odds.var(ddof=1) for odds in tracks]))
    return {
        "tracks": "films",
        "count": len(tracks),
        "frames": round(float(np.mean([len(odds) for odds in tracks])), 2),
        "intraclass_correlation": round(1 - within / spread, 3),
    }


if __name__ == "__main__":
    main()
