"""What pruning saved, and whether anything good was pruned: stopped trials against the finally best, rung by rung.

A rung is the number of measured epochs after which trials were stopped. There the score of a stopped trial is held
against what the trials that ended best had scored after as many epochs. What a stopped trial would have become is
not known; whether it lay behind is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from study.trials import Trial

Ranked = TypeVar("Ranked")
FEWEST_BEST: Final = 3
MOST_BEST: Final = 10
FEWEST_TO_CORRELATE: Final = 5


@dataclass(frozen=True)
class Rung:
    """Trials stopped after `step` measured epochs, and what the others had scored by then.

    `best` are the scores of the finally best; `as_good` are the stopped trials at or above the lowest of those.
    `agreement` is Spearman's correlation of the score here with the final one, among finished trials.
    """

    step: int
    stopped: Mapping[int, float]  # trial → score
    unscored: int  # stopped here without a finite score
    best: tuple[float, ...]
    finished: int
    agreement: float | None

    @property
    def as_good(self) -> tuple[int, ...]:
        """Stopped trials that scored no less than the lowest of the finally best, the highest first."""
        if not self.best:
            return ()
        level = min(self.best)
        good = [trial for trial, score in self.stopped.items() if score >= level]
        return tuple(sorted(good, key=lambda trial: -self.stopped[trial]))


@dataclass(frozen=True)
class Pruning:
    """Savings are counted in epochs of all folds against a finished trial's; None when none has finished."""

    pruned: int
    trials: int
    full_epochs: int | None
    epochs_saved: int | None
    saved_s: float | None
    best: tuple[int, ...]  # the finally best trials, best first
    rungs: tuple[Rung, ...]

    @property
    def best_at_pruning(self) -> float | None:
        """The highest score at which a trial was stopped."""
        return max((score for rung in self.rungs for score in rung.stopped.values()), default=None)


def pruning(trials: Sequence[Trial], ranked: Sequence[int], leaky: frozenset[int] = frozenset()) -> Pruning:
    """Facts of the search's trials.

    Args:
        trials: of the search
        ranked: numbers of the finished trials, best first
        leaky: numbers of trials whose scores are not compared
    """
    by_number = {trial.number: trial for trial in trials}
    finished = [by_number[one] for one in ranked]
    pruned = [trial for trial in trials if trial.state == "PRUNED"]
    full = max((sum(trial.spans) for trial in finished), default=None)
    saved = None if full is None else sum(max(0, full - sum(trial.spans)) for trial in pruned)
    epoch_s = _epoch_s(finished)
    best = tuple(finally_best(ranked))
    at = {trial.number: _by_step(trial) for trial in finished}
    fair = [trial for trial in pruned if trial.number not in leaky]
    return Pruning(
        pruned=len(pruned),
        trials=len(trials),
        full_epochs=full,
        epochs_saved=saved,
        saved_s=None if saved is None or epoch_s is None else saved * epoch_s,
        best=best,
        rungs=tuple(_rung(step, fair, ranked, best, at) for step in sorted({trial.step for trial in fair})),
    )


def finally_best(ranked: Sequence[Ranked]) -> Sequence[Ranked]:
    """The tenth that ended best, three at least and ten at most."""
    return ranked[: min(MOST_BEST, max(FEWEST_BEST, len(ranked) // 10))]


def _rung(
    step: int,
    pruned: Sequence[Trial],
    ranked: Sequence[int],
    best: Sequence[int],
    at: Mapping[int, Mapping[int, float]],
) -> Rung:
    here = [trial for trial in pruned if trial.step == step]
    stopped = {trial.number: score for trial in here if (score := _by_step(trial).get(step)) is not None}
    known = [one for one in ranked if step in at[one]]
    return Rung(
        step=step,
        stopped=stopped,
        unscored=len(here) - len(stopped),
        best=tuple(at[one][step] for one in best if step in at[one]),
        finished=len(known),
        agreement=_spearman([at[one][step] for one in known], [-float(place) for place in range(len(known))]),
    )


def _by_step(trial: Trial) -> dict[int, float]:
    """The finite scores of a trial by measured epoch."""
    told = {record.step: record.metrics.get("score") for record in trial.epochs}
    return {step: float(score) for step, score in told.items() if score is not None and math.isfinite(score)}


def _epoch_s(trials: Sequence[Trial]) -> float | None:
    """Median seconds that an epoch of all folds took, where epochs were trained and not reused."""
    taken = [
        record.metrics["seconds"] / span
        for trial in trials
        for record, span in zip(trial.epochs, trial.spans, strict=True)
        if not record.reused and span > 0 and math.isfinite(record.metrics.get("seconds", math.nan))
    ]
    return statistics.median(taken) if taken else None


def _spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    if len(x) < FEWEST_TO_CORRELATE or len(set(x)) == 1:
        return None
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
