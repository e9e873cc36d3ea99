"""config → Hyperparameters → epochs → report: one trial as Ray Tune runs it."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray import tune

from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.train import Epoch
from study import objective, recipe, stages
from study.scheduler import BASELINE
from study.setting import Alone, Setting, trial_seed, workshop
from study.space import Study, differs
from study.trials import read_trial
from study.work import trial_request

SCORES = "scores.npz"


@ray.remote(num_cpus=0)
class Desk:
    """An in-memory actor of the driver: leases on stages, the count of fold-epochs trained, and what is to be said.

    A lease belongs to an owner and has a number; the driver drops what a dead owner held, so that another takes over.
    Should the dead one turn out to be alive, its number is no longer the lease's, and it writes nothing.
    """

    def __init__(self) -> None:
        self._leases: dict[str, tuple[str, int]] = {}
        self._attempts = 0
        self._trained = 0
        self._said: dict[str, bool] = {}  # whether the driver has heard it

    def acquire(self, name: str, owner: str) -> int:
        """The number of a new lease on the stage, or 0 while another owner has it."""
        if self._leases.get(name, (owner, 0))[0] != owner:
            return 0
        self._attempts += 1
        self._leases[name] = (owner, self._attempts)
        return self._attempts

    def holds(self, name: str, attempt: int) -> bool:
        """Whether the lease of this number is the stage's present one."""
        return name in self._leases and self._leases[name][1] == attempt

    def release(self, name: str, attempt: int) -> None:
        """Give a lease back; one that has passed to another stays there."""
        if self.holds(name, attempt):
            del self._leases[name]

    def drop(self, owner: str) -> None:
        """Take back all that an owner held."""
        self._leases = {name: lease for name, lease in self._leases.items() if lease[0] != owner}

    def tick(self, fold_epochs: int) -> None:
        """So many fold-epochs have been trained."""
        self._trained += fold_epochs

    def trained(self) -> int:
        """Fold-epochs trained since the start."""
        return self._trained

    def say(self, text: str) -> None:
        """What a person should know; several workers may find the same."""
        self._said.setdefault(text, False)

    def heard(self) -> list[str]:
        """What has been said since the last question."""
        new = [text for text, heard in self._said.items() if not heard]
        self._said |= dict.fromkeys(new, True)
        return new


@dataclass(frozen=True)
class DeskLease:
    """One owner's side of the desk, with the numbers of its leases."""

    desk: Any  # the actor's handle
    owner: str
    _numbers: dict[str, int] = field(default_factory=dict)

    def acquire(self, name: str) -> bool:
        """See `Desk.acquire`."""
        self._numbers[name] = ray.get(self.desk.acquire.remote(name, self.owner))
        return self._numbers[name] > 0

    def holds(self, name: str) -> bool:
        """See `Desk.holds`."""
        return bool(ray.get(self.desk.holds.remote(name, self._numbers.get(name, 0))))

    def release(self, name: str) -> None:
        """See `Desk.release`."""
        ray.get(self.desk.release.remote(name, self._numbers.get(name, 0)))

    def tick(self, fold_epochs: int) -> None:
        """See `Desk.tick`; nobody waits for it."""
        self.desk.tick.remote(fold_epochs)

    def say(self, text: str) -> None:
        """See `Desk.say`."""
        self.desk.say.remote(text)


@dataclass(frozen=True, eq=False)
class Job:
    """What all trials of a study share; it travels once."""

    study: Study
    setting: Setting
    folder: Path
    desk: Any


@dataclass(frozen=True)
class StageOrder:
    """One stage to be trained as a task; `seed` is the trials', which names the partition."""

    hyperparameters: Hyperparameters
    request: recipe.Request
    seed: int


@ray.remote
def train_stage(order: StageOrder, setting: Setting, desk: Any, *earlier: None) -> None:
    """Find or train one stage. Ray waits for the tasks of earlier stages, since each is an argument of its own.

    No lease is asked for: the driver hands each name out once, and a task that waits for an answer lends its core away.
    """
    del earlier
    hyperparameters, request = order.hyperparameters, order.request
    own = DeskLease(desk, "")
    place = workshop(setting, hyperparameters, order.seed, lease=Alone(), tick=own.tick, say=own.say)
    stages.obtain(place, hyperparameters, request)


def trial(config: dict[str, Any], job: Job) -> None:
    """One trial: a loop with one report in it. The stage store has each epoch before the report."""
    hyperparameters = job.study.hyperparameters(config["params"])
    lease = DeskLease(job.desk, f"trial {config['trial']}")
    seed = trial_seed(job.study.search.seed, config["replicate"])
    place = workshop(job.setting, hyperparameters, seed, lease=lease, tick=lease.tick, say=lease.say)
    request = trial_request(job.study, job.setting, hyperparameters, config["replicate"])
    planned = job.study.planned_epochs(config["params"])
    scores = job.folder / "trials" / trial_name(job.study, config) / SCORES
    begun = time.monotonic()
    for step, (epoch, reused) in enumerate(stages.trial_epochs(place, hyperparameters, request), start=1):
        metrics = dict(epoch.metrics) | {"train_loss": epoch.train_loss, "seconds": time.monotonic() - begun}
        _save_scores(scores, epoch)
        tune.report(
            {
                "trial": config["trial"],
                "stage": epoch.stage,
                "cycle": epoch.cycle,
                "epoch": epoch.epoch,
                "step": step,
                "planned": planned,
                "reused": reused,
                "metrics": metrics,
                "score": objective.score(job.study.objective, metrics, _floor(job, config["trial"], step, metrics)),
            }
        )
        begun = time.monotonic()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _floor(job: Job, number: int, step: int, metrics: Mapping[str, float]) -> float | None:
    """The floor of the rule "floor": as the space says, else under what the baseline has reached by this step."""
    if job.study.objective.rule != "floor":
        return None
    baseline = read_trial(job.folder / "trials.jsonl", BASELINE)
    known = {epoch.step: epoch.metrics["lwlrap"] for epoch in baseline.epochs} if baseline else {}
    if number == BASELINE:
        known[step] = metrics["lwlrap"]
    return objective.floor_at(job.study.objective, known, step)


def trial_name(study: Study, config: Mapping[str, Any]) -> str:
    """`0007-site=stage4 alpha=0.2`: a trial's folder."""
    return f"{config['trial']:04d}-{differs(study, config['params'])}"


def _save_scores(path: Path, epoch: Epoch) -> None:
    """The out-of-fold scores beside the trial, replaced in one step."""
    if not epoch.outputs:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as file:
        np.savez_compressed(file, **{k: epoch.outputs[k] for k in ("recording_scores", "box_scores", "folds")})  # type: ignore[arg-type]
    partial.replace(path)
