"""What scores are worth that know nothing of the recording before them: the floor that a model must leave.

The scores of a trial are given to other recordings of the same site, or of the same fold where no sites are named or
too few recordings share one. What they are still worth comes from what models say of every recording alike, such as
how common a species is, or of a site. A trial that is worth no more has not been shown to hear anything, and what tells
it from another may be noise.

Notations
    T      LWLRAP of the trial
    T*     of its scores in another order, drawn within each site (fold)                           (draw,)
    N      trials of which it is the best
    p      of one trial: (1 + #{T* >= T}) / (1 + draws); where no draw is as good, 1 - Φ((T - mean T*) / sd T*) if that
           is less, by which the best of many can be told; of the best of N: 1 - (1 - p)^N (Šidák 1967,
           doi:10.2307/2283989), too large where trials are alike
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from rfcx_model import baseline
from rfcx_model.errors import InputError
from rfcx_model.metrics import Listed, OutOfFold, lwlrap
from study.scored import out_of_fold, read_ruler
from study.tables import number
from study.trials import Trial

DRAWS: Final = 199
LEVEL: Final = 0.05
ORDERS: Final = 10_000  # with fewer there is nothing to be told
LEAST: Final = 0.001  # what lies below is no better known
SEED: Final = 0


@dataclass(frozen=True)
class Floor:
    """LWLRAP of a trial, of its scores handed to others (mean), of random ones, and p for the best of `trials`."""

    lwlrap: float
    handed: float
    chance: float
    p_value: float
    trials: int = 1
    by: str = "fold"
    sites: bool = False  # they are named, but too few recordings share one

    @property
    def left(self) -> bool:
        """Whether the models have been shown to tell recordings apart."""
        return self.p_value < LEVEL

    def sentence(self, who: str) -> str:
        """What `who` is worth, beside what knows nothing."""
        best = f" for the best of {self.trials}" if self.trials > 1 else ""
        p = f"p = {self.p_value:.2g}" if self.p_value >= LEAST else f"p below {LEAST:g}"
        beside = (
            f"LWLRAP is {number(self.lwlrap)}; it would be {number(self.handed)} if each recording had the scores of "
            f"another one of its {self.by} ({p}{best}), and {number(self.chance)} with random scores"
        )
        if self.left and self.sites:
            return f"{who} tells recordings apart, or their sites alone, for too few share one: {beside}."
        if self.left:
            return f"{who} tells recordings apart: {beside}."
        return (
            f"{who} has not been shown to tell recordings apart: {beside}. Until that is shown, what trials differ by "
            "may be noise: train longer, at another learning rate, or with a smaller network. For few recordings start "
            "from a copy of `search_spaces/mixup.toml`."
        )


def floor(listed: Listed, said: OutOfFold, sites: NDArray[np.str_], trials: int = 1) -> Floor | None:
    """The floor under out-of-fold scores; None where too few recordings share a fold, or a score is NaN.

    Args:
        listed: TP and FP boxes
        said: scores of the same recordings
        sites: (recording,) "" where the data name none; a site lies within one fold
        trials: of so many it is the best
    """
    truth = listed.truth(len(said.folds)) & (said.folds >= 0)[:, None]
    rows = np.flatnonzero(truth.any(axis=1))
    named = not (sites[rows] == "").any()
    by_site = named and _orders(sites[rows]) >= math.log(ORDERS)
    together = np.unique(sites[rows] if by_site else said.folds[rows], return_inverse=True)[1]
    truth, scores = truth[rows], said.recording_scores[rows]
    if np.isnan(scores).any() or _orders(together) < math.log(ORDERS):
        return None
    generator = np.random.default_rng(SEED)
    own = lwlrap(truth, scores)
    handed = np.array([lwlrap(truth, scores[_within(together, generator)]) for _ in range(DRAWS)])
    one = _p_value(own, handed)
    best = -math.expm1(trials * math.log1p(-one)) if one < 1 else 1.0
    told = Floor(own, float(handed.mean()), baseline.chance(truth, generator), best, trials)
    return replace(told, by="site") if by_site else replace(told, sites=named)


def of_trial(folder: Path, trial: Trial | None, among: Sequence[Trial]) -> Floor | None:
    """The floor under a trial of a study, the best `among` its search's; None where scores are not on file whole."""
    said = out_of_fold(folder, trial) if trial is not None else None
    try:
        ruler = read_ruler(folder)
    except InputError:
        return None
    if said is None or len(said.folds) != len(ruler.ids):
        return None
    measured = sum(one.origin != "confirm" and bool(one.epochs) for one in among)
    return floor(ruler.listed, said, ruler.sites, max(measured, 1))


def _orders(groups: NDArray[Any]) -> float:
    """Logarithm of the number of orders in which the members of all groups can be put, each group's on its own."""
    return sum(math.lgamma(n + 1) for n in np.unique(groups, return_counts=True)[1].tolist())


def _p_value(own: float, handed: NDArray[np.float64]) -> float:
    """Of one trial. Draws tell no more than one in 200: where they tell so much, their spread tells how far it goes."""
    counted = (1 + int((handed >= own - 1e-12).sum())) / (1 + DRAWS)
    spread = float(handed.std(ddof=1))
    if counted > 1 / (1 + DRAWS) or spread <= 0:
        return counted
    return min(counted, float(norm.sf((own - handed.mean()) / spread)))


def _within(together: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """(recording,) places in another order, each group's among themselves."""
    order = np.empty(len(together), dtype=np.int64)
    for one in np.unique(together):
        mine = np.flatnonzero(together == one)
        order[mine] = generator.permutation(mine)
    return order
