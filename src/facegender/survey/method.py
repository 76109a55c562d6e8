"""How the numbers of a survey were computed, in paragraphs that can be cited."""

from __future__ import annotations

from facegender._version import __version__
from facegender.survey.labels import OWN
from facegender.survey.outcome import Survey, Unit
from facegender.survey.prevalence import Method
from facegender.survey.rates import ErrorRates
from facegender.survey.results import Kind
from facegender.wording import counted

REFERENCES = (
    "A. Agresti, B. A. Coull: Approximate is better than exact for interval estimation of binomial proportions. "
    "The American Statistician 52(2), 1998.",
    "A. Bella, C. Ferri, J. Hernández-Orallo, M. J. Ramírez-Quintana: Quantification via probability estimators. "
    "ICDM 2010.",
    "P. G. Bissiri, C. C. Holmes, S. G. Walker: A general framework for updating belief distributions. Journal of the "
    "Royal Statistical Society B 78(5), 2016.",
    "J. Cohen: A coefficient of agreement for nominal scales. Educational and Psychological Measurement 20(1), 1960.",
    "R. DerSimonian, N. Laird: Meta-analysis in clinical trials. Controlled Clinical Trials 7(3), 1986.",
    "B. Efron, R. J. Tibshirani: An Introduction to the Bootstrap. Chapman and Hall, 1993.",
    "G. Forman: Quantifying counts and costs via classification. Data Mining and Knowledge Discovery 17(2), 2008.",
    "J. P. T. Higgins, S. G. Thompson, D. J. Spiegelhalter: A re-evaluation of random-effects meta-analysis. Journal "
    "of the Royal Statistical Society A 172(1), 2009.",
    "F. H. Kamaru Zaman: Gender classification using custom convolutional neural networks architecture. "
    "IJECE 10(6), 2020.",
    "L. Kish: Survey Sampling. Wiley, 1965.",
    "D. B. Rubin: The Bayesian bootstrap. Annals of Statistics 9(1), 1981.",
    "D. B. Rubin: Multiple Imputation for Nonresponse in Surveys. Wiley, 1987.",
    "M. Saerens, P. Latinne, C. Decaestecker: Adjusting the outputs of a classifier to new a priori probabilities. "
    "Neural Computation 14(1), 2002.",
)

_COUNTED: dict[Unit, str] = {
    "faces": "The unit of analysis is the {face}.",
    "photos": "The unit of analysis is the photo: we estimated the share of photos that show at least one woman, and "
    "the share that show at least one man. A photo in which no face was found counts as showing no person.",
    "screen-time": "The unit of analysis is the time for which a face is on screen.",
}
_OF: dict[Unit, str] = {"faces": "of the {face}s", "photos": "of the photos", "screen-time": "of the screen time"}
#: What the results have one row of.
_FACE: dict[Kind, str] = {"photos": "face", "videos": "track"}
_ESTIMATED: dict[Method, str] = {
    "mixture": "Within each quality bin, the distribution of scores in the collection was modelled as a mixture of "
    "these two distributions. The share of women is the maximum likelihood estimate of the mixing weight (Forman "
    "2008; on binned scores this is the limit of the EM algorithm of Saerens et al. 2002). A weak prior, worth two "
    "faces, draws the share of each bin towards that of all bins.",
    "adjusted": "Within each quality bin, the share of women was estimated by the probabilistic adjusted count: the "
    "position of the mean score between the mean scores of women and of men (Bella et al. 2010).",
}
_OF_PHOTOS = (
    "Photos with m faces were modelled as a mixture of the m + 1 possible numbers of women among them. The mixing "
    "weights were estimated by maximum likelihood (EM) for each m separately, assuming that the scores of the faces "
    "in a photo are independent given their genders."
)


def method_text(survey: Survey) -> list[str]:
    """The method in plain English, one string a paragraph."""
    rates, everyone = survey.rates, survey.everyone
    sampled = f" The files are a random sample of {survey.population or 0:,}, and the shares are weighted accordingly."
    population = "" if survey.population is None else sampled
    copies = ""
    if survey.copies:
        were = "was" if survey.copies == 1 else "were"
        treated = "counted too" if survey.all_copies else "left out, so that each content counts once"
        copies = f" {counted(survey.copies, 'file')} with the content of another under another name {were} {treated}."
    model = rates.model or "named in the results"
    face = _FACE[survey.kind]
    followed = " Each face was followed from frame to frame as a track." if survey.kind == "videos" else ""
    data = (
        f"We detected faces in {everyone.photos:,} files with facegender {survey.made_with or __version__}. "
        f"{everyone.not_read:,} more files could not be read.{copies}{followed} "
        f"The classifier {model} (sha256 {rates.sha256[:16] or 'unknown'}) gave "
        f"each {face} a calibrated probability of being perceived as male. We analysed the {everyone.faces:,} {face}s "
        f"with a quality of at least {survey.min_quality:g}; {everyone.left_out:,} {face}s of lower quality were "
        f"excluded.{population} {_COUNTED[survey.unit].format(face=face)}"
    )
    estimated = _OF_PHOTOS if survey.unit == "photos" else _ESTIMATED[survey.method]
    fit = (
        "The reported misfit is the total variation distance between the observed distribution of scores and the "
        "fitted one. Its p value is the share of bootstrap replicates whose deviation from the observed misfit is at "
        "least as large as the misfit itself."
    )
    meaning = (
        "*Women* and *men* denote faces that people would call female or male. The estimates say nothing about the "
        f"gender identity of the people shown, and faces that were not detected are not included.{_found(rates)}"
    )
    return [data, f"{_errors(survey)} {estimated}", f"{_intervals(survey)} {fit}", meaning]


def _found(rates: ErrorRates) -> str:
    """How often faces of either gender were found where the error rates are from."""
    if not (found := rates.found()):
        return ""
    shares = "; ".join(
        f"in {100 * women:.1f} % of the photos of women and {100 * men:.1f} % of those of men ({name})"
        for name, women, men in found
    )
    return (
        f" Where the error rates are from, the face was detected {shares}. If these shares differ in the collection, "
        "the share among detected faces is not that among the people shown."
    )


def _errors(survey: Survey) -> str:
    """Where the error rates are from."""
    rates = survey.rates
    women, men = round(rates.female.sum()), round(rates.male.sum())
    bins = f"{len(rates.scores) - 1} bins of the score and {counted(len(rates.qualities) - 1, 'bin')} of face quality"
    if rates.sets:
        names = list(dict.fromkeys(some.name for some in rates.sets))
        versions = list(dict.fromkeys(some.version for some in rates.sets))
        # Each photo is there once a version; in some of them no face was found.
        women, men = (
            sum(max(int(getattr(some, word).sum()) for some in rates.sets if some.name == name) for name in names)
            for word in ("female", "male")
        )
        return (
            f"The classifier's errors were estimated from photos of {women:,} women's and {men:,} men's faces in "
            f"{len(names)} labelled sets ({', '.join(names)}), each photo in the versions {', '.join(versions)}: the "
            f"distribution of the score for either gender in {bins}."
        )
    if rates.totals is None:
        return (
            f"The classifier's errors were estimated from {women:,} faces of women and {men:,} faces of men "
            f"({rates.source}): the distribution of the score for either gender in {bins}."
        )
    if not survey.local:
        return (
            f"The classifier's errors were estimated from hand labels of other photos ({rates.source}): the share of "
            f"women among the labelled faces in {bins}, which together with the number of all faces in each bin gave "
            "the distribution of the score for either gender."
        )
    of_groups = ""
    if survey.groups:
        own = ", ".join(survey.own)
        of_groups = (
            f" Groups with at least {OWN} labelled faces have error rates of their own labels "
            f"({own or 'none here'}); the others have those of the whole collection."
        )
    agreed = ""
    if survey.agreement is not None:
        kappa = "" if survey.agreement.kappa is None else f" (Cohen's kappa {survey.agreement.kappa:.2f}; Cohen 1960)"
        agreed = (
            f" Of {survey.agreement.faces:,} faces labelled by two people, {100 * survey.agreement.share:.1f} % "
            f"received the same label{kappa}, weighted like the faces that they stand for; faces with different labels "
            "were treated as unlabelled."
        )
    return (
        f"{survey.everyone.labelled:,} faces of the collection were labelled by hand ({rates.source}). "
        f"The share of women among the labelled faces was determined in {bins}, with sampling weights (Kish 1965)"
        f"{'' if survey.cluster is None else ' and the design effect of the clusters of photos described below'}; "
        "together with the number of all faces in each bin it gives the distribution of the score for either "
        f"gender.{of_groups}{agreed}"
    )


def _intervals(survey: Survey) -> str:
    everyone = survey.everyone
    if everyone.no_interval:
        return (
            f"No confidence intervals are given, because the number of {survey.resampled} is too small to estimate "
            f"their variation.{_clusters(survey)}"
        )
    effects = (
        " Differences between collections were modelled as random effects: the distribution of the score of either "
        "gender in a set is that of all sets, tilted exponentially in the logit of the score. The covariance of the "
        "two tilts between sets, and between versions of a set, was estimated by the method of moments (DerSimonian "
        "and Laird 1986), and the tilts of this collection were drawn from t distributions (Higgins et al. 2009), "
        "weighted by a power likelihood of its scores (Bissiri et al. 2016)."
    )
    drawn = (
        "the error rates are drawn from the Dirichlet distribution given the labelled faces (Rubin 1981)"
        if survey.rates.totals is None
        else "the share of women in each bin is drawn from the beta distribution given its labelled faces"
    )
    begin = (
        f"{100 * survey.level:g} % intervals refer to {everyone.interval}. They are percentile intervals from "
        f"{survey.replicates:,} bootstrap replicates (Efron and Tibshirani 1993; seed {survey.seed})."
    )
    assumed = ""
    if not survey.local:
        same = " The intervals assume that the classifier errs in this collection as it does in those labelled faces."
        assumed = effects if survey.rates.sets else same
    if survey.target == "these":
        known = f" The {everyone.labelled:,} labelled faces count as known." if everyone.labelled else ""
        return (
            f"{begin}{known} In each replicate {drawn}, and the genders of the {'other ' if known else ''}faces are "
            "imputed from their posterior probabilities (Rubin 1987). With every face labelled the interval is a "
            f"point.{assumed}"
        )
    return (
        f"{begin} In each replicate whole {survey.resampled} are resampled with replacement, and {drawn}. Where it is "
        "wider, the interval with about one more observation of either gender is reported (Agresti and Coull 1998)."
        f"{_clusters(survey)}{assumed}"
    )


def _clusters(survey: Survey) -> str:
    """What is drawn as a whole, where it is not single photos or videos."""
    everyone, kind = survey.everyone, survey.kind
    if survey.cluster is None:
        return ""
    single = ""
    if survey.without_cluster:
        are = "is a cluster of its own" if survey.without_cluster == 1 else "are each a cluster of their own"
        single = f" {counted(survey.without_cluster, kind.removesuffix('s'))} without a value there {are}."
    effect = ""
    if everyone.design_effect is not None:
        effect = (
            f" The design effect is {everyone.design_effect:.1f}: so many times as large is the sampling variance of "
            f"the share of women as that of single {kind} (Kish 1965)."
        )
    return (
        f" A cluster is all {kind} with the same value in the column *{survey.cluster}*, which need not be independent "
        f"of each other. There are {everyone.clusters:,} clusters; the largest has "
        f"{100 * (everyone.largest_cluster or 0):.1f} % {_OF[survey.unit].format(face=_FACE[kind])}.{single}{effect}"
    )
