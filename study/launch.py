"""Run a study or carry it on: shared stages first, then a Tuner whose every event goes to the recorder."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from rfcx_model import compute, network
from rfcx_model.errors import InputError, RunError
from rfcx_model.hyperparameters import Network, Windows
from rfcx_model.recordings import load
from study import nodes, other_questions
from study.best_board import BestBoard
from study.budget import spent
from study.desk import open_desk, pass_on
from study.display import Display
from study.driver_lease import driver_lease
from study.machine import Share
from study.optuna_journal import OptunaJournal
from study.ray_session import session
from study.recorder import Mirror, Recorder
from study.sampler import caution
from study.scheduler import StudyScheduler
from study.searcher import StudySearcher
from study.setting import Setting, spectrograms, trial_seed
from study.space import Study
from study.stage_tasks import StageOrder, train_shared
from study.store import open_store
from study.study_folder import Order, networks, write_study
from study.trainable import Job, trial
from study.trials import Ledger, read_trials
from study.tune_events import TuneEvents
from study.work import done_work, planned_work, shared_stages

RETRIES = 1  # of a trial that failed at an epoch; it goes on from the one before


def run(study: Study, order: Order, display: Display) -> Path:
    """Run the study, or carry it on, and return its folder.

    Raises:
        InputError: something that the user can mend, before any training.
        RunError: a shared stage failed.
    """
    recordings = load(order.data)
    folder = order.out / f"{study.name}-{study.signature(recordings.fingerprint)[:8]}"
    if told := other_questions.difference(study, recordings.fingerprint, folder):
        display.say(told)
    if told := caution(study):
        display.say(told)
    with session(order.address):
        slots = nodes.share(study.resources)
        torch.set_num_threads(slots.threads)
        setting = Setting(
            recordings=recordings,
            n_folds=study.search.folds,
            cache=order.cache,
            store=order.store or folder / "stages",
            threads=slots.threads,
        )
        for replicate in range(study.search.replicates):
            setting.folds(trial_seed(study.search.seed, replicate))  # refuses what cannot be split
        if order.address is not None:
            nodes.refuse_unlike(_folders(study, order), display.say)
        baseline = study.hyperparameters(study.baseline)
        tested = _check_networks.options(num_cpus=slots.cpus, num_gpus=slots.gpus).remote(
            networks(study), baseline.windows, baseline.frontend.n_mels, len(recordings.species), slots
        )
        spectrograms(recordings, baseline.frontend, order.cache, display)
        setting = replace(setting, device=_answer(tested, study, display))
        with driver_lease(folder, display.say) as lease:
            _run(study, setting, Ledger(folder / "trials.jsonl", lease.check), order, slots, display)
    return folder


def _folders(study: Study, order: Order) -> list[nodes.Folder]:
    """What all nodes must see."""
    weights = {one.pretrained for one in networks(study)} - {"none", "hub"}
    written = {"--out": order.out, "--store": order.store, "--cache": order.cache}
    return [
        nodes.Folder("--data", order.data, written=False),
        *(nodes.Folder("network.pretrained", Path(path), written=False) for path in weights if Path(path).is_file()),
        *(nodes.Folder(option, path) for option, path in written.items() if path is not None),
    ]


def _run(study: Study, setting: Setting, ledger: Ledger, order: Order, slots: Share, display: Display) -> None:
    """All that changes the study's folder."""
    folder = ledger.path.parent
    write_study(study, setting, folder, order)
    job = Job(study, setting, folder, open_desk())
    cost = planned_work(study, setting, order.trials)
    display.say(f"{folder}: {cost}")
    orders = [
        StageOrder(hyperparameters, one, trial_seed(study.search.seed, replicate))
        for hyperparameters, one, replicate in shared_stages(study, setting, order.trials or study.budget.trials)
    ]
    train_shared(setting, job.desk, orders, slots, display)
    _search(job, ledger, slots, order, display)
    trials = read_trials(ledger.path)
    display.say(str(done_work(study, setting, open_store(setting.store, setting.device or compute.best()), trials)))


def _search(job: Job, ledger: Ledger, slots: Share, order: Order, display: Display) -> None:
    """The Tuner. Its own files go to `.ray/` in the study's folder and are never read back."""
    study, limit = job.study, order.trials or job.study.budget.trials
    hours = order.hours or study.budget.hours
    known = read_trials(ledger.path)
    planned = study.epoch_range()[1]
    mirrors: list[Mirror] = [OptunaJournal(job.folder, study, known, display.say), BestBoard(job.folder, study, known)]
    recorder = Recorder(study, ledger, known, display, planned, mirrors)
    scheduler = StudyScheduler(study.search, planned, known)
    try:
        for number, reason in scheduler.overdue.items():
            recorder.ended(number, "PRUNED", reason)
        over = partial(spent, study.budget, study.objective.noise, recorder.trials.values())
        searcher = StudySearcher(study, list(recorder.trials.values()), limit, lambda: bool(over()))
        patience = nodes.Patience(slots, display.say)
        callback = TuneEvents(job, recorder, searcher, scheduler, patience)
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trial, job=job), {"cpu": slots.cpus, "gpu": slots.gpus}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler,
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
                callbacks=[callback],
                failure_config=tune.FailureConfig(max_failures=RETRIES),
            ),
        )
        with display.phase("trials", limit * planned):
            try:
                tuner.fit()
            except Exception:
                if callback.error is not None:
                    raise callback.error from None
                raise
            pass_on(job.desk, display)
        if why := over():
            display.say(f"no further trial is begun: {why}")
        for number, told in list(recorder.trials.items()):
            if told.state == "RUNNING":  # Tune's time budget stops trials without a word to anyone
                recorder.ended(number, "STOPPED", "the budget was spent")
        failed = [told for told in recorder.trials.values() if told.state == "FAILED"]
        if failed and len(failed) == len(recorder.trials):
            raise RunError(f"every trial failed; trial {failed[0].number}: {failed[0].reason}")
    finally:
        recorder.close()


@ray.remote
def _check_networks(networks: Sequence[Network], windows: Windows, n_mels: int, n_species: int, slots: Share) -> str:
    """Find out, before anything is trained, whether every network can be built, has its sites and hears windows.

    The answer is what trials compute on, which need not be what the driver's machine has.
    """
    if slots.gpus and not torch.cuda.is_available():
        raise InputError(
            f"[resources] gpus = {slots.gpus:g}: Ray counts a GPU on {platform.node()}, but torch {torch.__version__} "
            "cannot use it. Install torch for this GPU, or give gpus = 0."
        )
    for one in networks:
        network.check(one, windows, n_mels, n_species)
    torch.set_num_threads(slots.threads)
    return str(compute.best())


def _answer(tested: Any, study: Study, display: Display) -> str:
    """Wait for `_check_networks`; what a user can mend is raised as it was worded there, without Ray's traceback."""
    if any(one.pretrained == "hub" for one in networks(study)) and not ray.wait([tested], timeout=1.0)[0]:
        display.say("the backbone's pretrained weights are looked for in the cache and on the Hugging Face hub")
    try:
        return str(ray.get(tested))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise
