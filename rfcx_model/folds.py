"""Recordings into folds: whole recordings, whole sites, and as even in species as can be done.

Groups are dealt like cards and then moved, one at a time and always by the best move, until no move evens out the
labels any more; the best of a few deals is kept. A label is (species, TP or FP), counted in recordings, so that TP and
FP rows of one recording stay together. scikit-learn's StratifiedGroupKFold takes one label a row and so cannot balance
recordings that hold several; iterative stratification (Sechidis and others 2011, ECML PKDD), tried first, left twice
the unevenness on 72 real recordings.

A lockbox is dealt first, in the same way: recordings that are kept from a search, neither trained on nor scored.

Notations
    c   recordings of a group with a label                  (group, label)
    n   recordings with a label, over all groups            (label,)
    k   recordings with a label in a fold                   (fold, label)
    unevenness = sum over folds and labels of (k - n / folds)² / n, so that rare labels weigh as much as common ones
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from rfcx_model.errors import InputError

if TYPE_CHECKING:
    from rfcx_model.recordings import Recordings

LOCKED = -1
"""The fold of recordings in the lockbox."""

_DEALS = 4
_LEAST_GAIN = 1e-9
_MOVES_A_GROUP = 20


def assign_folds(recordings: Recordings, n_folds: int, seed: int, locked: np.ndarray | None = None) -> np.ndarray:
    """The fold, 0 to n_folds - 1, of each training recording: int64 (recording,).

    Recordings of one site stay together where recordings.csv names sites. The same seed gives the same folds. Those
    that are `locked` (recording,) have the fold LOCKED.

    Raises:
        InputError: fewer than two folds, or fewer recordings (sites) than folds.
    """
    groups, noun = _groups(recordings)
    counts = _counts(recordings, groups)
    free = np.ones(len(counts), dtype=bool)
    if locked is not None:
        free[groups[locked]] = False
    if n_folds < 2:
        raise InputError(f"folds: at least 2 must be asked for, but got {n_folds}. Ask for 2 or more.")
    if free.sum() < n_folds:
        got = f"{free.sum()} {noun} for {n_folds} folds"
        rest = "" if free.all() else f", {(~free).sum()} more are in the lockbox"
        raise InputError(f"{recordings.folder}: {noun} >= folds must hold, but got {got}{rest}. Ask for fewer folds.")
    of_group = np.full(len(counts), LOCKED, dtype=np.int64)
    of_group[free] = _deal(counts[free], n_folds, np.random.default_rng(seed))
    return np.asarray(of_group[groups])


def lockbox(recordings: Recordings, share: float, seed: int) -> np.ndarray:
    """Which training recordings are kept from a search: bool (recording,), about `share` of them; whole sites.

    Raises:
        InputError: there are too few recordings (sites) to keep some and leave two.
    """
    if share <= 0:
        return np.zeros(len(recordings.train), dtype=bool)
    groups, noun = _groups(recordings)
    parts, counts = round(1 / share), _counts(recordings, groups)
    if len(counts) < max(parts, 3):
        raise InputError(
            f"{recordings.folder}: a lockbox of {share:g} needs {max(parts, 3)} {noun} or more, but got {len(counts)}. "
            "Give [search] lockbox = 0, or more recordings."
        )
    return np.asarray((_deal(counts, parts, np.random.default_rng(seed)) == 0)[groups])


def folds_hash(recordings: Recordings, folds: np.ndarray) -> str:
    """SHA-256, in hex, of which recording is in which of `folds` (recording,)."""
    lines = zip(recordings.train["recording_id"], folds.tolist(), strict=True)
    return hashlib.sha256("".join(f"{name},{fold}\n" for name, fold in lines).encode()).hexdigest()


def _groups(recordings: Recordings) -> tuple[np.ndarray, str]:
    sites = recordings.train["site"]
    if (sites == "").all():
        return np.arange(len(sites)), "recordings"
    return np.unique(sites.to_numpy(dtype=str), return_inverse=True)[1], "sites"


def _counts(recordings: Recordings, groups: np.ndarray) -> np.ndarray:
    """Recordings of each group with each label: (group, 2 species + 1); the last counts all recordings."""
    n_species = len(recordings.species)
    present = np.zeros((len(groups), 2 * n_species + 1), dtype=np.int64)
    boxes = recordings.boxes
    present[boxes["recording"], boxes["species"] + n_species * ~boxes["positive"]] = 1
    present[:, -1] = 1
    counts = np.zeros((int(groups.max()) + 1, present.shape[1]), dtype=np.int64)
    np.add.at(counts, groups, present)
    return counts


def _deal(counts: np.ndarray, n_folds: int, generator: np.random.Generator) -> np.ndarray:
    """Deal groups, `counts` (group, label), into folds: (group,)."""
    labels = counts[:, counts.any(axis=0)]
    scaled = labels / np.sqrt(labels.sum(axis=0))  # the unevenness is now a plain sum of squares
    best, lowest = np.empty(0, dtype=np.int64), np.inf
    for _ in range(_DEALS):
        folds = generator.permutation(np.arange(len(counts)) % n_folds)
        in_fold = _level(scaled, folds, n_folds)
        if (unevenness := float(np.square(in_fold - in_fold.mean(axis=0)).sum())) < lowest:
            best, lowest = folds, unevenness
    return best


def _level(scaled: np.ndarray, folds: np.ndarray, n_folds: int) -> np.ndarray:
    """Move groups, `scaled` (group, label), between `folds` (group,), in place; what each fold holds then.

    No fold is emptied: where a group is all of its fold, the change is its overlap with the other, not below 0.

    Sums are einsum's, not a BLAS library's, whose threads may add in another order in another process.
    """
    everyone = np.arange(len(scaled))
    in_fold = np.zeros((n_folds, scaled.shape[1]))
    np.add.at(in_fold, folds, scaled)
    own = np.square(scaled).sum(axis=1, keepdims=True)
    overlap = np.einsum("gl,fl->gf", scaled, in_fold)
    for _ in range(_MOVES_A_GROUP * len(scaled)):  # a bound only: every move evens out, and few are needed
        change = overlap - overlap[everyone, folds][:, None] + own  # half the change of unevenness: (group, fold)
        group, fold = divmod(int(change.argmin()), n_folds)
        if change[group, fold] > -_LEAST_GAIN:
            break
        held = np.flatnonzero(scaled[group])  # few of all labels
        shared = np.einsum("gl,l->g", scaled[:, held], scaled[group, held])
        for one, sign in ((folds[group], -1.0), (fold, 1.0)):
            in_fold[one] += sign * scaled[group]
            overlap[:, one] += sign * shared
        folds[group] = fold
    return in_fold
