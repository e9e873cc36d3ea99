"""Precision and recall of all windows from the few that were judged, with intervals. Maths only.

Notations
    cell   windows of one stratum that all score above the threshold τ, or all do not
    N      windows of a cell
    n      those judged: a simple random draw without replacement, as a stratum's draw is within each of its cells
    k      those in which the species is present
    T      N · k / n, the estimated number of windows with the species: each judged one weighs 1/π = N/n (Horvitz &
           Thompson 1952, doi:10.1080/01621459.1952.10483446); exact where n = N
    A, B   sum of T over the cells above τ, and over the others
    precision = A / Σ N above; present = (A + B) / Σ N
    recall = A / (A + B), a ratio of two estimates (Cochran 1977, Sampling Techniques, chapter 6)

Where the threshold is another than that of the draw, it cuts a stratum into two cells of known N; their n is as it fell
(post-stratification, Cochran 5A.9), and a cell of which nothing is judged leaves the estimate unknown.

The usual variance is 0 in a cell where k is 0 or n, and its interval a lie: of twenty windows without a call one learns
little about twenty thousand. Instead each cell has two confidence distributions of its number of windows with the
species, one for the lower limit and one for the upper:

    lower  k + Binomial(N − n, Beta(k, n − k + 1)), k itself where k = 0
    upper  k + Binomial(N − n, Beta(k + 1, n − k)), all the rest where k = n

whose tails are the exact hypergeometric ones, so that one cell gets the interval of Clopper & Pearson (1934) for a
finite population. Cells are combined by melding (Fay, Proschan & Brittain 2015, Biometrics 71:146): A's lower
distribution with B's upper one gives recall's lower limit, and the reverse its upper one. In all that
`tests/benchmarks/audit_coverage.py` tries, they cover at least as often as they say. Jeffreys' prior in each cell does
not: it takes a cell without a call for one with half a call, which in large cells outweighs all that was found.

What varies is the draw of windows. The intervals say nothing of other recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEVEL: Final = 0.95
DRAWS: Final = 10_000


@dataclass(frozen=True)
class Cell:
    """Windows of one stratum on one side of the threshold."""

    windows: int
    judged: int
    present: int  # of those judged
    above: bool

    @property
    def total(self) -> float | None:
        """Estimated number of windows with the species; None where there are windows and none is judged."""
        if self.windows == 0:
            return 0.0
        return self.windows * self.present / self.judged if self.judged else None


@dataclass(frozen=True)
class Estimate:
    """A share of windows, None where it is not known, and its 95 % interval."""

    value: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """How right a model is about a species, and in which share of windows the species is present."""

    precision: Estimate
    recall: Estimate
    present: Estimate


def quality(cells: Sequence[Cell], generator: np.random.Generator, draws: int = DRAWS) -> Quality:
    """Estimate all three from cells that hold every window once; `draws` are those of the intervals."""
    above, below = [c for c in cells if c.above], [c for c in cells if not c.above]
    hit, missed = _total(above), _total(below)
    called, windows = sum(c.windows for c in above), sum(c.windows for c in cells)
    both = None if hit is None or missed is None else hit + missed
    hit_low, hit_high = _limits(above, generator, draws)
    missed_low, missed_high = _limits(below, generator, draws)
    return Quality(
        precision=Estimate(_share(hit, called), *_interval(_over(hit_low, called, 0.0), _over(hit_high, called, 1.0))),
        recall=Estimate(
            _share(hit, both),
            *_interval(_over(hit_low, hit_low + missed_high, 0.0), _over(hit_high, hit_high + missed_low, 1.0)),
        ),
        present=Estimate(
            _share(both, windows),
            *_interval(_over(hit_low + missed_low, windows, 0.0), _over(hit_high + missed_high, windows, 1.0)),
        ),
    )


def _total(cells: Sequence[Cell]) -> float | None:
    totals = [cell.total for cell in cells]
    known = [total for total in totals if total is not None]
    return sum(known) if len(known) == len(totals) else None


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _limits(cells: Sequence[Cell], generator: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
    """(draw,) windows with the species in all cells, by the lower and by the upper confidence distributions."""
    low, high = np.zeros(draws), np.zeros(draws)
    for cell in cells:
        k, n, rest = cell.present, cell.judged, cell.windows - cell.judged
        low += k + (generator.binomial(rest, generator.beta(k, n - k + 1, draws)) if k else 0)
        high += k + (generator.binomial(rest, generator.beta(k + 1, n - k, draws)) if k < n else rest)
    return low, high


def _over(part: Floats, whole: Floats | int, otherwise: float) -> Floats:
    """(draw,) a ratio; `otherwise` where it is 0 / 0."""
    part, rows = np.broadcast_arrays(part, whole)
    out = np.full(part.shape, otherwise)
    np.divide(part, rows, out=out, where=rows > 0)
    return out


def _interval(low: Floats, high: Floats) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    return float(np.quantile(low, tail, method="lower")), float(np.quantile(high, 1 - tail, method="higher"))
