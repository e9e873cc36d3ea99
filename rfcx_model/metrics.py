"""The ruler: every trial is measured by these functions on labels that no trial can change.

Notations
    s   score; only its order counts except at 0.5    (recording, species) or (box,)
    y   truth, 0 or 1                                 same shape
    TP  a box that an expert confirmed;  FP  a box that a template matcher proposed and the expert refused

Sources: LWLRAP, the competition's metric, is label-weighted label-ranking average precision (Howard et al. 2019,
DCASE 2019 task 2). Known bias on TP recordings: a species that is present but not listed counts as an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
THRESHOLD = 0.5
PAIRS = 16_384  # positive pairs looked at together: some megabytes


def lwlrap(truth: ArrayLike, scores: ArrayLike) -> float:
    """Label-weighted label-ranking average precision, ties counted against.

    rank(c) = #{j : s_j >= s_c}; hits are the positives among those; the mean of hits/rank over all positive
    (recording, species) pairs. Recordings without positives are dropped.

    Args:
        truth: (recording, species), 0 or 1
        scores: (recording, species)

    Returns:
        0..1, or NaN where nothing is positive.

    Raises:
        ValueError: a score is NaN, or the shapes differ.
    """
    y = np.asarray(truth, dtype=bool)
    s = np.asarray(scores, dtype=np.float64)
    if y.shape != s.shape or y.ndim != 2:
        raise ValueError(f"truth and scores must be of one shape (recording, species), but got {y.shape} and {s.shape}")
    _refuse_nan(s)
    rows, columns = np.nonzero(y)
    if not len(rows):
        return float("nan")
    shares = np.empty(len(rows))
    for start in range(0, len(rows), PAIRS):  # positives are few: to count is quicker than to sort
        block = slice(start, start + PAIRS)
        row = rows[block]
        above = s[row] >= s[row, columns[block]][:, None]
        shares[block] = np.count_nonzero(above & y[row], axis=1) / np.count_nonzero(above, axis=1)
    return float(shares.mean())


def balanced_precision(positive: ArrayLike, scores: ArrayLike, species: ArrayLike) -> tuple[float, float]:
    """Precision and recall of boxes at 0.5, TP and FP given equal priors, macro over species.

    Precision is TPR/(TPR+FPR), 0 where both are 0. A species without TP boxes or without FP boxes is left out
    (recall: without TP boxes).

    Args:
        positive: (box,) whether an expert confirmed it
        scores: (box,) probabilities
        species: (box,) species index
    """
    precisions, recalls = [], []
    for y, s in _by_species(positive, scores, species):
        if not y.any():
            continue
        recall = float((s[y] > THRESHOLD).mean())
        recalls.append(recall)
        if not y.all():
            false_alarms = float((s[~y] > THRESHOLD).mean())
            precisions.append(recall / (recall + false_alarms) if recall + false_alarms > 0 else 0.0)
    return _mean(precisions), _mean(recalls)


def balanced_average_precision(positive: ArrayLike, scores: ArrayLike, species: ArrayLike) -> float:
    """Average precision of boxes with TP and FP given equal priors, macro over species that have both."""
    values = []
    for y, s in _by_species(positive, scores, species):
        if y.any() and not y.all():
            weight = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum())
            values.append(_average_precision(y, s, weight))
    return _mean(values)


def grouped_auc(positive: ArrayLike, scores: ArrayLike, groups: ArrayLike, species: ArrayLike) -> float:
    """P(TP scores above FP) + ½ P(tie), over pairs within a group; pooled by species, then macro over species.

    Args:
        positive: (box,)
        scores: (box,)
        groups: (box,) fold × species × template, so that box length and band give nothing away
        species: (box,) species index; a group lies within one species

    Returns:
        0..1, or NaN where no group holds both a TP and an FP.
    """
    y, s, g, of = np.asarray(positive, bool), np.asarray(scores, float), np.asarray(groups), np.asarray(species)
    _refuse_nan(s)
    wins = np.zeros(int(of.max(initial=0)) + 1)
    pairs = np.zeros_like(wins)
    for group in np.unique(g):
        members = g == group
        tp, fp = s[members & y], np.sort(s[members & ~y])
        index = of[members][0]
        wins[index] += (np.searchsorted(fp, tp, "left") + np.searchsorted(fp, tp, "right")).sum() / 2
        pairs[index] += len(tp) * len(fp)
    return _mean(list(wins[pairs > 0] / pairs[pairs > 0]))


def _average_precision(y: NDArray[np.bool_], s: Floats, weight: Floats) -> float:
    """Σ (recall step) × precision over distinct scores from the top; scikit-learn's definition."""
    order = np.argsort(-s, kind="stable")
    y, s, weight = y[order], s[order], weight[order]
    ends = np.flatnonzero(np.diff(s, append=np.nan) != 0)
    true = np.cumsum(weight * y)[ends]
    return float((np.diff(true, prepend=0.0) / true[-1] * true / np.cumsum(weight)[ends]).sum())


def _refuse_nan(scores: Floats) -> None:
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")


def _by_species(
    positive: ArrayLike, scores: ArrayLike, species: ArrayLike
) -> list[tuple[NDArray[np.bool_], NDArray[np.float64]]]:
    y, s, index = np.asarray(positive, bool), np.asarray(scores, np.float64), np.asarray(species)
    _refuse_nan(s)
    return [(y[index == one], s[index == one]) for one in np.unique(index)]


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What the fold models say of recordings that they did not see."""

    recording_scores: NDArray[np.float32]  # (recording, species) probabilities
    box_scores: NDArray[np.float32]  # (box,) probability of the box's own species
    folds: NDArray[np.int64]  # (recording,) the fold whose model spoke; -1 where none did


@dataclass(frozen=True, eq=False)
class Listed:
    """The listed boxes as the ruler reads them."""

    recording: NDArray[np.int64]  # (box,)
    species: NDArray[np.int64]  # (box,)
    template: NDArray[np.int64]  # (box,) a template belongs to one species
    positive: NDArray[np.bool_]  # (box,)
    n_species: int

    def truth(self, n_recordings: int) -> NDArray[np.bool_]:
        """(recording, species): where at least one box was confirmed."""
        truth = np.zeros((n_recordings, self.n_species), dtype=bool)
        truth[self.recording[self.positive], self.species[self.positive]] = True
        return truth


def measure(listed: Listed, out_of_fold: OutOfFold, pseudo: NDArray[np.bool_] | None = None) -> dict[str, float]:
    """All forms of the score, by the names of the ledger.

    Args:
        listed: TP and FP boxes
        out_of_fold: scores of the same recordings and boxes; recordings of fold −1 are left out
        pseudo: (recording, species) pseudo-positives of the run itself, for the diary's moving ruler only
    """
    scored = out_of_fold.folds >= 0
    truth = listed.truth(len(scored)) & scored[:, None]
    boxes = scored[listed.recording]
    positive, species = listed.positive[boxes], listed.species[boxes]
    scores = out_of_fold.box_scores[boxes]
    folds = out_of_fold.folds[listed.recording[boxes]]
    groups = folds * (listed.template.max(initial=0) + 1) + listed.template[boxes]
    precision, recall = balanced_precision(positive, scores, species)
    moving = truth if pseudo is None else truth | (pseudo & scored[:, None])
    return {
        "lwlrap": lwlrap(truth, out_of_fold.recording_scores),
        "precision": precision,
        "precision_avg": balanced_average_precision(positive, scores, species),
        "tpfp_auc": grouped_auc(positive, scores, groups, species),
        "recall": recall,
        "diary_lwlrap": lwlrap(moving, out_of_fold.recording_scores),
        "diary_precision": _diary_precision(moving, out_of_fold.recording_scores),
    }


def _diary_precision(moving: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Of the (recording, species) pairs called at 0.5 in recordings with a listed species, how many are "true"."""
    rows = moving.any(axis=1)
    called = scores[rows] > THRESHOLD
    return float(moving[rows][called].mean()) if called.any() else 0.0
