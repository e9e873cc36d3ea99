"""What scores are worth that know nothing of the recording before them: the floor that a model must leave.

The scores of a trial are handed to other recordings of the same fold. What they are still worth comes from what the
models say of every recording alike, such as how common a species is. A trial that is worth no more has not been shown
to hear anything, and what tells it from another trial is noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from rfcx_model.errors import InputError
from rfcx_model.metrics import Listed, OutOfFold, lwlrap
from study.scored import out_of_fold, read_ruler
from study.tables import number
from study.trials import Trial

DRAWS: Final = 199
LEVEL: Final = 0.05
SEED: Final = 0


@dataclass(frozen=True)
class Floor:
    """LWLRAP of a trial, the mean of its scores handed to others, that of random ones, and a permutation test's p."""

    lwlrap: float
    handed: float
    chance: float
    p_value: float

    @property
    def left(self) -> bool:
        """Whether the models have been shown to tell recordings apart."""
        return self.p_value < LEVEL

    def sentence(self, who: str) -> str:
        """What `who` is worth, beside what knows nothing."""
        beside = (
            f"handed to other recordings of their folds the same scores have {number(self.handed)} "
            f"(p = {self.p_value:.2g}), and random ones {number(self.chance)}"
        )
        if self.left:
            return f"{who} tells recordings apart: LWLRAP is {number(self.lwlrap)}; {beside}."
        return (
            f"{who} has not been shown to tell recordings apart: LWLRAP is {number(self.lwlrap)}; {beside}. Before "
            "models learn nothing can be compared, for they differ by noise: train longer, at another learning rate, "
            "or with a smaller network. For few recordings start from a copy of `search_spaces/mixup.toml`."
        )


def floor(listed: Listed, said: OutOfFold) -> Floor | None:
    """The floor under out-of-fold scores; None where no fold has two recordings that list a species, or one is NaN."""
    truth = listed.truth(len(said.folds)) & (said.folds >= 0)[:, None]
    rows = np.flatnonzero(truth.any(axis=1))
    folds, truth, scores = said.folds[rows], truth[rows], said.recording_scores[rows]
    if np.isnan(scores).any() or not len(rows) or np.unique(folds, return_counts=True)[1].max() < 2:
        return None
    generator = np.random.default_rng(SEED)
    own = lwlrap(truth, scores)
    handed, chance = np.empty(DRAWS), np.empty(DRAWS)
    for draw in range(DRAWS):
        handed[draw] = lwlrap(truth, scores[_within(folds, generator)])
        chance[draw] = lwlrap(truth, generator.random(truth.shape))
    as_good = int((handed >= own - 1e-12).sum())
    return Floor(own, float(handed.mean()), float(chance.mean()), (1 + as_good) / (1 + DRAWS))


def of_trial(folder: Path, trial: Trial | None) -> Floor | None:
    """The floor under a trial of a study; None where its scores are not on file."""
    said = out_of_fold(folder, trial) if trial is not None else None
    try:
        ruler = read_ruler(folder)
    except InputError:
        return None
    if said is None or len(said.folds) != len(ruler.ids):
        return None
    return floor(ruler.listed, said)


def _within(folds: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(recording,) places in another order, each fold's among themselves."""
    order = np.empty(len(folds), dtype=np.int64)
    for fold in np.unique(folds):
        mine = np.flatnonzero(folds == fold)
        order[mine] = generator.permutation(mine)
    return order
