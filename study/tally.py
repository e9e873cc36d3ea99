"""How a study stands: trials by state, steps done, the best trial. Kept up change by change, never counted anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rfcx_model.hyperparameters import leaks
from study.trials import State, Trial


class Tally:
    """What the display tells after every event. `planned`: the most steps that a trial can have."""

    def __init__(self, trials: Iterable[Trial], planned: int) -> None:
        self.states: Counter[State] = Counter()
        self.steps = 0
        self.best: Trial | None = None
        self._planned = planned
        self._complete: dict[int, Trial] = {}
        for trial in trials:
            self.changed(None, trial)

    def changed(self, before: Trial | None, after: Trial) -> None:
        """A trial has begun (`before` is None), or one is no longer what it was."""
        self._count(after, 1)
        if before is not None:
            self._count(before, -1)
            if self._complete.pop(before.number, None) is not None and self.best is before:
                self.best = max(self._complete.values(), key=_rank, default=None)
        if after.state == "COMPLETE" and after.score is not None and not leaks(after.config):
            self._complete[after.number] = after
            self.best = after if self.best is None else max(self.best, after, key=_rank)

    def _count(self, trial: Trial, times: int) -> None:
        self.states[trial.state] += times
        self.steps += times * (trial.step if trial.state == "RUNNING" else self._planned)


def _rank(trial: Trial) -> tuple[float, int]:
    """Of equal scores the first trial's counts."""
    return trial.score or 0.0, -trial.number
