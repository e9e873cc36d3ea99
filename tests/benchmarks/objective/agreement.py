"""How well a candidate's CV score agrees with the hidden truth, forest by forest. The maths only.

Notations
    c, r        a config; a replicate, 0 or 1
    t, s        truth (test LWLRAP) and a candidate's score         (config, replicate); without r: of the mean over r
    ρ(a, b)     Spearman's rank correlation over the configs of a forest
    R           reliability of a mean over both replicates, 2 q / (1 + q) by Spearman and Brown, where q is ρ between
                the two replicates, mean over forests, at least 0

    spearman    ρ(s, t)
    crossed     mean of ρ(s of one replicate, t of the other), both ways: luck that score and truth of the same nets
                share is left out of it
    ceiling     √(R of t · R of s): what ρ(s, t) could be expected to reach if the two ranked the configs alike but for
                the noise of their replicates; `ceiling of truth`, √(R of t), if the score had no noise at all. Noise
                that both share can lift `spearman` above it.
    top half    part of the best half by s that is in the best half by t
    regret      t of the best config by t less t of the best by s; the best by t is partly the luckiest, alike for all
    crossed regret  the same with both chosen by one replicate and judged by the other, mean of both ways; can be
                negative, and its mean is fair: no luck is rewarded
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from candidates import Candidate
from numpy.typing import NDArray
from rows import METRICS, Row
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Draws = NDArray[np.int64]  # (draw, forest)
DRAWS: Final = 10_000
LEVEL: Final = 0.95


@dataclass(frozen=True, eq=False)
class Measured:
    """A forest of which every config and replicate is there."""

    forest: int
    metrics: Mapping[str, Floats]  # (config, replicate)
    truth: Floats  # (config, replicate)
    chance: float

    def scores(self, candidate: Candidate) -> Floats:
        """A candidate's score of each replicate, (config, replicate)."""
        return np.stack([_scores(candidate, {n: m[:, r] for n, m in self.metrics.items()}) for r in (0, 1)], axis=1)

    def mean_scores(self, candidate: Candidate) -> Floats:
        """A candidate's score of the metrics' means over replicates, (config,)."""
        return _scores(candidate, {name: metric.mean(axis=1) for name, metric in self.metrics.items()})


@dataclass(frozen=True)
class Figures:
    """One candidate on one forest; see the module's text."""

    spearman: float
    crossed: float
    top_half: float
    regret: float
    crossed_regret: float
    score_repeats: float  # ρ between the replicates' scores
    truth_repeats: float  # ρ between the replicates' truths


def measured(rows: Sequence[Row], n_configs: int) -> list[Measured]:
    """The forests that are whole, by seed; of rows of one config and replicate the last counts."""
    found = []
    for forest in sorted({row.forest for row in rows}):
        own = {(row.config, row.replicate): row for row in rows if row.forest == forest}
        places = [[own.get((config, replicate)) for replicate in (0, 1)] for config in range(n_configs)]
        grid = [[row for row in pair if row is not None] for pair in places]
        if all(len(pair) == 2 for pair in grid):
            metrics = {name: np.array([[getattr(row, name) for row in pair] for pair in grid]) for name in METRICS}
            truth = np.array([[row.test_lwlrap for row in pair] for pair in grid])
            found.append(Measured(forest, metrics, truth, grid[0][0].chance))
    return found


def figures(forest: Measured, candidate: Candidate) -> Figures:
    """A candidate on a forest."""
    each, mean, truth = forest.scores(candidate), forest.mean_scores(candidate), forest.truth
    ways = ((0, 1), (1, 0))
    return Figures(
        spearman=spearman(mean, truth.mean(axis=1)),
        crossed=float(np.mean([spearman(each[:, one], truth[:, other]) for one, other in ways])),
        top_half=top_half(mean, truth.mean(axis=1)),
        regret=float(truth.mean(axis=1).max() - truth.mean(axis=1)[mean.argmax()]),
        crossed_regret=crossed_regret(truth, (int(each[:, 0].argmax()), int(each[:, 1].argmax()))),
        score_repeats=spearman(each[:, 0], each[:, 1]),
        truth_repeats=spearman(truth[:, 0], truth[:, 1]),
    )


def spearman(one: Floats, other: Floats) -> float:
    """Rank correlation, ties at their mean rank; 0 where one of them is constant, for it then ranks nothing."""
    a, b = rankdata(one), rankdata(other)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def top_half(score: Floats, truth: Floats) -> float:
    """Part of the best half by score that is in the best half by truth; of an odd number the smaller half."""
    half = len(score) // 2
    best, true = (set(np.argsort(-values, kind="stable")[:half].tolist()) for values in (score, truth))
    return len(best & true) / half


def crossed_regret(truth: Floats, chosen: tuple[int, int]) -> float:
    """Mean over both ways; `chosen` are the configs by the scores of replicate 0 and of replicate 1."""
    ways = ((0, 1), (1, 0))
    return float(np.mean([truth[truth[:, one].argmax(), other] - truth[chosen[one], other] for one, other in ways]))


def reliability(repeats: Floats) -> Floats:
    """R of ρ between replicates, (..., forest), over the last axis."""
    q = np.maximum(repeats.mean(axis=-1), 0.0)
    return np.asarray(2 * q / (1 + q))


def ceiling(truth_repeats: Floats, score_repeats: Floats | None = None) -> Floats:
    """√(R of t · R of s), over the last axis; without scores √(R of t)."""
    of_score = 1.0 if score_repeats is None else reliability(score_repeats)
    return np.sqrt(reliability(truth_repeats) * of_score)


def resamples(n_forests: int) -> Draws:
    """Forests drawn with replacement, the same for all that is compared."""
    return np.random.default_rng(0).integers(0, n_forests, (DRAWS, n_forests))


def interval(draws: Floats) -> tuple[float, float]:
    """The middle 95 % of a bootstrap's draws."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _scores(candidate: Candidate, metrics: Mapping[str, Floats]) -> Floats:
    """(config,), from metrics (config,); config 0 is the diary's default."""
    single = [
        {name: float(metric[config]) for name, metric in metrics.items()} for config in range(len(metrics["lwlrap"]))
    ]
    return np.array([candidate.score(one, single[0]) for one in single])
