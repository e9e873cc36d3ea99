"""How sure a figure of one set of out-of-fold scores is, as far as that depends on which recordings there are.

A figure is computed again with the recordings drawn with replacement, whole sites where the data name them; its
interval is the middle 95 % of the draws. It covers neither another partition nor another training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rfcx_model.metrics import Listed, OutOfFold
from study.compare import draws
from study.reweighted import reweighted
from study.tables import number

DRAWS: Final = 1000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure as the recordings stand, and the middle 95 % of its draws; None where it cannot be computed."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def span(self) -> str:
        """`0.31 to 0.42`, to four decimals."""
        return "–" if self.low is None or self.high is None else f"{number(self.low)} to {number(self.high)}"


def weights(listed: Listed, said: OutOfFold, groups: NDArray[np.int64]) -> Floats:
    """(1 + draw, recording) how often each recording counts: first as they stand, then drawn again.

    Args:
        listed: TP and FP boxes
        said: out-of-fold scores of the same recordings
        groups: (recording,) what is drawn together
    """
    scored = said.folds >= 0
    held = scored & np.isin(np.arange(len(scored)), listed.recording)
    found = np.zeros((1 + DRAWS, len(scored)))
    found[0] = 1.0
    if held.any():
        together = np.unique(groups[held], return_inverse=True)[1]
        found[1:, held] = draws(together, DRAWS, np.random.default_rng(0))
    return found


def interval(drawn: Floats) -> Interval:
    """(1 + draw,) to a figure and its interval; draws in which nothing counts are left out."""
    value, again = float(drawn[0]), drawn[1:][np.isfinite(drawn[1:])]
    if not np.isfinite(value) or not len(again):
        return Interval(value if np.isfinite(value) else None, None, None)
    low, high = np.quantile(again, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def of_figure(name: str, listed: Listed, said: OutOfFold, drawn: Floats) -> Interval:
    """A figure of the ledger, by name."""
    return interval(reweighted(name, listed, said, drawn))
