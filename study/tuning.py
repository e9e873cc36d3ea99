"""One Tuner after another: the search, and trials that are listed before they run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from ray import tune

from rfcx_model.errors import RunError
from study import nodes
from study.best_board import BestBoard
from study.budget import spent
from study.desk import pass_on
from study.display import Display
from study.listed_searcher import Listed, ListedSearcher
from study.optuna_journal import OptunaJournal
from study.order import Order
from study.place import Place
from study.recorder import Mirror, Recorder
from study.scheduler import StudyScheduler
from study.searcher import StudySearcher
from study.trainable import trial
from study.trials import Trial, read_trials
from study.tune_events import Proposer, TuneEvents

RETRIES: Final = 1  # of a trial that failed at an epoch; it goes on from the one before


@dataclass(frozen=True, eq=False)
class Round:
    """What one Tuner runs: who proposes, who prunes, and who writes down. `others` of the ledger are no part of it."""

    recorder: Recorder
    scheduler: StudyScheduler
    planned: int
    others: tuple[Trial, ...]

    @property
    def trials(self) -> list[Trial]:
        """All of the ledger."""
        return [*self.recorder.trials.values(), *self.others]


def search(place: Place, order: Order, display: Display) -> None:
    """The study's own trials.

    Raises:
        RunError: every trial failed.
    """
    study, limit = place.job.study, order.trials or place.job.study.budget.trials
    with _round(place, display, repeats=False) as begun:
        over = partial(spent, study.budget, study.objective.noise, begun.recorder.trials.values())
        searcher = StudySearcher(study, begun.trials, limit, lambda: bool(over()))
        with display.phase("trials", max(limit, len(begun.recorder.trials)) * begun.planned, "epochs"):
            begun.recorder.show()
            _fit(place, begun, searcher, order.hours or study.budget.hours, display)
        if why := over():
            display.say(f"no further trial is begun: {why}")
        _refuse_all_failed(begun.recorder)


def listed_trials(place: Place, listed: Sequence[Listed], hours: float | None, display: Display) -> None:
    """Trials that are known before they run, all of one origin.

    Those that repeat others are never pruned and not shown to Optuna; those that fill an arm are, as all of the search.

    Raises:
        RunError: every trial failed.
    """
    with _round(place, display, repeats=listed[0].origin == "confirm") as begun:
        over = begun.scheduler.overdue
        left = [one for one in listed if one.trial is None or one.trial.number not in over]
        more = sum(one.trial is None for one in left)
        with display.phase("trials", (len(begun.recorder.trials) + more) * begun.planned, "epochs"):
            begun.recorder.show()
            _fit(place, begun, ListedSearcher(begun.trials, left), hours, display)
        _refuse_all_failed(begun.recorder)


@contextmanager
def _round(place: Place, display: Display, *, repeats: bool) -> Iterator[Round]:
    """Who writes down and who prunes; what the rule had stopped before a crash is ended first."""
    job, trials = place.job, read_trials(place.ledger.path)
    known = [trial for trial in trials if (trial.origin == "confirm") == repeats]
    others = tuple(trial for trial in trials if (trial.origin == "confirm") != repeats)
    planned, rule = job.study.epoch_range()[1], job.study.search
    mirrors: list[Mirror] = []
    if not repeats:
        mirrors = [OptunaJournal(job.folder, job.study, known, display.say), BestBoard(job.folder, job.study, known)]
    scheduler = StudyScheduler(replace(rule, scheduler="none") if repeats else rule, planned, known)
    recorder = Recorder(job.study, place.ledger, known, display, planned, mirrors)
    try:
        for number, reason in scheduler.overdue.items():
            recorder.ended(number, "PRUNED", reason)
        yield Round(recorder, scheduler, planned, others)
    finally:
        recorder.close()


def _fit(place: Place, told: Round, searcher: Proposer, hours: float | None, display: Display) -> None:
    """The Tuner. Its own files go to `.ray/` in the study's folder and are never read back."""
    job, slots = place.job, place.slots
    events = TuneEvents(job, told.recorder, searcher, told.scheduler, nodes.Patience(slots, display.say))
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trial, job=job), {"cpu": slots.cpus, "gpu": slots.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,  # type: ignore[arg-type]  # what Ray needs of it is in both
            scheduler=told.scheduler,
            num_samples=-1,
            max_concurrent_trials=slots.concurrent,
            time_budget_s=hours * 3600 if hours else None,
            reuse_actors=True,
            trial_dirname_creator=lambda ray_trial: f"{ray_trial.config['trial']:04d}",
        ),
        run_config=tune.RunConfig(
            name=".ray",
            storage_path=str(job.folder),
            verbose=0,
            callbacks=[events],
            failure_config=tune.FailureConfig(max_failures=RETRIES),
        ),
    )
    try:
        tuner.fit()
    except Exception:
        if events.error is not None:
            raise events.error from None
        raise
    pass_on(job.desk, display)
    for number, one in list(told.recorder.trials.items()):
        if one.state == "RUNNING":  # Tune's time budget stops trials without a word to anyone
            told.recorder.ended(number, "STOPPED", "the budget was spent")


def _refuse_all_failed(recorder: Recorder) -> None:
    failed = [told for told in recorder.trials.values() if told.state == "FAILED"]
    if failed and len(failed) == len(recorder.trials):
        raise RunError(f"every trial failed; trial {failed[0].number}: {failed[0].reason}")
