"""Where a study trains: Ray is up, data are encoded, networks can be built, and this process holds the study."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import ray
import torch

from rfcx_model import compute, network
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Network, Windows
from rfcx_model.recordings import Recordings
from study import nodes, objective
from study.desk import open_desk
from study.display import Display
from study.driver_lease import driver_lease
from study.machine import Share, has_gpu_device
from study.order import Order
from study.prepared import spectrograms
from study.setting import Lockbox, Setting, trial_seed
from study.space import Study
from study.stage_tasks import StageOrder, train_shared
from study.store import open_store
from study.study_folder import digests, networks, refuse_other_weights
from study.trainable import Job
from study.trials import Ledger, read_trials
from study.work import Run, done_work, shared_stages

LOOKED_FOR: Final = "the backbone's pretrained weights are looked for in the cache and on the Hugging Face hub"


@dataclass(frozen=True, eq=False)
class Place:
    """A study that this process holds, ready to train: Ray is up, the data are encoded, the ledger may be written."""

    job: Job
    slots: Share
    ledger: Ledger


@contextmanager
def held(study: Study, recordings: Recordings, folder: Path, order: Order, display: Display) -> Iterator[Place]:
    """Find out what can be trained where Ray is, and take the study's lease.

    Raises:
        InputError: something that the user can mend.
    """
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
    check = _Check(networks(study), baseline.windows, baseline.frontend.n_mels, len(recordings.species), slots)
    found = _here(check, display) if order.address is None and not has_gpu_device() else _in_a_worker(check, display)
    spectrograms(recordings, baseline.frontend, order.cache, display)
    device, pretrained = found()
    setting = replace(setting, device=device, pretrained=pretrained, _partitions={})
    refuse_other_weights(folder, pretrained)
    with driver_lease(folder, display.say) as lease:
        job = Job(study, setting, folder, open_desk())
        yield Place(job, slots, Ledger(folder / "trials.jsonl", lease.check))


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


@dataclass(frozen=True)
class _Check:
    """What is asked before anything is trained: can every network be built, has it its sites, does it hear windows."""

    networks: Sequence[Network]
    windows: Windows
    n_mels: int
    n_species: int
    slots: Share

    def passed(self) -> tuple[str, dict[str, str]]:
        """What trials compute on here, and the digests of pretrained weights.

        Raises:
            InputError: what the user can mend.
        """
        if self.slots.gpus and not torch.cuda.is_available():
            raise InputError(
                f"[resources] gpus = {self.slots.gpus:g}: Ray counts a GPU on {platform.node()}, but torch "
                f"{torch.__version__} cannot use it. Install torch for this GPU, or give gpus = 0."
            )
        for one in self.networks:
            network.check(one, self.windows, self.n_mels, self.n_species)
        torch.set_num_threads(self.slots.threads)
        return str(compute.best()), digests(self.networks)


def _here(check: _Check, display: Display) -> Callable[[], tuple[str, dict[str, str]]]:
    """Where trials can compute on nothing but this machine's CPU, its driver finds out: a worker takes seconds."""
    if any(one.pretrained == "hub" for one in check.networks):
        display.say(LOOKED_FOR)
    return check.passed


def _in_a_worker(check: _Check, display: Display) -> Callable[[], tuple[str, dict[str, str]]]:
    """A worker finds out, on a machine that trains, while the driver goes on; wait for it with what comes back."""
    slots = check.slots
    asked = ray.remote(_Check.passed).options(num_cpus=slots.cpus, num_gpus=slots.gpus).remote(check)

    def answer() -> tuple[str, dict[str, str]]:
        if any(one.pretrained == "hub" for one in check.networks) and not ray.wait([asked], timeout=1.0)[0]:
            display.say(LOOKED_FOR)
        try:
            device, pretrained = ray.get(asked)
            return device, pretrained
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise error.cause from None  # as it was worded there, without Ray's traceback
            raise

    return answer


def _folders(study: Study, order: Order) -> list[nodes.Folder]:
    """What all nodes must see."""
    weights = {one.pretrained for one in networks(study)} - {"none", "hub"}
    written = {"--out": order.out, "--store": order.store, "--cache": order.cache}
    return [
        nodes.Folder("--data", order.data, written=False),
        *(nodes.Folder("network.pretrained", Path(path), written=False) for path in weights if Path(path).exists()),
        *(nodes.Folder(option, path) for option, path in written.items() if path is not None),
    ]
