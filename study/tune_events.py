"""Tune's events → the recorder, with the state that is true."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

from ray import tune

from rfcx_model.errors import RunError, last_line
from study.desk import pass_on
from study.events import EndState
from study.nodes import Patience
from study.recorder import Recorder, Start
from study.scheduler import StudyScheduler
from study.setting import trial_seed
from study.silence import Silence
from study.trainable import Job, trial_name
from study.trials import Origin

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

Event = TypeVar("Event", bound=Callable[..., None])


def _kept(event: Event) -> Event:
    """Keep what an event's method raises: Tune makes a long text of it."""

    @wraps(event)
    def method(self: TuneEvents, *told: Any, **facts: Any) -> None:
        try:
            event(self, *told, **facts)
        except Exception as error:
            self.error = error
            raise

    return cast(Event, method)


class Proposer(Protocol):
    """A searcher as the callback sees it."""

    def origin(self, number: int) -> Origin:
        """Whose trial it is."""

    def proposal(self, number: int) -> dict[str, Any]:
        """What a sampler needs of it to go on after a restart."""

    def tell(
        self, number: int, state: EndState, score: float | None, metrics: Mapping[str, float] | None = None
    ) -> EndState:
        """How it ended; its true state comes back."""


class TuneEvents(tune.Callback):
    """Tune's events → the recorder, with the state that is true."""

    def __init__(
        self,
        job: Job,
        recorder: Recorder,
        searcher: Proposer,
        scheduler: StudyScheduler,
        patience: Patience,
    ) -> None:
        self._job = job
        self._recorder = recorder
        self._searcher = searcher
        self._scheduler = scheduler
        self._patience = patience
        self._silence = Silence(job.folder, recorder.display.say)
        self._troubles: dict[int, str] = {}
        self.error: Exception | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune writes its callbacks to a file that is never read back."""
        return {}

    @_kept
    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Trials that no node has room for, or no disk an answer, would wait without a word."""
        del iteration, trials, info
        self._patience.look()
        self._silence.look()

    @_kept
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A first or another attempt."""
        del iteration, trials, info
        config = trial.config
        number, replicate = config["trial"], config["replicate"]
        known = self._recorder.trials.get(number)
        self._recorder.started(
            Start(
                number=number,
                name=trial_name(self._job.study, config),
                origin=self._searcher.origin(number),
                attempt=config["attempt"] if known is None else known.attempt + 1,
                replicate=replicate,
                seed=trial_seed(self._job.study.search.seed, replicate),
                config=self._job.study.config(config["params"]),
                proposal=self._searcher.proposal(number),
                after=self._troubles.pop(number, ""),
            )
        )

    @_kept
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch. Once there is a new one, failures are counted anew: a cluster may lose a node every night."""
        del iteration, trials, info
        number = trial.config["trial"]
        self._silence.end()
        before = self._recorder.trials[number].step
        self._recorder.epoch(number, result)
        if self._recorder.trials[number].step > before:
            trial.run_metadata.num_failures = 0

    @_kept
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The end, by itself or stopped."""
        del iteration, trials, info
        number = trial.config["trial"]
        self._job.desk.drop.remote(f"trial {number}")
        if number in self._scheduler.pruned:
            self._end(trial, "PRUNED", self._scheduler.pruned[number])
        elif self._recorder.trials[number].step >= (trial.last_result or {}).get("planned", 1):
            self._end(trial, "COMPLETE", "")
        else:
            self._end(trial, "FAILED", "ended before its last epoch without an error")

    @_kept
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The end of a trial whose retries are used up."""
        del iteration, trials, info
        number = trial.config["trial"]
        self._job.desk.drop.remote(f"trial {number}")
        error = _told(trial)
        self._refuse_full_disk(number, error)
        path = self._job.folder / "trials" / self._recorder.trials[number].name / "error.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{error}\n", encoding="utf-8")
        self._end(trial, "FAILED", last_line(error))

    @_kept
    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A failure that is tried again."""
        del iteration, trials, info
        number, error = trial.config["trial"], _told(trial)
        self._job.desk.drop.remote(f"trial {number}")
        self._refuse_full_disk(number, error)
        self._troubles[number] = last_line(error)
        self._recorder.display.say(f"trial {self._recorder.trials[number].name} is tried again: {last_line(error)}")

    def _refuse_full_disk(self, number: int, error: str) -> None:
        """A disk that takes no more costs no trial: the run ends, the trial stays unfinished and is carried on."""
        if any(f"[Errno {code}]" in last_line(error) for code in NO_ROOM):
            raise RunError(
                f"trial {number} could not write: {last_line(error)}. Make room, or make the folder writable, and "
                "call it again; it goes on from the last finished epoch."
            )

    def _end(self, trial: Any, state: EndState, reason: str) -> None:
        number = trial.config["trial"]
        for kept in (trial.run_metadata.metric_analysis, trial.run_metadata.metric_n_steps):
            kept.clear()  # Tune's extremes and means of every metric: 58 kB a trial, for ever, and never read here
        told = self._recorder.trials[number]
        pass_on(self._job.desk, self._recorder.display)
        true = self._searcher.tell(number, state, told.metrics.get("score"), told.metrics)
        self._recorder.ended(number, true, reason)
        objective = self._job.study.objective
        if told.origin == "baseline" and true == "FAILED" and objective.rule == "floor" and objective.floor is None:
            raise RunError(
                f"the baseline failed ({reason}), and [objective] rule = 'floor' is set against what it reaches. Give "
                "[objective] a floor, or a baseline that can be trained."
            )


def _told(trial: Any) -> str:
    """What Ray has on record of a trial's failures: on the driver's own disk, or where that is full in the study."""
    try:
        return Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        return str(trial.get_error() or "no error on record")
