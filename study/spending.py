"""How much of α each look at unfinished replicates may spend, so that all looks together spend no more.

Notations
    t       replicates seen, of those declared; 1 at the final look                                    0..1
    α       0.05, two-sided, of all looks together
    α(t)    spent up to t: 4 − 4Φ(z(1 − α/4)/√t), O'Brien and Fleming's kind (Lan & DeMets 1983, Biometrika 70)
    c       bound on |Z| at a look: crossing it there for the first time has probability α(t) − α(t before)
    level   two-sided p-value of c: a look's p-value is judged by it, and its interval is that of 1 − level

Z at two looks has correlation √(t₁/t₂), since a look holds all replicates of the one before. Where new recordings are
asked about, looks share their recordings too and agree more than that, so that less is spent than is said.
The probabilities are sums over the density of Z√t (Armitage, McPherson & Rowe 1969).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

ALPHA: Final = 0.05
TOO_EARLY: Final = 1e-6  # a level that no difference will meet: such a look tells nothing, whatever it shows
_NODES: Final = 201  # of the density between two bounds
_FAR: Final = 12.0  # a bound beyond which nothing is ever seen

Floats = NDArray[np.float64]


def spent(fraction: float) -> float:
    """α(t): what may be spent up to a look; all of it from t = 1 on, nothing at 0."""
    if fraction <= 0:
        return 0.0
    return float(4 * norm.sf(norm.isf(ALPHA / 4) / math.sqrt(min(fraction, 1.0))))


def level(earlier: Sequence[tuple[float, float]], fraction: float) -> float:
    """The level of the next look.

    Args:
        earlier: (t, level) of each look before, t rising
        fraction: t of this look, above those
    """
    new = spent(fraction) - total(earlier)
    if new <= 0:
        return 0.0
    density = _inside(earlier)
    if _crossing(density, fraction, _FAR) >= new:
        return float(2 * norm.sf(_FAR))
    bound = float(brentq(lambda c: _crossing(density, fraction, c) - new, 0.0, _FAR, xtol=1e-10))
    return float(2 * norm.sf(bound))


def total(looks: Sequence[tuple[float, float]]) -> float:
    """How often some look of several finds what is not there.

    Args:
        looks: (replicates seen, level) of each, the first rising; their unit does not matter
    """
    missed = _inside(looks)
    return 0.0 if missed is None else 1 - float(missed[2] @ missed[1])


Density = tuple[Floats, Floats, Floats, float]
"""Nodes of Z√t inside the bounds of all looks so far, their weights, the density there, and t."""


def _inside(looks: Sequence[tuple[float, float]]) -> Density | None:
    density: Density | None = None
    for t, at in looks:
        edge = min(float(norm.isf(at / 2)), _FAR) * math.sqrt(t)
        nodes, weights = (edge * part for part in _gauss())
        density = nodes, weights, _at(density, nodes, t), t
    return density


@cache
def _gauss() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def _at(before: Density | None, nodes: Floats, t: float) -> Floats:
    """The density of Z√t at these nodes of all that has not crossed before."""
    if before is None:
        return np.asarray(norm.pdf(nodes, scale=math.sqrt(t)), dtype=np.float64)
    came, weights, density, then = before
    step = norm.pdf(nodes[:, None] - came, scale=math.sqrt(t - then))
    return np.asarray(step @ (weights * density), dtype=np.float64)


def _crossing(before: Density | None, t: float, bound: float) -> float:
    """The probability that |Z| >= bound at t and no bound was crossed before."""
    edge = bound * math.sqrt(t)
    if before is None:
        return float(2 * norm.sf(bound))
    came, weights, density, then = before
    scale = math.sqrt(t - then)
    beyond = norm.sf((edge - came) / scale) + norm.cdf((-edge - came) / scale)
    return float(beyond @ (weights * density))
