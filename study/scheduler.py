"""Which trials are worth another epoch: Ray's ASHA or median rule over whole-CV epochs, or none.

Ray's schedulers know trials by an id that a restart changes and forget why they stopped one. Here a trial is the
ledger's number, the epochs in the ledger are replayed at the start, and every pruning has its reason.

Results must hold `trial`, `step` (from 1, of the trial's own epochs) and `score`; `planned` (the steps of this very
trial) where it is not the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from study.space_settings import Search
from study.trials import BASELINE, Trial

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial as RayTrial

_ENOUGH: Final = 3  # other trials before the median rule judges; Ray's default


class _Numbered(str):
    """What Ray's rules need of a trial: a name that no restart changes. A string, since they look up thousands."""

    __slots__ = ()

    @property
    def trial_id(self) -> str:
        return self


class StudyScheduler(FIFOScheduler):
    """Runs trials in order and stops those that fall behind.

    `planned` is the largest number of steps a trial can have; its last step is the end, not a pruning.
    `pruned` says why, by trial number. `overdue` holds trials that the ledger calls RUNNING although the rule stopped
    them at their last epoch: the driver died between the two, and the next one has to write their end.
    """

    def __init__(
        self, search: Search, planned: int, trials: Sequence[Trial] = (), spared: Collection[int] = (BASELINE,)
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pruned: dict[int, str] = {}
        self.overdue: dict[int, str] = {}
        self._planned = planned
        self._spared = frozenset(spared)
        self._seen: dict[int, int] = {}
        self._rule = _rule(search, planned)
        self._replay(trials)

    def on_trial_result(self, tune_controller: TuneController, trial: RayTrial, result: Mapping[str, Any]) -> str:
        """STOP or CONTINUE; a result seen before, or one without a finite score, changes nothing."""
        del tune_controller, trial
        if not all(key in result for key in ("trial", "step", "score")):
            return str(TrialScheduler.CONTINUE)
        number = int(result["trial"])
        reason = self.judge(number, int(result["step"]), float(result["score"]))
        if not reason or number in self._spared or result["step"] >= result.get("planned", self._planned):
            return str(TrialScheduler.CONTINUE)
        self.pruned[number] = reason
        return str(TrialScheduler.STOP)

    def judge(self, number: int, step: int, score: float) -> str:
        """Record one epoch, once, and return why the rule would stop the trial there; empty when it would not."""
        if not self._counts(number, step, score):
            return ""
        judge = _judge_asha if isinstance(self._rule, ASHAScheduler) else _judge_median
        return judge(self._rule, _Numbered(number), step, score)

    def _counts(self, number: int, step: int, score: float) -> bool:
        """Whether this is news, and not the end."""
        if self._rule is None or step <= self._seen.get(number, 0) or not math.isfinite(score):
            return False
        self._seen[number] = step
        return step < self._planned

    def _replay(self, trials: Sequence[Trial]) -> None:
        """Epochs of the ledger in the order in which they were made; what was decided then stays decided.

        Only last epochs of running trials are judged again: to judge each would take time with the square of them.
        """
        epochs = [(epoch.time, trial.number, epoch) for trial in trials for epoch in trial.epochs]
        running = {trial.number: trial.step for trial in trials if trial.state == "RUNNING"}
        for _, number, epoch in sorted(epochs, key=lambda entry: entry[:2]):
            score = epoch.metrics.get("score", math.nan)
            if number in self._spared or running.get(number) != epoch.step:
                if self._counts(number, epoch.step, score):
                    _record(self._rule, _Numbered(number), epoch.step, score)
            elif reason := self.judge(number, epoch.step, score):
                self.overdue[number] = reason
        self.pruned = {trial.number: trial.reason for trial in trials if trial.state == "PRUNED"}

    def debug_string(self) -> str:
        """One line for Tune's own display."""
        return f"{len(self.pruned)} trials pruned"

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the truth, and Ray's files are never read back."""


def _rule(search: Search, planned: int) -> Any:
    """One of Ray's rules, or None. Any: they are asked here without a controller and without Ray's trials."""
    if search.scheduler == "none" or not search.rungs(planned):
        return None
    if search.scheduler == "median":
        return _Median(
            time_attr="step",
            metric="score",
            mode="max",
            grace_period=search.grace,
            min_samples_required=_ENOUGH,
            min_time_slice=math.inf,  # type: ignore[arg-type]  # else Ray pauses trials, and a paused one is lost
        )
    return ASHAScheduler(
        time_attr="step",
        metric="score",
        mode="max",
        max_t=planned,
        grace_period=search.grace,
        reduction_factor=search.factor,
    )


class _Median(MedianStoppingRule):
    """Ray's rule. It works out all others' means at each result; a mean up to a step that is past does not change."""

    @cached_property
    def _means(self) -> dict[tuple[_Numbered, int], float]:
        return {}

    def _running_mean(self, trial: Any, time: Any) -> Any:
        key = trial, time
        if key not in self._means:
            self._means[key] = float(super()._running_mean(trial, time))
        return self._means[key]


def _record(rule: Any, trial: _Numbered, step: int, score: float) -> None:
    """What a judgement leaves in Ray's rule, without one."""
    if not isinstance(rule, ASHAScheduler):
        rule._results[trial].append({"step": step, "score": score})
    elif (rung := _rung(rule, trial, step)) is not None:
        rung[trial] = score


def _rung(rule: Any, trial: _Numbered, step: int) -> dict[str, float] | None:
    """Scores at the rung that the trial has come to."""
    (bracket,) = rule._brackets
    return next((recorded for at, recorded in bracket._rungs if step >= at and trial not in recorded), None)


def _judge_asha(rule: Any, trial: _Numbered, step: int, score: float) -> str:
    (bracket,) = rule._brackets
    if trial not in rule._trial_info:
        rule.on_trial_add(None, trial)
    recorded = dict(_rung(rule, trial, step) or {})
    if rule.on_trial_result(None, trial, {"step": step, "score": score}) != TrialScheduler.STOP:
        return ""
    return (
        f"step {step}: score {score:.4g} is below the {bracket.cutoff(recorded):.4g} "
        f"that the best 1/{bracket.rf:g} of {len(recorded)} reached"
    )


def _judge_median(rule: Any, trial: _Numbered, step: int, score: float) -> str:
    if rule.on_trial_result(None, trial, {"step": step, "score": score}) != TrialScheduler.STOP:
        return ""
    rule._stopped_trials.discard(trial)  # it may be spared; Ray's rule asserts that a stopped one says no more
    others = [other for other in rule._trials_beyond_time(step) if other != trial]
    median = float(np.median([rule._running_mean(other, step) for other in others]))
    return (
        f"step {step}: best score {rule._best_result(trial):.4g} is below {median:.4g}, "
        f"the median of {len(others)} others' means so far"
    )
