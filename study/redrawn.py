"""Every trial's figures once more from its out-of-fold scores: as the recordings stand, and for each draw of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rfcx_model.metrics import OutOfFold
from study.compare import draws, effective_groups
from study.facts import finite
from study.matched import Setting
from study.reweighted import average_precisions, mixture
from study.scored import Ruler, out_of_fold
from study.trials import Trial

DRAWS: Final = 1000
_SEED: Final = 0  # of the draws, so that the same study is told the same

Floats = NDArray[np.float64]
Parts = Mapping[str, Mapping[str, float]]
"""Figures by name, each a sum of the ruler's with these parts."""


@dataclass(frozen=True)
class Redrawn:
    """One trial's figures: (1 + draw,), the first as the recordings stand, and AP (1 + draw, species)."""

    figures: Mapping[str, Floats]
    precisions: Floats
    folds: Mapping[str, Floats]  # (fold,)


@dataclass(frozen=True)
class Scores:
    """Every finished trial's figures, or why it has none, with the effective numbers of groups that are drawn."""

    trials: Mapping[int, Redrawn | str]
    groups: float
    groups_of: tuple[float, ...]  # (species,) of those that list it

    def of(self, setting: Setting, replicate: int, figure: str) -> Redrawn | str:
        """A setting's figures in a replicate, or why there are none."""
        trial = setting.trials.get(replicate)
        if trial is None:
            return "not yet tried"
        if trial.state != "COMPLETE":
            return trial.state.lower()
        made = self.trials[trial.number]
        return "the figure is not known" if not isinstance(made, str) and np.isnan(made.figures[figure][0]) else made


def redraw(folder: Path, ruler: Ruler, settings: Sequence[Setting], figures: Parts) -> Scores:
    """The figures of all finished trials of these settings."""
    trials = {trial.number: trial for one in settings for trial in one.trials.values() if trial.state == "COMPLETE"}
    said = {number: _said(folder, trial, ruler) for number, trial in trials.items()}
    scored = np.zeros(len(ruler.ids), dtype=bool)
    for one in said.values():
        scored |= False if isinstance(one, str) else one.folds >= 0
    held = scored & np.isin(np.arange(len(scored)), ruler.listed.recording)
    weights = np.ones((1 + DRAWS, len(scored)))
    truth = ruler.listed.truth(len(scored))[held]
    if not held.any():
        return Scores(
            {number: one if isinstance(one, str) else "nothing is listed" for number, one in said.items()}, 0, ()
        )
    groups = np.unique(ruler.groups[held], return_inverse=True)[1]
    weights[1:, held] = draws(groups, DRAWS, np.random.default_rng(_SEED))
    return Scores(
        {
            number: one if isinstance(one, str) else _figures_of(ruler, one, figures, weights)
            for number, one in said.items()
        },
        effective_groups(np.bincount(groups, truth.sum(axis=1))),
        tuple(effective_groups(np.bincount(groups, column)) for column in truth.T),
    )


def _said(folder: Path, trial: Trial, ruler: Ruler) -> OutOfFold | str:
    """A trial's out-of-fold scores, or what is wrong with them."""
    said = out_of_fold(folder, trial)
    if said is None:
        return "its scores are not on file"
    sizes = len(said.folds), len(said.recording_scores), len(said.box_scores)
    if sizes != (len(ruler.ids), len(ruler.ids), len(ruler.listed.recording)):
        return "its scores are of other data"
    scored = said.folds >= 0
    if finite(trial.score) is None or np.isnan(said.recording_scores[scored]).any():
        return "a score is NaN"
    return "a score is NaN" if np.isnan(said.box_scores[scored[ruler.listed.recording]]).any() else said


def _figures_of(ruler: Ruler, said: OutOfFold, figures: Parts, weights: Floats) -> Redrawn:
    folds = np.unique(said.folds[said.folds >= 0])
    alone = (said.folds == folds[:, None]).astype(np.float64)
    return Redrawn(
        {name: mixture(parts, ruler.listed, said, weights) for name, parts in figures.items()},
        average_precisions(ruler.listed, said, weights),
        {name: mixture(parts, ruler.listed, said, alone) for name, parts in figures.items()},
    )
