"""Run a study or carry it on: shared stages first, then a Tuner whose every event goes to the recorder."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import torch

from rfcx_model import compute, network
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Network, Windows
from rfcx_model.recordings import Recordings, load
from study import nodes, objective, other_questions
from study.desk import open_desk
from study.display import Display
from study.driver_lease import driver_lease
from study.machine import Share
from study.ray_session import session
from study.sampler import caution
from study.setting import Lockbox, Setting, spectrograms, trial_seed
from study.space import Study
from study.stage_tasks import StageOrder, train_shared
from study.store import open_store
from study.study_folder import Order, digests, networks, refuse_other_weights, write_study
from study.trainable import Job
from study.trials import Ledger, Trial, read_trials
from study.tuning import Place, search
from study.work import Run, done_work, planned_work, shared_stages


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
    with ready(study, recordings, folder, order, display) as place:
        write_study(study, place.job.setting, folder, order)
        display.say(f"{folder}: {planned_work(study, place.job.setting, order.trials)}")
        limit = order.trials or study.budget.trials
        if is_left(study, limit, read_trials(place.ledger.path)):
            train_early(place, limit, None, display)
        search(place, order, display)
        tell_work(place, display)
    return folder


def train_early(place: Place, limit: int | None, listed: Sequence[Run] | None, display: Display) -> None:
    """Stages that several trials share: of the study's own ones up to `limit`, or of those that are listed."""
    study, setting = place.job.study, place.job.setting
    orders = [
        StageOrder(hyperparameters, one, trial_seed(study.search.seed, replicate))
        for hyperparameters, one, replicate in shared_stages(study, setting, limit, listed)
    ]
    train_shared(setting, place.job.desk, orders, place.slots, display)


def tell_work(place: Place, display: Display) -> None:
    """What sharing has saved so far."""
    study, setting = place.job.study, place.job.setting
    store = open_store(setting.store, setting.device or compute.best())
    display.say(str(done_work(study, setting, store, read_trials(place.ledger.path))))


def is_left(study: Study, limit: int, trials: Sequence[Trial]) -> bool:
    """Whether a trial of the study's own is still to be run or carried on."""
    asked = [trial for trial in trials if trial.origin != "confirm"]
    most = min(limit, len(study.points())) if study.search.sampler == "grid" else limit
    return len(asked) < most or any(trial.state in ("RUNNING", "STOPPED") for trial in asked)


@contextmanager
def ready(study: Study, recordings: Recordings, folder: Path, order: Order, display: Display) -> Iterator[Place]:
    """Start or join Ray, find out what can be trained there, and take the study's lease.

    Raises:
        InputError: something that the user can mend.
    """
    with session(order.address):
        slots = nodes.share(study.resources)
        torch.set_num_threads(slots.threads)
        setting = Setting(
            recordings=recordings,
            n_folds=study.search.folds,
            cache=order.cache,
            store=order.store or folder / "stages",
            threads=slots.threads,
            lockbox=Lockbox(study.search.lockbox, study.search.seed),
        )
        for replicate in range(study.search.replicates):
            folds = setting.folds(trial_seed(study.search.seed, replicate))  # refuses what cannot be split
            objective.refuse_undefined(study.objective, recordings.boxes, folds)
        if order.address is not None:
            nodes.refuse_unlike(_folders(study, order), display.say)
        baseline = study.hyperparameters(study.baseline)
        tested = _check_networks.options(num_cpus=slots.cpus, num_gpus=slots.gpus).remote(
            networks(study), baseline.windows, baseline.frontend.n_mels, len(recordings.species), slots
        )
        spectrograms(recordings, baseline.frontend, order.cache, display)
        device, pretrained = _answer(tested, study, display)
        setting = replace(setting, device=device, pretrained=pretrained, _partitions={})
        refuse_other_weights(folder, pretrained)
        with driver_lease(folder, display.say) as lease:
            job = Job(study, setting, folder, open_desk())
            yield Place(job, slots, Ledger(folder / "trials.jsonl", lease.check))


def _folders(study: Study, order: Order) -> list[nodes.Folder]:
    """What all nodes must see."""
    weights = {one.pretrained for one in networks(study)} - {"none", "hub"}
    written = {"--out": order.out, "--store": order.store, "--cache": order.cache}
    return [
        nodes.Folder("--data", order.data, written=False),
        *(nodes.Folder("network.pretrained", Path(path), written=False) for path in weights if Path(path).exists()),
        *(nodes.Folder(option, path) for option, path in written.items() if path is not None),
    ]


@ray.remote
def _check_networks(
    networks: Sequence[Network], windows: Windows, n_mels: int, n_species: int, slots: Share
) -> tuple[str, dict[str, str]]:
    """Find out, before anything is trained, whether every network can be built, has its sites and hears windows.

    The answer is what trials compute on, which need not be what the driver's machine has, and the digests of
    pretrained weights.
    """
    if slots.gpus and not torch.cuda.is_available():
        raise InputError(
            f"[resources] gpus = {slots.gpus:g}: Ray counts a GPU on {platform.node()}, but torch {torch.__version__} "
            "cannot use it. Install torch for this GPU, or give gpus = 0."
        )
    for one in networks:
        network.check(one, windows, n_mels, n_species)
    torch.set_num_threads(slots.threads)
    return str(compute.best()), digests(networks)


def _answer(tested: Any, study: Study, display: Display) -> tuple[str, dict[str, str]]:
    """Wait for `_check_networks`; what a user can mend is raised as it was worded there, without Ray's traceback."""
    if any(one.pretrained == "hub" for one in networks(study)) and not ray.wait([tested], timeout=1.0)[0]:
        display.say("the backbone's pretrained weights are looked for in the cache and on the Hugging Face hub")
    try:
        device, pretrained = ray.get(tested)
        return device, pretrained
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise
