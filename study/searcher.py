"""Optuna as a Ray searcher: rebuilt from the ledger at each start, told the truth about every trial.

The Optuna study lives in memory and can be thrown away. Each proposal is drawn by a fresh sampler seeded with
(study seed, trial number), so a rebuilt searcher proposes what the unbroken one would.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from ray.tune.search import Searcher

from study import objective
from study.early_stages import MOST_HELD, EarlyStages
from study.events import EndState
from study.sampler import sampler
from study.space import Params, Study, distribution, suggest
from study.trials import Origin, Trial

_NEVER_ASKED: Final = "confirm"


@dataclass(frozen=True)
class _Asked:
    origin: Origin
    proposal: dict[str, Any]


def _nothing_is_spent() -> bool:
    return False


class StudySearcher(Searcher):
    """Hands out trials: those a crash left unfinished, the baseline, points to try, then proposals.

    A proposal whose stage 1 another trial is training just now is held back while there are others.

    `spent` says whether the budget allows no further trial.

    Numbers are the ledger's. `limit` counts baseline and search trials, past ones among them; confirm trials are
    never counted and never told to Optuna.
    """

    def __init__(
        self, study: Study, trials: Sequence[Trial], limit: int, spent: Callable[[], bool] = _nothing_is_spent
    ) -> None:
        super().__init__()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = study
        self._limit = limit
        self._spent = spent
        self._points = study.points()
        self._optuna = optuna.create_study(directions=directions(study))
        self._open: dict[int, optuna.Trial] = {}
        self._facts: dict[int, _Asked] = {}
        self._numbers: dict[str, int] = {}
        self._unfinished: deque[Trial] = deque()
        self._early = EarlyStages(study)
        self._held: deque[dict[str, Any]] = deque()
        self._used = {trial.number for trial in trials}
        self._repeats = {trial.number for trial in trials if trial.origin == _NEVER_ASKED}
        self._next = 0
        for trial in sorted(trials, key=lambda trial: trial.number):
            if trial.origin != _NEVER_ASKED:
                self._rebuild(trial)

    def __getstate__(self) -> dict[str, Any]:
        """What Tune writes to a file that is never read back: all but the question that leads to open files."""
        return {**self.__dict__, "_spent": _nothing_is_spent}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # Ray's FINISHED is a str
        """The next trial: `{"trial", "attempt", "replicate", "params"}`, or FINISHED."""
        if self._unfinished:
            trial = self._unfinished.popleft()
            params = self._study.params_of(trial.config)
            return self._hand_out(trial_id, _config(trial.number, trial.attempt + 1, trial.replicate, params))
        if self._waits_for_baseline():
            return None
        if self._spent():
            return str(Searcher.FINISHED)
        free = next((one for one in self._held if not self._early.in_work(one["params"])), None)
        while free is None and not self._all_asked():
            proposed = self._propose()
            if not self._early.in_work(proposed["params"]):
                return self._hand_out(trial_id, proposed)
            self._held.append(proposed)
            if len(self._held) > MOST_HELD:
                break
        if not self._held:
            return str(Searcher.FINISHED)
        held = free or self._held[0]
        self._held.remove(held)
        return self._hand_out(trial_id, held)

    def _all_asked(self) -> bool:
        asked = len(self._facts)
        return asked >= self._limit or (self._study.search.sampler == "grid" and asked >= len(self._points))

    def _hand_out(self, trial_id: str, config: dict[str, Any]) -> dict[str, Any]:
        self._numbers[trial_id] = config["trial"]
        self._early.begun(config["trial"], config["params"])
        return config

    def _propose(self) -> dict[str, Any]:
        number = self._number()
        position = number - sum(one < number for one in self._repeats)  # also where a crash has left a gap
        replicate, point = self._points[position] if position < len(self._points) else (0, None)
        self._optuna.sampler = sampler(self._study, number, position - len(self._points))
        if point is not None:
            self._optuna.enqueue_trial(point)
        asked = self._optuna.ask()
        params = suggest(self._study, asked)
        self._open[number] = asked
        self._facts[number] = _Asked("search" if position else "baseline", self._proposal(point is not None))
        return _config(number, 1, replicate, params)

    def _number(self) -> int:
        """The smallest number that is free: one handed out before a crash but never started is taken again."""
        while self._next in self._used:
            self._next += 1
        self._used.add(self._next)
        return self._next

    def _waits_for_baseline(self) -> bool:
        """Whether the floor on LWLRAP is not known yet: trials ahead of the baseline would be measured without it."""
        objective_ = self._study.objective
        if objective_.rule != "floor" or objective_.floor is not None:
            return False
        return any(self._facts[number].origin == "baseline" for number in self._open)

    def _proposal(self, given: bool) -> dict[str, Any]:
        attributes = self._optuna.get_trials(deepcopy=False)[-1].system_attrs
        kept = {key: value for key, value in attributes.items() if key != "fixed_params"}
        return {"sampler": "given" if given else self._study.search.sampler, "attributes": kept}

    def proposal(self, number: int) -> dict[str, Any]:
        """What the sampler needs to go on after a restart: part of the started event."""
        return self._facts[number].proposal

    def origin(self, number: int) -> Origin:
        """Whether this is the baseline or a trial of the search."""
        return self._facts[number].origin

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """One epoch's score. Ray does not call this for the epoch at which the scheduler stops a trial."""
        number = self._numbers[trial_id]
        self._early.reported(number, result)
        self._report(number, result)

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Take the last epoch's score. What became of the trial is known to the driver alone: see `tell`."""
        del error
        number = self._numbers.pop(trial_id, None)
        if number is not None:
            self._early.over(number)
            if result:
                self._report(number, result)

    def _report(self, number: int, result: Mapping[str, Any]) -> None:
        trial, score, step = self._open.get(number), result.get("score"), result.get("step")
        if trial is None or score is None or step is None or not math.isfinite(score) or self._pareto:
            return
        if step not in _frozen(self._optuna, trial).intermediate_values:
            trial.report(float(score), int(step))

    def tell(
        self, number: int, state: EndState, score: float | None, metrics: Mapping[str, float] | None = None
    ) -> EndState:
        """Tell Optuna how a trial ended, and return its true state: COMPLETE without a finite score is FAILED.

        `metrics` of the last epoch are needed for the rule "pareto" alone. STOPPED is told as FAIL: nobody knows
        what the trial would have reached.
        """
        trial = self._open.pop(number)
        if state == "COMPLETE":
            values = _values(self._study, score, metrics or {})
            if values is not None:
                self._optuna.tell(trial, values)
                return "COMPLETE"
            state = "FAILED"
        self._optuna.tell(trial, state=TrialState.PRUNED if state == "PRUNED" else TrialState.FAIL)
        return state

    def trials(self) -> list[FrozenTrial]:
        """Optuna's own view, in the order of the ledger's numbers."""
        return list(self._optuna.trials)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the truth, and Ray's files are never read back."""

    def restore(self, checkpoint_path: str) -> None:
        """Refused: a searcher is rebuilt from the ledger."""
        raise RuntimeError(f"{checkpoint_path} is not read back; build the searcher from the ledger")

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Accept what Tune says: score and direction are the study's own."""
        del metric, mode, config, spec
        return True

    @property
    def _pareto(self) -> bool:
        return self._study.objective.rule == "pareto"

    def _rebuild(self, trial: Trial) -> None:
        self._facts[trial.number] = _Asked(trial.origin, dict(trial.proposal))
        frozen = frozen_trial(self._study, trial)
        self._optuna.add_trial(frozen)
        if frozen.state == TrialState.RUNNING:
            added = self._optuna.get_trials(deepcopy=False)[-1]
            self._open[trial.number] = optuna.Trial(self._optuna, added._trial_id)
            self._unfinished.append(trial)


def _config(number: int, attempt: int, replicate: int, params: Params) -> dict[str, Any]:
    return {"trial": number, "attempt": attempt, "replicate": replicate, "params": params}


def directions(study: Study) -> list[StudyDirection]:
    """What Optuna is to make larger: the score, or LWLRAP and precision each."""
    return [StudyDirection.MAXIMIZE] * (2 if study.objective.rule == "pareto" else 1)


def _values(study: Study, score: float | None, metrics: Mapping[str, float]) -> list[float] | None:
    """What Optuna is told of a COMPLETE trial; None when it is not finite."""
    if score is None or not math.isfinite(score):
        return None
    if study.objective.rule != "pareto":
        return [score]
    try:
        return list(objective.values(study.objective, metrics))
    except objective.ScoreError:
        return None


def _frozen(asked: optuna.Study, trial: optuna.Trial) -> FrozenTrial:
    return asked.get_trials(deepcopy=False)[trial.number]


def frozen_trial(study: Study, trial: Trial) -> FrozenTrial:
    """A ledger trial as Optuna would hold it had it never been forgotten. RUNNING and STOPPED ones are open again."""
    scores = {epoch.step: epoch.metrics.get("score", math.nan) for epoch in trial.epochs}
    scores = {step: score for step, score in scores.items() if math.isfinite(score)}
    if study.objective.rule == "pareto":
        scores = {}
    state, values = TrialState.FAIL, None
    if trial.state == "COMPLETE":
        values = _values(study, trial.score, trial.metrics)
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
    elif trial.state == "PRUNED":
        state, values = TrialState.PRUNED, [scores[max(scores)]] if scores else None
    elif trial.state in ("RUNNING", "STOPPED"):
        state = TrialState.RUNNING
    params = study.params_of(trial.config)
    domains = {knob.name: distribution(knob) for knob in study.knobs if knob.name in params}
    return create_trial(
        state=state,
        values=values,
        params=params,
        distributions=domains,
        intermediate_values=scores,
        system_attrs=dict(trial.proposal.get("attributes", {})),
    )
