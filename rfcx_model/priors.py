"""Class priors on top of a model: what is common is ranked higher, by as much as pays out of fold.

Notations
    p       probability of a recording × species                                     (recording, species)
    n       recordings in which a species is listed                                  (species,)
    q       prior: log((n + 1) / (mean of n + 1)), or the same of the model's own mean probability; mean 0  (species,)
    w       weight of the prior, at least 0

    p'      σ(σ⁻¹(p) + w · q)

A model that learns from crops around calls has heard all species about equally often; the forest has not. Adding the
log-prior to the logit is the correction for such a shift (Saerens et al. 2002, doi:10.1162/089976602753284446); here
its weight is fitted, since the listed counts are not those of the forest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from rfcx_model.metrics import lwlrap

Floats = NDArray[np.float64]
Source = Literal["listed", "heard"]
WEIGHTS: Final = tuple(round(0.05 * step, 2) for step in range(41))
"""The weights that are tried, 0 to 2."""

_LEAST: Final = 1e-6  # probabilities are kept this far from 0 and 1


@dataclass(frozen=True)
class Priors:
    """What `apply` needs, and what it is worth.

    `plain` and `cross_fitted` are out-of-fold LWLRAP without priors, and with priors that were fitted on the other
    folds each time: their difference is what may be promised.
    """

    source: Source
    weight: float
    log_prior: tuple[float, ...]  # (species,)
    plain: float
    cross_fitted: float

    @property
    def gain(self) -> float:
        """Out-of-fold LWLRAP that they add; may be negative."""
        return self.cross_fitted - self.plain


def fit(truth: ArrayLike, probabilities: ArrayLike, folds: ArrayLike) -> Priors:
    """The prior and the weight with the highest out-of-fold LWLRAP on listed labels; of equals the smaller weight.

    Where priors that were fitted on the other folds do not raise it, the weight is 0: then they change nothing.

    Args:
        truth: (recording, species) 0 or 1, what is listed
        probabilities: (recording, species) out of fold
        folds: (recording,) recordings of a negative fold are left out

    Raises:
        ValueError: fewer than two folds, or nothing is listed in one of them.
    """
    fold = np.asarray(folds)
    scored = fold >= 0
    y, p, fold = (
        np.asarray(truth, dtype=bool)[scored],
        np.asarray(probabilities, dtype=np.float64)[scored],
        fold[scored],
    )
    names = np.unique(fold)
    if len(names) < 2 or not all(y[fold == one].any() for one in names):
        raise ValueError("priors need two folds or more, each with a listed species")
    moved = p.copy()
    for one in names:
        others = fold != one
        source, weight = _best(y[others], p[others])
        moved[~others] = _moved(p[~others], weight, log_prior(source, y[others], p[others]))
    source, weight = _best(y, p)
    told, plain, cross_fitted = tuple(log_prior(source, y, p).tolist()), lwlrap(y, p), lwlrap(y, moved)
    return Priors(source, weight if cross_fitted > plain else 0.0, told, plain, cross_fitted)


def apply(priors: Priors, probabilities: ArrayLike) -> Floats:
    """Probabilities (recording, species) with the priors; a weight of 0 gives them back as they are."""
    return _moved(np.asarray(probabilities, dtype=np.float64), priors.weight, np.array(priors.log_prior))


def log_prior(source: Source, truth: NDArray[np.bool_], probabilities: Floats) -> Floats:
    """(species,) with mean 0: of the recordings that list a species, or of what the model says on the whole."""
    commonness = truth.sum(axis=0) + 1.0 if source == "listed" else probabilities.mean(axis=0) + _LEAST
    told = np.log(commonness)
    return np.asarray(told - told.mean())


def _best(truth: NDArray[np.bool_], probabilities: Floats) -> tuple[Source, float]:
    """The source and the weight; ties go to the smaller weight, and to "listed"."""
    best: tuple[Source, float] = ("listed", 0.0)
    most = lwlrap(truth, probabilities)
    sources: tuple[Source, ...] = ("listed", "heard")
    for weight in WEIGHTS[1:]:
        for source in sources:
            found = lwlrap(truth, _moved(probabilities, weight, log_prior(source, truth, probabilities)))
            if found > most:
                best, most = (source, weight), found
    return best


def _moved(probabilities: Floats, weight: float, prior: Floats) -> Floats:
    if weight == 0:
        return probabilities
    return np.asarray(expit(logit(np.clip(probabilities, _LEAST, 1 - _LEAST)) + weight * prior))
