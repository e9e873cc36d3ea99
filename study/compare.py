"""Paired statistics between two arms: what their replicates say of these recordings, and of new ones. Maths only.

Notations
    D       figure of one arm less that of another, whole cross-validation, partition and seeds shared    (replicate,)
    D*      the same with recordings drawn anew with replacement, all arms and replicates alike    (draw, replicate)
    S       replicates
    G       recordings that are drawn, or sites where the data name them; their effective number
    s²      variance of D over replicates
    V_S     s²/S
    V_G     variance over draws of D*'s mean over replicates, times G/(G − 1)
    V_SG    what V_S and V_G both hold, since a recording's difference varies from replicate to replicate as well:
            mean over replicates of D*'s variance over draws, times G/(G − 1), less V_G, over S − 1; not below 0, and
            not above V_S or V_G
    (A)     of these recordings: error² V_S with S − 1 degrees of freedom, the paired t-test (Student 1908)
    (B)     of new recordings: error² V_S + (V_G − V_SG). Recordings and replicates are crossed random effects
            (Cornfield & Tukey 1956, doi:10.1214/aoms/1177728067); degrees of freedom as by Satterthwaite 1946,
            doi:10.2307/3002019, with V_S counted c-fold there
    c       1 + 12/(S − 1)². With c = 1, replicates that agree by chance pass for much knowledge: of studies without a
            difference up to 12 % found one with S = 2, and 8 % with S = 3. Chosen by simulation, not derived
    level   error that a two-sided test may make; the interval is that of 1 − level
    margin  a difference that nobody minds

(B) draws anew what is scored. Of models trained on other recordings it knows as much as other partitions tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm, t

Floats = NDArray[np.float64]
Word = Literal["better", "worse", "practically equal", "not known yet"]
POWER: Final = 0.8
MARGIN: Final = 0.005
_MIDDLES: Final = (np.arange(500) + 0.5) / 500
_MOST: Final = 1_000_000  # replicates; more are as good as none
_ROUNDING: Final = 1e-9  # of the largest difference: a spread below it is rounding


@dataclass(frozen=True)
class Evidence:
    """A mean difference, the square of its error, and the degrees of freedom with which that is known."""

    mean: float
    variance: float
    freedom: float

    @property
    def p_value(self) -> float | None:
        """Two-sided; None where nothing varies but the mean is not 0, so that a test has nothing to say."""
        if self.variance <= 0:
            return None if self.mean else 1.0
        return float(2 * t.sf(abs(self.mean) / math.sqrt(self.variance), self.freedom))

    def interval(self, level: float) -> tuple[float, float]:
        """The values that a test at this level does not exclude."""
        if self.variance <= 0:
            return self.mean, self.mean
        half = float(t.isf(level / 2, self.freedom)) * math.sqrt(self.variance)
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Spread:
    """Whence the error comes: variance of one replicate, variance by the recordings drawn, and how many are."""

    replicate: float
    recordings: float
    groups: float

    def evidence(self, mean: float, replicates: int, times: float = 1.0) -> Evidence:
        """(B) of a mean over so many replicates, on `times` as many recordings."""
        mine, drawn = self.replicate / replicates, self.recordings / times
        counted = mine * (1 + 12 / (replicates - 1) ** 2)
        doubt = counted**2 / (replicates - 1) + drawn**2 / (self.groups * times - 1)
        return Evidence(mean, mine + drawn, (counted + drawn) ** 2 / doubt if doubt > 0 else math.inf)


@dataclass(frozen=True)
class Plan:
    """How many replicates find an effect with 80 % power; `times` as many recordings where these are too few."""

    effect: float
    replicates: int
    times: int


def effective_groups(carried: ArrayLike) -> float:
    """(Σ c)²/Σ c² (Kish 1965), c what each group carries: a few sites with most of the calls are not taken for many."""
    c = np.asarray(carried, dtype=np.float64)
    return float(c.sum() ** 2 / (c**2).sum()) if c.any() else 0.0


def draws(groups: NDArray[np.int64], count: int, generator: np.random.Generator) -> Floats:
    """(draw, recording) how often each counts when its groups are drawn with replacement, as many as there are."""
    n = int(groups.max()) + 1
    return generator.multinomial(n, np.full(n, 1 / n), size=count)[:, groups].astype(np.float64)


def on_new(differences: ArrayLike, drawn: ArrayLike, groups: float) -> tuple[Evidence, Spread] | None:
    """(B) and whence its error comes; None for fewer than two replicates or hardly more than one group.

    Args:
        differences: (replicate,) D
        drawn: (draw, replicate) D*; draws without a figure are NaN and left out
        groups: G
    """
    d, again = np.asarray(differences, dtype=np.float64), np.asarray(drawn, dtype=np.float64)
    again = again[~np.isnan(again).any(axis=1)]
    n = len(d)
    if n < 2 or groups < 1.5 or len(again) < 2:
        return None
    unbiased = groups / (groups - 1)
    noise = (_ROUNDING * max(np.abs(d).max(), np.abs(again).max())) ** 2
    by_replicate = _above(float(d.var(ddof=1)), noise) / n
    by_group = _above(float(again.mean(axis=1).var(ddof=1)) * unbiased, noise)
    both = max(0.0, (float(again.var(axis=0, ddof=1).mean()) * unbiased - by_group) / (n - 1))
    both = min(both, by_replicate, by_group)
    spread = Spread(by_replicate * n, by_group - both, groups)
    return spread.evidence(float(d.mean()), n), spread


def over_folds(differences: ArrayLike) -> Evidence | None:
    """The corrected resampled t of one replicate: folds share most of what they train on.

    Error² (1/K + 1/(K − 1)) s² over K folds, K − 1 degrees of freedom (Nadeau & Bengio 2003,
    doi:10.1023/A:1024068626366); the correction is for random splits, and for folds an assumption.
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[~np.isnan(d)]
    if len(d) < 2:
        return None
    variance = _above(float(d.var(ddof=1)), (_ROUNDING * np.abs(d).max()) ** 2)
    return Evidence(float(d.mean()), (1 / len(d) + 1 / (len(d) - 1)) * variance, len(d) - 1)


def word(evidence: Evidence, p_value: float | None, level: float, interval: tuple[float, float], margin: float) -> Word:
    """The verdict: whether the second arm differs, lies within the margin, or neither can be said.

    Args:
        evidence: (B)
        p_value: its own, or Holm's of several
        level: what a p-value is judged by
        interval: of the difference, at this level or, of several, at their share of it
        margin: a difference of which nobody minds
    """
    low, high = interval
    if -margin <= low and high <= margin:
        return "practically equal"
    if p_value is not None and p_value < level:
        return "better" if evidence.mean > 0 else "worse"
    return "not known yet"


def together(evidence: Evidence, stands: bool, share: float) -> tuple[float, float]:
    """The interval of one of several differences, all of which hold at once, and agree with Holm.

    Each at its share of the level (Bonferroni); one that stands by Holm ends at 0 at the latest (Strassburger & Bretz
    2008, doi:10.1002/sim.3338).
    """
    low, high = evidence.interval(share)
    if not stands:
        return low, high
    return (max(low, 0.0), high) if evidence.mean > 0 else (low, min(high, 0.0))


def power(effect: float, evidence: Evidence, level: float) -> float:
    """How often a difference of `effect` is told from none, given such an error known with such freedom."""
    if evidence.variance <= 0:
        return 1.0 if effect else level
    freedom = min(evidence.freedom, 1e6)
    bound = float(t.isf(level / 2, freedom))
    known = np.sqrt(chi2.ppf(_MIDDLES, freedom) / freedom)  # the error as it is estimated, of the true one
    away = abs(effect) / math.sqrt(evidence.variance)
    return float((norm.cdf(away - bound * known) + norm.cdf(-away - bound * known)).mean())


def detectable(evidence: Evidence, level: float) -> float:
    """The smallest difference that is found with 80 % power."""
    if level <= 0:
        return math.inf
    low, high = 0.0, 1.0
    while power(high, Evidence(0.0, 1.0, evidence.freedom), level) < POWER:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        enough = power(middle, Evidence(0.0, 1.0, evidence.freedom), level) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high * math.sqrt(evidence.variance)


def recommended(effect: float, spread: Spread, level: float) -> Plan:
    """The fewest replicates that find `effect` with 80 % power, on these recordings if that can be.

    Where the recordings' part of the error alone is too large, no number of replicates is enough. Then so many times
    the recordings are asked for that the replicates are left half of the error² that may be.

    Args:
        effect: a difference, not 0
        spread: variances, from an earlier comparison or assumed
        level: of the test, its share of it where it is one of several
    """
    allowed = (effect / (norm.isf(level / 2) + norm.isf(1 - POWER))) ** 2
    times = 1
    if not _enough(effect, spread, _MOST, times, level):
        times = max(2, math.ceil(2 * spread.recordings / allowed))
        while not _enough(effect, spread, _MOST, times, level):
            times += 1
    low, high = 1, 2
    while not _enough(effect, spread, high, times, level):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _enough(effect, spread, middle, times, level) else (middle, high)
    return Plan(effect, high, times)


def _enough(effect: float, spread: Spread, replicates: int, times: int, level: float) -> bool:
    return power(effect, spread.evidence(effect, replicates, times), level) >= POWER


def _above(value: float, rounding: float) -> float:
    return value if value > rounding else 0.0
