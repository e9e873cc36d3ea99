"""Studies without training: the real searcher and scheduler, on trials whose scores are made up.

Notations
    value       noiseless score of a setting, in units of the surface's spread; 0 at best
    noise       standard deviation of a trial's own deviation, in the same units; of each of its epochs, a third of it
    score       value + deviation − what the curve still lacks + the epoch's deviation; the last epoch lacks nothing
    regret      0 − value of the setting that the study would export: the highest last score among COMPLETE trials
    slots       trials that run at once, each as fast as its own pace; time is simulated
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from unittest.mock import patch

import numpy as np
from numpy.random import Generator, default_rng
from ray.tune.schedulers import TrialScheduler
from sampler_surfaces import KINDS, Floats, Surface, draw

from study import sampler as sampler_module
from study.events import EndState
from study.scheduler import StudyScheduler
from study.searcher import StudySearcher
from study.space import Study

_EPOCH_NOISE: Final = 1 / 3  # of the trial's. Assumption
_BEHIND: Final = 3.0  # spreads that a curve lacks at its start. Assumption
_COUNTS: Final = {"tpe": "RANDOM_FIRST", "gp": "RANDOM_FIRST", "nsga2": "POPULATION"}
"""What a figure after a sampler's name changes in `study.sampler`, which offers no such knob: `tpe:20`."""


@dataclass(frozen=True)
class Setting:
    """One study to play: which sampler, and what it meets."""

    space: str
    scheduler: Literal["asha", "none"]
    slots: int
    noise: float
    kind: str
    repetition: int
    sampler: str


@dataclass(frozen=True)
class Row:
    """What a study of `trials` trials came to."""

    trials: int
    regret: float
    complete: int
    epochs: int
    proposal_ms: float  # of one processor core, mean


@dataclass
class _Played:
    """A trial: its scores are drawn when it starts, and told one by one."""

    name: str  # by which Tune would call it
    value: float
    scores: Floats
    pace: float
    proposal_s: float
    step: int = 0
    state: EndState | None = None


def measure(study: Study, setting: Setting, budgets: Sequence[int]) -> list[Row]:
    """Play one study of the largest budget; a smaller one is its first trials."""
    sampler, _, count = setting.sampler.partition(":")
    search = replace(
        study.search,
        sampler=sampler,  # type: ignore[arg-type]  # pydantic refuses another word
        scheduler=setting.scheduler,
        seed=setting.repetition,
    )
    surface = draw(setting.kind, study.knobs, default_rng([0, setting.repetition, list(KINDS).index(setting.kind)]))
    with patch.dict(vars(sampler_module), {_COUNTS[sampler]: int(count)} if count else {}):
        trials = _play(replace(study, search=search), surface, setting, max(budgets))
    return [_row(trials[:budget]) for budget in budgets]


def _play(study: Study, surface: Surface, setting: Setting, limit: int) -> list[_Played]:
    """The trials by number."""
    searcher, planned = StudySearcher(study, [], limit), study.epoch_range()[1]
    scheduler = StudyScheduler(study.search, planned)
    trials: dict[int, _Played] = {}
    running: list[tuple[float, int]] = []  # when the next epoch ends, and whose
    now = 0.0
    while True:
        while len(running) < setting.slots:
            name, begun = f"ray{len(trials)}", time.process_time()
            config = searcher.suggest(name)
            if not isinstance(config, dict):
                break
            number, spent = config["trial"], time.process_time() - begun
            # A repetition's n-th trial has the same luck whatever the sampler, so that samplers pair.
            luck = default_rng([1, setting.repetition, number])
            value = surface.value(config["params"])
            scores = _curve(value, study.planned_epochs(config["params"]), setting.noise, luck)
            trials[number] = _Played(name, value, scores, luck.lognormal(0.0, 0.25), spent)
            heapq.heappush(running, (now + trials[number].pace, number))
        if not running:
            return [trials[number] for number in sorted(trials)]
        now, number = heapq.heappop(running)
        _epoch(searcher, scheduler, number, trials[number])
        if trials[number].state is None:
            heapq.heappush(running, (now + trials[number].pace, number))


def _curve(value: float, planned: int, noise: float, luck: Generator) -> Floats:
    """Scores of all epochs. Some curves are steeper than others and cross them."""
    deviation = luck.normal()
    left = 1 - np.arange(1, planned + 1) / planned
    lacking = _BEHIND * left ** luck.lognormal(math.log(2), 0.5)
    return np.asarray(value - lacking + noise * (deviation + _EPOCH_NOISE * luck.normal(size=planned)))


def _epoch(searcher: StudySearcher, scheduler: StudyScheduler, number: int, trial: _Played) -> None:
    """One more epoch, told in the order in which Tune and the callback of `study.tune_events` tell it."""
    trial.step += 1
    score, planned = float(trial.scores[trial.step - 1]), len(trial.scores)
    result: dict[str, Any] = {"trial": number, "step": trial.step, "score": score, "planned": planned}
    result |= {"stage": 3, "epoch": trial.step}
    decision = scheduler.on_trial_result(None, None, result)  # type: ignore[arg-type]  # asks neither
    if decision == TrialScheduler.STOP:
        trial.state = "PRUNED"
    elif trial.step == planned:
        trial.state = "COMPLETE"
    else:
        searcher.on_trial_result(trial.name, result)
        return
    searcher.on_trial_complete(trial.name, result)
    searcher.tell(number, trial.state, score)


def _row(trials: Sequence[_Played]) -> Row:
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    return Row(
        trials=len(trials),
        regret=-max(complete, key=lambda trial: trial.scores[-1]).value,
        complete=len(complete),
        epochs=sum(trial.step for trial in trials),
        proposal_ms=1000 * float(np.mean([trial.proposal_s for trial in trials])),
    )
