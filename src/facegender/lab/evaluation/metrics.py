"""What a network answered, measures of it with ``male`` (1) as the positive class, and the confidence for an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax
from scipy.stats import beta, norm
from scipy.stats import t as student
from sklearn.metrics import confusion_matrix, roc_auc_score

from facegender.errors import InputError
from facegender.inference.classifier import prediction_for
from facegender.lab.datasets.store import LABELS, Store
from facegender.tables import write_csv

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]

_HEADER = ("image", "label", "p_male")
#: That faces of another sample, if answered, err at most at the accepted rate.
_CERTAINTY = 0.95


@dataclass(frozen=True)
class Metrics:
    """All in [0, 1] but `count`.

    Attributes:
        count: faces.
        accuracy: share of right answers.
        tpr: true positive rate; the accuracy on men.
        fpr: false positive rate; the share of women called male.
        precision: share of men among those called male.
        female_accuracy: accuracy on women, 1 - fpr.
        balanced_accuracy: mean of the accuracies on women and on men.
        auc: area under the ROC curve.
    """

    count: int
    accuracy: float
    tpr: float
    fpr: float
    precision: float
    female_accuracy: float
    balanced_accuracy: float
    auc: float

    def to_dict(self) -> dict[str, float]:
        """Field names to values."""
        return asdict(self)


@dataclass(frozen=True)
class Predictions:
    """Answers beside what they should be.

    Attributes:
        images: N names.
        labels: int64, N; 0 female, 1 male.
        p_male: float, N; probabilities.
        people: N names, "" where unknown; none where no person is named.
    """

    images: Sequence[str]
    labels: IntArray
    p_male: FloatArray
    people: Sequence[str] = ()

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy (`accuracy_interval`)."""
        return accuracy_interval(self.right, self.people)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """N; whether the likelier answer is the label."""
        return is_right(self.labels, self.p_male)

    def measure(self) -> Metrics:
        """Compare the answers with the labels.

        Raises:
            InputError: there are not both labels.
        """
        if len(set(self.labels.tolist())) < 2:
            raise InputError(f"the {len(self.labels)} tested faces are not of both labels", remedy="test on others")
        return measure(self.labels, self.p_male)

    @classmethod
    def of(cls, store: Store, index: IntArray, p_male: FloatArray) -> Predictions:
        """The answers to the crops `index` of a store."""
        rows = index.tolist()
        images, people = ([column[i] for i in rows] for column in (store.images, store.identities))
        return cls(images, store.labels[index], p_male, people)


def measure(labels: IntArray, p_male: FloatArray) -> Metrics:
    """Compare probabilities with labels at the threshold 0.5.

    Args:
        labels: N; 0 female, 1 male; both must occur.
        p_male: N probabilities.

    Raises:
        ValueError: a label does not occur: half of the measures would have no meaning.
    """
    if len(set(labels.tolist())) < 2:
        raise ValueError("measures need faces of both labels")
    (tn, fp), (fn, tp) = confusion_matrix(labels, p_male >= 0.5, labels=[0, 1])
    tpr, fpr = tp / (tp + fn), fp / (fp + tn)
    return Metrics(
        count=len(labels),
        accuracy=float((tp + tn) / len(labels)),
        tpr=float(tpr),
        fpr=float(fpr),
        precision=float(tp / (tp + fp)) if tp + fp else 0.0,
        female_accuracy=float(1 - fpr),
        balanced_accuracy=float((tpr + 1 - fpr) / 2),
        auc=float(roc_auc_score(labels, p_male)),
    )


def is_right(labels: IntArray, p_male: FloatArray) -> npt.NDArray[np.bool_]:
    """N; whether the likelier answer is the label."""
    right: npt.NDArray[np.bool_] = (p_male >= 0.5) == (labels == 1)
    return right


def wilson_interval(right: int, count: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a share (E. B. Wilson, JASA 22, 1927), of independent faces."""
    return _wilson(right / count, count, float(norm.ppf((1 + confidence) / 2)))


def accuracy_interval(
    right: npt.NDArray[np.bool_], people: Sequence[str] = (), confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of the share of right answers among faces of which several may be of one person.

    It is meant for other people, so people are what is sampled: photos of one person are answered alike more often than
    photos of two. The interval is Wilson's for the effective number of faces, which is how many independent ones would
    vary as these do between people (E. L. Korn and B. I. Graubard, Survey Methodology 24, 1998; C. Franco et al.,
    Journal of Survey Statistics and Methodology 7, 2019). With one face a person it is Wilson's.

    Args:
        right: N, at least one; whether each face was answered right.
        people: N names, "" where unknown: such a face is a person of its own. None given: all are.

    Returns:
        lower and upper end; 0 and 1 where all faces are of one person.
    """
    count, share, z = len(right), float(right.mean()), float(norm.ppf((1 + confidence) / 2))
    person = {name: number for number, name in enumerate(dict.fromkeys(filter(None, people)))}
    member = np.array([person.get(name, len(person) + i) for i, name in enumerate(people or [""] * count)])
    member = np.unique(member, return_inverse=True)[1]
    faces = np.bincount(member)
    if len(faces) == count:
        return _wilson(share, count, z)
    if len(faces) == 1:
        return 0.0, 1.0
    # The variance of a ratio, linearised: people differ in how many faces they have and in how many are right.
    deviations = np.bincount(member, right) - share * faces
    variance = len(faces) / (len(faces) - 1) * float(np.square(deviations).sum()) / count**2
    weighty = count**2 / float(np.square(faces).sum())  # effective number of people, if all had equally many faces
    # Without variance nothing tells how alike the faces of a person are answered: as if each person were one answer.
    effective = min(count, share * (1 - share) / variance) if variance > 0 else weighty
    # Few people tell their variance badly.
    effective *= (z / float(student.ppf((1 + confidence) / 2, max(weighty - 1, 1)))) ** 2
    return _wilson(share, effective, z)


def _wilson(share: float, count: float, z: float) -> tuple[float, float]:
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return (0.0 if share == 0 else float(middle - half)), (1.0 if share == 1 else float(middle + half))


def p_male_from_logits(logits: FloatArray) -> FloatArray:
    """Softmax of N x 2 logits (female, male); the second column."""
    p_male: FloatArray = np.exp(log_softmax(np.asarray(logits, np.float64), axis=1))[:, 1]
    return p_male


def brier_score(labels: IntArray, p_male: FloatArray) -> float:
    """Mean squared difference of probability and label (G. W. Brier, 1950); in [0, 1], 0 is best."""
    return float(np.square(np.asarray(p_male, np.float64) - labels).mean())


def expected_calibration_error(labels: IntArray, p_male: FloatArray, bins: int = 15) -> float:
    """Expected calibration error of `p_male` over equal-width bins (Naeini et al., AAAI 2015).

    Mean distance between the mean probability and the share of men in a bin, weighted by the faces in it.
    """
    which = np.minimum((p_male * bins).astype(int), bins - 1)
    weight = np.bincount(which, minlength=bins)
    gap = np.bincount(which, weights=p_male - labels, minlength=bins)
    return float(np.abs(gap[weight > 0]).sum() / len(labels))


def is_answered(p_male: FloatArray, confidence: float) -> npt.NDArray[np.bool_]:
    """N; whether each face is answered at a least confidence, by the rule of `facegender predict`.

    Args:
        p_male: float, N.
        confidence: in [0.5, 1].
    """
    return np.array([prediction_for(p, confidence).label != "uncertain" for p in p_male.tolist()], bool)


def answered(labels: IntArray, p_male: FloatArray, confidence: float) -> tuple[float, float]:
    """Share of the faces that is answered at a least confidence, and share of wrong answers among those.

    Args:
        labels: int64, N, at least one; 0 female, 1 male.
        p_male: float, N.
        confidence: in [0.5, 1].
    """
    given = is_answered(p_male, confidence)
    wrong = ~is_right(labels, p_male)[given]
    return float(given.mean()), float(wrong.mean()) if given.any() else 0.0


def confidence_for_error(
    labels: IntArray, p_male: FloatArray, max_error: float, weights: FloatArray | None = None
) -> float:
    """The least confidence, max(p, 1 - p), at which faces like these, if answered, err at most at the rate `max_error`.

    What counts is not the rate of these faces but the upper end of its one-sided 95 % Clopper-Pearson interval
    (Y. Geifman and R. El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017): a threshold that
    just fits one sample lets more errors through on the next. With weights, the interval is that of as many faces as
    the weights leave, (sum w)^2 / sum w^2 (E. Korn and B. Graubard, "Confidence intervals for proportions with small
    expected number of positive counts estimated from survey data", Survey Methodology 1998).

    Args:
        weights: float, N, above 0; how much each face counts. None lets all count alike.

    Returns:
        a value in [0.5, 1]; 1 where the faces are too few or even the most confident answers err too often, 0.5 where
        all answers may be given.
    """
    confidence = np.round(np.maximum(p_male, 1 - p_male), 12)  # 0.9 and 1 - 0.1 are equal
    wrong = ~is_right(labels, p_male)
    order = np.argsort(-confidence)
    weight = np.ones(len(order)) if weights is None else weights[order]
    share = np.cumsum(weight * wrong[order]) / np.cumsum(weight)
    answered = np.cumsum(weight) ** 2 / np.cumsum(weight**2)
    # Where all answers are wrong the interval ends at 1, and SciPy's quantile at no number.
    rate = np.nan_to_num(beta.ppf(_CERTAINTY, answered * share + 1, answered * (1 - share)), nan=1.0)
    ordered = confidence[order]
    # Equal confidences are answered together or not at all.
    last_of_equals = np.append(ordered[1:] != ordered[:-1], True)
    allowed = np.flatnonzero((rate <= max_error) & last_of_equals)
    if not len(allowed):
        return 1.0
    return 0.5 if allowed[-1] == len(ordered) - 1 else float(ordered[allowed[-1]])


def write_predictions(path: Path, predictions: Predictions) -> None:
    """One line a crop: image, label, p_male.

    Probabilities keep all their digits: rounded, the surest would be equal.

    Raises:
        OutputError: the folder cannot be written.
    """
    labels = [LABELS[label] for label in predictions.labels.tolist()]
    rows = zip(predictions.images, labels, predictions.p_male.tolist(), strict=True)
    write_csv(path, [dict(zip(_HEADER, row, strict=True)) for row in rows], _HEADER)
