"""Recordings into folds: whole recordings, whole sites, and as even in species as can be done.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, ECML PKDD) over groups: the label with the fewest
recordings left is dealt out first, each of its groups to the fold that lacks it most. A label is (species, TP or FP),
counted in recordings, so that TP and FP rows of one recording stay together. scikit-learn's StratifiedGroupKFold takes
one label a row and so cannot balance recordings that hold several.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from rfcx_model.errors import InputError

if TYPE_CHECKING:
    from rfcx_model.recordings import Recordings


def assign_folds(recordings: Recordings, n_folds: int, seed: int) -> np.ndarray:
    """The fold, 0 to n_folds - 1, of each training recording: int64 (recording,).

    Recordings of one site stay together where recordings.csv names sites. The same seed gives the same folds.

    Raises:
        InputError: fewer than two folds, or fewer recordings (sites) than folds.
    """
    groups, noun = _groups(recordings)
    n_groups = int(groups.max()) + 1
    if n_folds < 2:
        raise InputError(f"folds: at least 2 must be asked for, but got {n_folds}. Ask for 2 or more.")
    if n_groups < n_folds:
        got = f"{n_groups} {noun} for {n_folds} folds"
        raise InputError(f"{recordings.folder}: {noun} >= folds must hold, but got {got}. Ask for fewer folds.")
    return _deal(_counts(recordings, groups), n_folds, np.random.default_rng(seed))[groups]


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
    folds = np.full(len(counts), -1, dtype=np.int64)
    wanted = np.tile(counts.sum(axis=0) / n_folds, (n_folds, 1))
    left = counts.sum(axis=0)
    shuffled = generator.permutation(len(counts))
    while (folds < 0).any():
        label = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
        waiting = shuffled[(folds[shuffled] < 0) & (counts[shuffled, label] > 0)]
        for group in waiting[np.argsort(-counts[waiting, label], kind="stable")]:
            fold = _neediest(wanted, label, np.bincount(folds[folds >= 0], minlength=n_folds), len(counts), generator)
            folds[group] = fold
            wanted[fold] -= counts[group]
            left = left - counts[group]
    return folds


def _neediest(
    wanted: np.ndarray, label: int, sizes: np.ndarray, n_groups: int, generator: np.random.Generator
) -> np.intp:
    """The fold that lacks `label` most, then recordings most, then by lot; an empty one where groups run out."""
    empty = sizes == 0
    allowed = empty if n_groups - sizes.sum() <= empty.sum() else np.ones_like(empty)
    order = np.lexsort((generator.random(len(sizes)), -wanted[:, -1], -wanted[:, label], ~allowed))
    return order[0]
