"""Is a probability of 0.7 right seven times in ten? Boxes in bins of what the models say of them.

Notations
    p, y    what is said of a box, 0..1; whether an expert confirmed it               (box,)
    w       weight of a box: confirmed and refused ones of a species weigh 1/2 together, so that priors are equal
    bin     boxes with p in [k/n, (k+1)/n), the last one closed
    ECE     Σ_bin (Σw / total) · |mean p − share confirmed|, both weighted: expected calibration error (Naeini et al.
            2015, doi:10.1609/aaai.v29i1.9602; Guo et al. 2017, arXiv:1706.04599)

The priors of listed boxes are a matcher's and an expert's, not the forest's: this tells whether the models are over- or
underconfident between calls and what sounds like them, and nothing of how often a species sings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

BINS: Final = 10


@dataclass(frozen=True)
class Bin:
    """The boxes of a bin: how many, their mean p, the share that is confirmed and its 95 % interval (Wilson's)."""

    low: float
    high: float
    boxes: int
    said: float
    confirmed: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Calibration:
    """The bins that hold boxes, from low to high; `error` is the ECE, NaN without any box."""

    bins: tuple[Bin, ...]
    error: float


def calibration(positive: ArrayLike, scores: ArrayLike, species: ArrayLike, bins: int = BINS) -> Calibration:
    """Reliability of boxes; species without boxes of both kinds are left out.

    Args:
        positive: (box,) confirmed
        scores: (box,) 0..1
        species: (box,)
        bins: how many
    """
    y, p, s = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=np.float64), np.asarray(species)
    weight = balanced(y, s)
    used = weight > 0
    y, p, weight = y[used], p[used], weight[used]
    if not len(p):
        return Calibration((), float("nan"))
    place = np.minimum((p * bins).astype(int), bins - 1)
    found, error = [], 0.0
    for one in np.unique(place):
        mine = place == one
        total = weight[mine].sum()
        said, confirmed = (float((weight[mine] * values[mine]).sum() / total) for values in (p, y))
        effective = float(total**2 / np.square(weight[mine]).sum())
        interval = wilson(confirmed, effective)
        found.append(Bin(one / bins, (one + 1) / bins, int(mine.sum()), said, confirmed, interval))
        error += float(total / weight.sum()) * abs(said - confirmed)
    return Calibration(tuple(found), error)


def balanced(positive: NDArray[np.bool_], species: NDArray[np.int64]) -> NDArray[np.float64]:
    """(box,) weights: of each species that has both, confirmed and refused boxes sum to 1/2 each; others get 0."""
    weight = np.zeros(len(positive))
    for one in np.unique(species):
        mine = species == one
        kinds = (mine & positive, mine & ~positive)
        if all(kind.any() for kind in kinds):
            for kind in kinds:
                weight[kind] = 0.5 / kind.sum()
    return weight


def wilson(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a share of n, which need not be whole where boxes weigh differently (1927)."""
    z = float(norm.ppf((1 + level) / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return max(0.0, middle - half), min(1.0, middle + half)
