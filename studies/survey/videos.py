"""Do the intervals of `facegender survey` hold for a few videos?

    python studies/survey/videos.py

Series of 5 to 30 videos are made. The share of women among the tracks of a video varies from video to video: little
(standard deviation of about 8 points), or much (about 29 points; many videos show almost only men, or only women).
Videos have 1 to about 100 tracks, and tracks are on screen for times whose logarithm is normal. Scores are drawn from
the histograms that ship with the network `research`, so the error rates hold. Coverage is the share of the
intervals printed that hold the share of screen time in the population of videos, width is in points of a per cent.
`beyond` is what the tool does. `these` is --target these, an interval for these videos alone, read here as if it were
for others. It is not, so it must be asked for.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from facegender import weights
from facegender.lab.study import study_parser, write_results
from facegender.survey.estimate import survey
from facegender.survey.outcome import TARGETS
from facegender.survey.rates import load_rates
from facegender.survey.results import Results

_VIDEOS = (5, 10, 15, 20, 30)
_PREVALENCES = (0.1, 0.3, 0.5)
#: Sum of the two parameters of the beta distribution of shares.
_SPREADS = {"little": 20.0, "much": 1.0}


def main() -> None:
    parser = study_parser(__doc__, "survey/videos.csv")
    parser.add_argument("--repetitions", type=int, default=100)
    arguments = parser.parse_args()
    rows = []
    for count in _VIDEOS:
        for spread in _SPREADS:
            for prevalence in _PREVALENCES:
                rows += simulate(count, spread, prevalence, arguments.repetitions)
    columns = ("videos", "spread", "prevalence", "target", "repetitions", "printed", "coverage", "width")
    write_results(arguments.output, rows, columns=columns)


def simulate(count: int, spread: str, prevalence: float, repetitions: int) -> list[dict[str, object]]:
    """One row a target."""
    rng = np.random.default_rng([2020, count, round(100 * prevalence), len(spread)])
    rates = load_rates(weights.weight_path("research").with_suffix(".errors.json"))
    female, male = rates.histograms()
    ends: dict[str, list[tuple[float, float]]] = {target: [] for target in TARGETS}
    for repetition in range(repetitions):
        share = rng.beta(_SPREADS[spread] * prevalence, _SPREADS[spread] * (1 - prevalence), count)
        video = np.repeat(np.arange(count), 1 + rng.negative_binomial(1.5, 1.5 / 26.5, count))
        woman = rng.random(len(video)) < share[video]
        bins = rng.integers(len(rates.qualities) - 1, size=len(video))
        places = np.cumsum(np.where(woman[:, None], female[bins], male[bins]), axis=1)
        cells = np.minimum((rng.random((len(video), 1)) > places).sum(axis=1), places.shape[1] - 1)
        tracks = pd.DataFrame(
            {
                "photo": video,
                "face": np.arange(len(video)),
                "quality": np.asarray(rates.qualities)[bins],
                "p_male": rates.middles[cells],
                "label": "uncertain",
                "seconds": rng.lognormal(1.5, 1.0, len(video)),
            }
        )
        videos = pd.DataFrame({"path": [f"{i}.mp4" for i in range(count)], "weight": 1.0, "error_kind": None})
        for target in TARGETS:
            found = survey(
                Results("videos", videos, tracks, []), rates, replicates=100, seed=repetition, target=target
            ).everyone
            if found.women_low is not None:
                ends[target].append((found.women_low, found.women_high))
    rows: list[dict[str, object]] = []
    for target, some in ends.items():
        row: dict[str, object] = {"videos": count, "spread": spread, "prevalence": prevalence, "target": target}
        row |= {"repetitions": repetitions, "printed": len(some)}
        if some:
            low, high = np.array(some).T
            row["coverage"] = round(float(((low <= prevalence) & (prevalence <= high)).mean()), 3)
            row["width"] = round(float(100 * (high - low).mean()), 1)
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
