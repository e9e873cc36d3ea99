"""How a study stands: trials by state, steps done, the best trial. Kept up change by change, never counted anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from study.facts import is_ranked_in_search
from study.trials import State, Trial


class Tally:
    """What the display tells after every event. `planned`: the most steps that a trial can have.

    A trial that is complete stays so: only what is running or was stopped is ever begun again.
    """

    def __init__(self, trials: Iterable[Trial], planned: int) -> None:
        self.states: Counter[State] = Counter()
        self.steps = 0
        self.best: Trial | None = None
        self._planned = planned
        for trial in trials:
            self.changed(None, trial)

    def changed(self, before: Trial | None, after: Trial) -> None:
        """A trial has begun (`before` is None), or one is no longer what it was."""
        self._count(after, 1)
        if before is not None:
            self._count(before, -1)
        if is_ranked_in_search(after):
            self.best = after if self.best is None else max(self.best, after, key=_rank)

    def _count(self, trial: Trial, times: int) -> None:
        self.states[trial.state] += times
        self.steps += times * (trial.step if trial.state == "RUNNING" else self._planned)


def _rank(trial: Trial) -> tuple[float, int]:
    """Of equal scores the first trial's counts."""
    return trial.score or 0.0, -trial.number
