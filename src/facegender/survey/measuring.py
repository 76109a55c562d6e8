"""Error rates from faces of known gender."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from facegender.errors import InputError
from facegender.survey.groups import Clusters, design_effect
from facegender.survey.labels import FEWEST, MOST, Labelled
from facegender.survey.prevalence import FloatArray, IntArray
from facegender.survey.rates import COARSE_SCORES, QUALITIES, SCORES, ErrorRates
from facegender.survey.results import Results

#: With fewer faces of a gender the bins are coarse.
_FEW = 1500


def measure_rates(collection: Results, known: Labelled, *, source: str, command: str) -> ErrorRates:
    """Error rates from labelled faces of each gender, in the bins that their number allows.

    Args:
        collection: results of the photos, and perhaps of more.
        source: the faces, in words.
    """
    name, digest = collection.model or ("", "")
    faces = collection.faces.iloc[known.rows]
    scores = faces["quality"].to_numpy(), faces["p_male"].to_numpy()
    rates = count_rates(*scores, known.labels, model=name, sha256=digest, source=source)
    return replace(rates, detector=",".join(sorted(collection.detectors)), not_found=known.not_found, command=command)


def local_rates(
    collection: Results,
    known: Labelled,
    *,
    source: str,
    command: str,
    photos: npt.NDArray[np.bool_] | None = None,
    clusters: Clusters | None = None,
    min_quality: float = 0.0,
) -> ErrorRates:
    """As `measure_rates`, from labels of a sample of the collection itself, drawn with or without regard to the scores.

    The labels of a cell give the share of women among its faces; faces of unequal weight count as their effective
    number of equal weight (L. Kish, "Survey sampling", 1965).

    Args:
        photos: one a photo of the collection; only those that are true count, and the labels of their faces. None: all.
        clusters: of the photos. Labels from one cluster say less than as many from several: the effective numbers are
            divided by the design effect of the labels.
        min_quality: faces below it are left out, and their labels: a wide quality bin would take them for the others.

    Raises:
        InputError: of the faces above `min_quality`, fewer than 5 women's or men's are labelled, and not most of all.
    """
    place = collection.faces["photo"].to_numpy()
    here = (collection.faces["quality"] >= min_quality).to_numpy()
    if photos is not None:
        here = here & photos[place]
    known = known.among(here)
    if min_quality > 0 and min(known.women, known.men) < FEWEST and len(known.rows) < MOST * here.sum():
        raise InputError(
            f"{known.women} women's and {known.men} men's faces of a quality of at least {min_quality:g} are labelled; "
            f"at least {FEWEST} of each are needed",
            remedy="label more photos, or lower --min-quality",
        )
    plain = measure_rates(collection, known, source=source, command=command)
    shape = plain.female.shape
    faces = collection.faces
    cells = plain.cells(faces["quality"].to_numpy(), faces["p_male"].to_numpy())
    amount = collection.photos["weight"].to_numpy(float)[place] * here
    labelled = cells[known.rows]

    def summed(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(labelled, values, shape[0] * shape[1]).reshape(shape), np.float64)

    whole, women = summed(known.weights), summed(known.weights * (known.labels == 0))
    scale = whole / np.maximum(summed(known.weights**2), 1e-300)
    if clusters is not None:
        share = (women / np.maximum(whole, 1e-300)).ravel()
        deviations = known.weights * ((known.labels == 0) - share[labelled])
        drawn = clusters.codes[place[known.rows]]
        # Labels of one cluster alone are one observation: how clusters differ is not known.
        effect = design_effect(deviations, known.rows, drawn) if len(np.unique(drawn)) > 1 else len(drawn)
        scale /= max(effect or 1.0, 1.0)
    return replace(
        plain,
        female=women * scale,
        male=summed(known.weights * (known.labels == 1)) * scale,
        totals=np.asarray(np.bincount(cells, amount, shape[0] * shape[1]).reshape(shape), np.float64),
    )


def count_rates(
    quality: FloatArray, p_male: FloatArray, labels: IntArray, *, model: str = "", sha256: str = "", source: str = ""
) -> ErrorRates:
    """Error rates from N faces, in the bins that their number allows; `labels` are 0 female, 1 male."""
    scores = COARSE_SCORES if np.bincount(labels, minlength=2).min() < _FEW else SCORES
    shape = len(QUALITIES) - 1, len(scores) - 1
    nothing = np.zeros(shape, np.int64)
    rates = ErrorRates(model, sha256, "", source, scores, QUALITIES, nothing, nothing, (0, 0), "")
    cells = rates.cells(quality, p_male)
    women, men = (np.bincount(cells[labels == label], minlength=nothing.size).reshape(shape) for label in (0, 1))
    return replace(rates, female=women, male=men).joined()
