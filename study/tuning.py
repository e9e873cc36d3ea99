"""One Tuner after another: the search, and trials that are listed before they run."""

from __future__ import annotations

from collections.abc import Sequence
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
from study.machine import Share
from study.optuna_journal import OptunaJournal
from study.recorder import Mirror, Recorder
from study.scheduler import StudyScheduler
from study.searcher import StudySearcher
from study.study_folder import Order
from study.trainable import Job, trial
from study.trials import Ledger, Trial, read_trials
from study.tune_events import Proposer, TuneEvents

RETRIES: Final = 1  # of a trial that failed at an epoch; it goes on from the one before


@dataclass(frozen=True, eq=False)
class Round:
    """What one Tuner runs, who writes it down, and for how long. `steps` is the most that can be reported."""

    title: str
    recorder: Recorder
    searcher: Proposer
    scheduler: StudyScheduler
    steps: int
    hours: float | None


def search(job: Job, ledger: Ledger, slots: Share, order: Order, display: Display) -> None:
    """The study's own trials.

    Raises:
        RunError: every trial failed.
    """
    study, limit = job.study, order.trials or job.study.budget.trials
    known, repeats = _apart(read_trials(ledger.path))
    planned = study.epoch_range()[1]
    mirrors = _mirrors(job, known, display)
    recorder = Recorder(study, ledger, known, display, planned, mirrors)
    scheduler = StudyScheduler(study.search, planned, known)
    try:
        for number, reason in scheduler.overdue.items():
            recorder.ended(number, "PRUNED", reason)
        over = partial(spent, study.budget, study.objective.noise, recorder.trials.values())
        searcher = StudySearcher(study, [*recorder.trials.values(), *repeats], limit, lambda: bool(over()))
        hours = order.hours or study.budget.hours
        _fit(job, slots, Round("trials", recorder, searcher, scheduler, limit * planned, hours), display)
        if why := over():
            display.say(f"no further trial is begun: {why}")
        _refuse_all_failed(recorder)
    finally:
        recorder.close()


def confirmations(
    job: Job, ledger: Ledger, slots: Share, listed: Sequence[Listed], hours: float | None, display: Display
) -> None:
    """Trials that repeat others. None is pruned, and none is shown to Optuna."""
    known, mine = _apart(read_trials(ledger.path))
    planned = job.study.epoch_range()[1]
    recorder = Recorder(job.study, ledger, mine, display, planned, [])
    scheduler = StudyScheduler(replace(job.study.search, scheduler="none"), planned, mine)
    steps = (len(mine) + sum(one.trial is None for one in listed)) * planned
    try:
        searcher = ListedSearcher([*known, *mine], listed)
        _fit(job, slots, Round("repeats", recorder, searcher, scheduler, steps, hours), display)
        _refuse_all_failed(recorder)
    finally:
        recorder.close()


def fill(
    job: Job, ledger: Ledger, slots: Share, listed: Sequence[Listed], hours: float | None, display: Display
) -> None:
    """Further trials of the search that no sampler has proposed; they are pruned as all others are."""
    known, repeats = _apart(read_trials(ledger.path))
    planned = job.study.epoch_range()[1]
    mirrors = _mirrors(job, known, display)
    recorder = Recorder(job.study, ledger, known, display, planned, mirrors)
    steps = (len(known) + sum(one.trial is None for one in listed)) * planned
    scheduler = StudyScheduler(job.study.search, planned, known)
    try:
        for number, reason in scheduler.overdue.items():
            recorder.ended(number, "PRUNED", reason)
        left = [one for one in listed if one.trial is None or one.trial.number not in scheduler.overdue]
        searcher = ListedSearcher([*known, *repeats], left)
        _fit(job, slots, Round("trials", recorder, searcher, scheduler, steps, hours), display)
    finally:
        recorder.close()


def _mirrors(job: Job, known: Sequence[Trial], display: Display) -> list[Mirror]:
    """Who shows the search to others while it runs."""
    return [OptunaJournal(job.folder, job.study, known, display.say), BestBoard(job.folder, job.study, known)]


def _apart(trials: Sequence[Trial]) -> tuple[list[Trial], list[Trial]]:
    """Those of the search, and those that repeat others."""
    repeats = [trial for trial in trials if trial.origin == "confirm"]
    return [trial for trial in trials if trial.origin != "confirm"], repeats


def _fit(job: Job, slots: Share, told: Round, display: Display) -> None:
    """The Tuner. Its own files go to `.ray/` in the study's folder and are never read back."""
    events = TuneEvents(job, told.recorder, told.searcher, told.scheduler, nodes.Patience(slots, display.say))
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trial, job=job), {"cpu": slots.cpus, "gpu": slots.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=told.searcher,  # type: ignore[arg-type]  # what Ray needs of it is in both
            scheduler=told.scheduler,
            num_samples=-1,
            max_concurrent_trials=slots.concurrent,
            time_budget_s=told.hours * 3600 if told.hours else None,
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
    with display.phase(told.title, told.steps):
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
