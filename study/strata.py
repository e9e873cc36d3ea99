"""Which windows of a species a person is to judge: strata by score, draws a stratum, the draw itself. Maths only.

Notations
    s     score of a window                                                      (window,)
    τ     threshold above which a model is said to hear the species
    h     stratum: `above` where s > τ; of the rest, `near` for the highest quarter by score, `far` for the others
    N_h   windows of a stratum
    n_h   windows drawn from it, without replacement and with equal chance: π = n_h / N_h

A boundary at τ makes precision a matter of one stratum. Recall needs calls that the model has missed: they are rare,
and each that is drawn in `far` stands for N_h / n_h windows, so as many draws go there as above τ. One, three and four
strata below τ were tried on made-up scores too: with more the intervals widen, as every stratum adds its own doubt.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
STRATA: Final = ("above", "near", "far")
SHARES: Final = (0.4, 0.2, 0.4)
NEAR: Final = 0.25  # of the windows at or below τ
LEAST: Final = 2  # draws of a stratum, where it has so many windows


def strata(scores: Floats, threshold: float) -> NDArray[np.int8]:
    """(window,) places in `STRATA`; of equal scores the earlier window counts as higher."""
    out = np.zeros(len(scores), dtype=np.int8)
    below = np.flatnonzero(scores <= threshold)
    order = below[np.argsort(-scores[below], kind="stable")]
    near = int(np.ceil(NEAR * len(order)))
    out[order[:near]], out[order[near:]] = 1, 2
    return out


def allocation(sizes: Indices, budget: int) -> Indices:
    """(stratum,) draws out of strata of these sizes: `LEAST` in each, the others so that they near `SHARES`.

    A stratum that is used up leaves its share to the others; a budget of all windows or more takes them all.
    """
    drawn = np.minimum(LEAST, sizes)
    while drawn.sum() < min(budget, sizes.sum()):
        wanting = np.where(drawn < sizes, (drawn + 1) / np.array(SHARES), np.inf)
        drawn[np.argmin(wanting)] += 1
    return drawn


def draw(stratum: NDArray[np.int8], budget: int, generator: np.random.Generator) -> Indices:
    """(drawn,) windows in random order, so that the first of them are a random draw from each stratum too."""
    sizes = np.bincount(stratum, minlength=len(STRATA))
    chosen = [
        generator.choice(np.flatnonzero(stratum == one), count, replace=False)
        for one, count in enumerate(allocation(sizes, budget))
    ]
    return generator.permutation(np.concatenate(chosen))
