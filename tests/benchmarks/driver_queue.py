"""A study's driver without Ray and without training: a queue of events stands in for Tune and for its workers.

Searcher, scheduler, recorder and the callbacks of `study.tune_events` are the real ones, called in Tune's order (which
tests/test_scheduler.py tells). Made up are the trials: how long their epochs take, and their scores.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import numpy as np
from ray.tune.schedulers import TrialScheduler

from study import objective, tune_events
from study.best_board import BestBoard
from study.budget import spent
from study.display import Display
from study.knob import Knob
from study.optuna_journal import OptunaJournal
from study.recorder import Mirror, Recorder
from study.scheduler import StudyScheduler
from study.searcher import StudySearcher
from study.space import Study
from study.trials import Ledger, read_trials

NOISE: Final = 0.02  # of a trial's scores; a third as much again from epoch to epoch
SPREAD: Final = 0.3  # of the logarithm of a trial's epoch duration; the median duration is 1


@dataclass
class Meter:
    """What the driver has taken since the meter was made, in CPU seconds of this process."""

    begun_s: float = field(default_factory=time.process_time)
    results: int = 0
    asked_s: list[float] = field(default_factory=list)  # for each new proposal

    def result_s(self) -> float:
        """What one result takes, with a result's share of all else but the asking for proposals."""
        return (time.process_time() - self.begun_s - sum(self.asked_s)) / max(1, self.results)


@dataclass
class SimulatedTrial:
    """What searcher, scheduler and callbacks see of one of Tune's trials, and what it will report."""

    trial_id: str
    config: dict[str, Any]
    planned: int
    level: float
    epoch_takes: float
    generator: np.random.Generator
    step: int = 0
    last_result: dict[str, Any] | None = None
    run_metadata: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(num_failures=0))

    def report(self, study: Study) -> dict[str, Any]:
        """The next epoch, as `study.trainable` reports it."""
        self.step += 1
        lwlrap = self.level * (1 - math.exp(-2 * self.step / self.planned)) + self.generator.normal(0, NOISE / 3)
        names = ("lwlrap", "precision", "precision_avg", "tpfp_auc", "recall", "diary_lwlrap", "diary_precision")
        metrics = {name: lwlrap + 0.01 * index for index, name in enumerate(names)}
        metrics |= {"train_loss": 1 - lwlrap, "seconds": self.epoch_takes}
        self.last_result = {
            "trial": self.config["trial"],
            "stage": 3,
            "cycle": 1,
            "epoch": self.step,
            "step": self.step,
            "planned": self.planned,
            "reused": False,
            "metrics": metrics,
            "score": objective.score(study.objective, metrics),
        }
        return self.last_result


class Desk:
    """`study.desk.Desk` without a process: what the callbacks ask of it has no answer that they wait for."""

    class drop:  # spoken to as one speaks to an actor's method
        """See `study.desk.Desk.drop`."""

        @staticmethod
        def remote(owner: str) -> None:
            """Nothing is held."""


@dataclass(frozen=True)
class Job:
    """What the callbacks need of `study.trainable.Job`."""

    study: Study
    folder: Path
    desk: Desk = field(default_factory=Desk)


@dataclass(frozen=True)
class Place:
    """What all starts on a study's folder share."""

    folder: Path
    slots: int
    limit: int
    journal: bool
    display: Display


class Driver:
    """One start of a driver, as `study.launch` makes one on what the ledger tells."""

    def __init__(self, study: Study, place: Place) -> None:
        ledger, planned, display = Ledger(place.folder / "trials.jsonl"), study.epoch_range()[1], place.display
        known = read_trials(ledger.path)
        mirrors: list[Mirror] = [BestBoard(place.folder, study, known)]
        if place.journal:
            mirrors.append(OptunaJournal(place.folder, study, known, display.say))
        self._recorder = Recorder(study, ledger, known, display, planned, mirrors)
        self._scheduler = StudyScheduler(study.search, planned, known)
        over = partial(spent, study.budget, study.objective.noise, self._recorder.trials.values())
        self._searcher = StudySearcher(study, known, place.limit, lambda: bool(over()))
        job, nobody = cast(Any, Job(study, place.folder)), cast(Any, None)
        self._callback = tune_events.TuneEvents(job, self._recorder, self._searcher, self._scheduler, nobody)
        self._study, self._slots = study, place.slots
        self._queue: list[tuple[float, int, SimulatedTrial]] = []
        self._now, self._asked = 0.0, 0
        self.ended = sum(trial.state != "RUNNING" for trial in known)
        self.meter = Meter()

    def close(self) -> None:
        """As a driver that ends in peace; trials that run stay unfinished."""
        self._recorder.close()

    def run(self, until: int) -> None:
        """Go on until so many trials have ended; as many as there are slots are running then."""
        while self.ended < until:
            self.fill()
            if not self._queue:
                return
            self._now, _, trial = heapq.heappop(self._queue)
            self._report(trial)

    def fill(self) -> None:
        """Ask for trials as long as there are free slots."""
        while len(self._queue) < self._slots and self._begin():
            pass

    def _begin(self) -> bool:
        """Ask for a trial and start it; whether there was one."""
        self._asked += 1
        before = time.process_time()
        config = self._searcher.suggest(trial_id := f"simulated{self._asked}")
        took_s = time.process_time() - before
        if not isinstance(config, dict):
            return False
        if config["attempt"] == 1:
            self.meter.asked_s.append(took_s)
        trial = self._simulated(trial_id, config)
        self._callback.on_trial_start(0, [], trial)
        self._push(trial)
        return True

    def _simulated(self, trial_id: str, config: dict[str, Any]) -> SimulatedTrial:
        """A trial, which a restart does not change; one that was interrupted goes on after its last epoch."""
        number, params = config["trial"], config["params"]
        generator = np.random.default_rng([self._study.search.seed, number])
        known = self._recorder.trials.get(number)
        return SimulatedTrial(
            trial_id=trial_id,
            config=config,
            planned=self._study.planned_epochs(params),
            level=level(self._study, params) + generator.normal(0, NOISE),
            epoch_takes=math.exp(generator.normal(0, SPREAD)),
            generator=generator,
            step=known.step if known else 0,
        )

    def _push(self, trial: SimulatedTrial) -> None:
        heapq.heappush(self._queue, (self._now + trial.epoch_takes, trial.config["trial"], trial))

    def _report(self, trial: SimulatedTrial) -> None:
        """One epoch, and the trial's end where it is the last or the scheduler says so."""
        result = trial.report(self._study)
        self.meter.results += 1
        stopped = self._scheduler.on_trial_result(None, None, result) == TrialScheduler.STOP  # type: ignore[arg-type]
        if not stopped:
            self._searcher.on_trial_result(trial.trial_id, result)
        self._callback.on_trial_result(0, [], trial, result)
        if not stopped and trial.step < trial.planned:
            self._push(trial)
            return
        self._searcher.on_trial_complete(trial.trial_id, result)
        self._callback.on_trial_complete(0, [], trial)
        self.ended += 1


def level(study: Study, params: Mapping[str, Any]) -> float:
    """The LWLRAP that a setting comes near to: each knob has its best place, and they matter unequally."""
    loss = 0.0
    for index, knob in enumerate(study.knobs):
        if knob.name in params:
            best = math.modf(0.3 + 0.618 * index)[0]
            loss += 0.3 / (index + 1) * (place(knob, params[knob.name]) - best) ** 2
    return 0.7 - loss


def place(knob: Knob, value: Any) -> float:
    """Where in its domain a knob's value lies, 0..1."""
    if knob.choices:
        return knob.choices.index(value) / max(1, len(knob.choices) - 1)
    if knob.log:
        return math.log(value / knob.low) / math.log(knob.high / knob.low)
    return float((value - knob.low) / (knob.high - knob.low))
