"""The ruler where recordings count more than once, or not at all: what a bootstrap over recordings needs.

Notations
    w   how often a recording counts                              (draw, recording), whole or not, >= 0
    all figures as in rfcx_model.metrics, of which they are the same to rounding where every w is 1; whole w are
    recordings repeated, and a species whose boxes all have w = 0 is left out, as one without boxes is
    AP  average precision of recordings by one species' score, over recordings that list some species, as LWLRAP has it

LWLRAP, precision and recall are ratios of sums over recordings, so all draws are a product of matrices. `precision_avg`
and AP are cumulative sums over scores in order; `tpfp_auc` counts pairs by the product of their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rfcx_model import metrics
from rfcx_model.metrics import THRESHOLD, Listed, OutOfFold

Floats = NDArray[np.float64]


def reweighted(figure: str, listed: Listed, said: OutOfFold, weights: Floats) -> Floats:
    """(draw,) a figure of `FIGURES` under each row of weights; NaN where nothing counts.

    Args:
        figure: its name in the ledger
        listed: TP and FP boxes
        said: scores of the same recordings and boxes; recordings of fold −1 are left out
        weights: (draw, recording)

    Raises:
        ValueError: a score is NaN.
    """
    scored = said.folds >= 0
    boxes = scored[listed.recording]
    kept = replace(
        listed,
        recording=listed.recording[boxes],
        species=listed.species[boxes],
        template=listed.template[boxes],
        positive=listed.positive[boxes],
    )
    said = replace(said, box_scores=said.box_scores[boxes].astype(np.float64))
    if np.isnan(said.box_scores).any() or np.isnan(said.recording_scores[scored]).any():
        raise ValueError("a score is NaN")
    return FIGURES[figure](kept, said, weights)


def mixture(parts: Mapping[str, float], listed: Listed, said: OutOfFold, weights: Floats) -> Floats:
    """(draw,) the sum of figures, each times its part, as an objective of the rule "weighted" has it."""
    return sum((part * reweighted(name, listed, said, weights) for name, part in parts.items()), np.zeros(len(weights)))


def average_precisions(listed: Listed, said: OutOfFold, weights: Floats) -> Floats:
    """(draw, species) average precision of recordings; NaN for a species without a listed recording that counts."""
    truth = listed.truth(len(said.folds)) & (said.folds >= 0)[:, None]
    rows = truth.any(axis=1)
    columns = [
        _average_precision(truth[rows, one], said.recording_scores[rows, one].astype(np.float64), weights[:, rows])
        for one in range(listed.n_species)
    ]
    return np.stack(columns, axis=1)


def lwlrap(listed: Listed, said: OutOfFold, weights: Floats) -> Floats:
    """(draw,) of the listed recordings."""
    truth, scores = listed.truth(len(said.folds)), said.recording_scores
    count = truth.sum(axis=1).astype(np.float64)
    gain = np.zeros(len(count))
    for one in np.flatnonzero(count):
        gain[one] = count[one] * metrics.lwlrap(truth[one : one + 1], scores[one : one + 1])
    return _ratio(weights @ gain, weights @ count)


def precision(listed: Listed, said: OutOfFold, weights: Floats) -> Floats:
    """(draw,) at 0.5 with equal priors, macro over species."""
    true, false = _rates(listed, said, weights, listed.positive), _rates(listed, said, weights, ~listed.positive)
    called = true + false  # NaN where a species lacks TP or FP
    return _macro(np.where(called == 0, 0.0, _ratio(true, called)))


def recall(listed: Listed, said: OutOfFold, weights: Floats) -> Floats:
    """(draw,) at 0.5, macro over species."""
    return _macro(_rates(listed, said, weights, listed.positive))


def precision_avg(listed: Listed, said: OutOfFold, weights: Floats) -> Floats:
    """(draw,) average precision of boxes, priors equalised, macro over species."""
    each = []
    for one in np.unique(listed.species):
        mine = listed.species == one
        y, w = listed.positive[mine], weights[:, listed.recording[mine]]
        tp, fp = w[:, y].sum(axis=1, keepdims=True), w[:, ~y].sum(axis=1, keepdims=True)
        value = _average_precision(y, said.box_scores[mine], np.where(y, _ratio(w, tp), _ratio(w, fp)))
        each.append(np.where(fp > 0, value[:, None], np.nan))  # without TP it is NaN already
    return _macro(np.concatenate(each, axis=1)) if each else np.full(len(weights), np.nan)


def tpfp_auc(listed: Listed, said: OutOfFold, weights: Floats) -> Floats:
    """(draw,) P(TP above FP) + ½ P(tie) within fold × template, pooled by species, then macro over species."""
    groups = said.folds[listed.recording] * (listed.template.max(initial=0) + 1) + listed.template
    wins, pairs = np.zeros((2, len(weights), listed.n_species))
    for group in np.unique(groups):
        mine = groups == group
        s, w, y = said.box_scores[mine], weights[:, listed.recording[mine]], listed.positive[mine]
        fps = np.argsort(s[~y], kind="stable")
        below = np.concatenate([np.zeros((len(w), 1)), np.cumsum(w[:, ~y][:, fps], axis=1)], axis=1)
        left, right = (np.searchsorted(s[~y][fps], s[y], side) for side in ("left", "right"))
        species = listed.species[mine][0]
        wins[:, species] += (w[:, y] * (below[:, left] + below[:, right])).sum(axis=1) / 2
        pairs[:, species] += w[:, y].sum(axis=1) * below[:, -1]
    return _macro(_ratio(wins, pairs))


FIGURES: Final[dict[str, Callable[[Listed, OutOfFold, Floats], Floats]]] = {
    "lwlrap": lwlrap,
    "precision": precision,
    "precision_avg": precision_avg,
    "tpfp_auc": tpfp_auc,
    "recall": recall,
}


def _rates(listed: Listed, said: OutOfFold, weights: Floats, among: NDArray[np.bool_]) -> Floats:
    """(draw, species) the share of these boxes that is called at 0.5; NaN where none counts."""
    there, called = np.zeros((2, weights.shape[1], listed.n_species))
    places = listed.recording[among], listed.species[among]
    np.add.at(there, places, 1.0)
    np.add.at(called, places, said.box_scores[among] > THRESHOLD)
    return _ratio(weights @ called, weights @ there)


def _average_precision(y: NDArray[np.bool_], s: Floats, weights: Floats) -> Floats:
    """(draw,) Σ (recall step) × precision over distinct scores from the top; NaN where no positive counts."""
    if not y.any():
        return np.full(len(weights), np.nan)
    order = np.argsort(-s, kind="stable")
    y, s, weights = y[order], s[order], weights[:, order]
    ends = np.flatnonzero(np.diff(s, append=np.nan) != 0)
    true, called = np.cumsum(weights * y, axis=1)[:, ends], np.cumsum(weights, axis=1)[:, ends]
    gained = np.diff(true, prepend=0.0, axis=1) * np.where(called > 0, _ratio(true, called), 0.0)
    return _ratio(gained.sum(axis=1), true[:, -1])


def _ratio(above: Floats, below: Floats) -> Floats:
    """NaN where `below` is 0 or NaN; `above` has the shape of both."""
    out = np.full(above.shape, np.nan)
    np.divide(above, below, out=out, where=below > 0)
    return out


def _macro(each: Floats) -> Floats:
    """(draw, species) → (draw,): the mean over species that have a figure."""
    known = ~np.isnan(each)
    return _ratio(np.where(known, each, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))
