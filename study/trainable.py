"""config → Hyperparameters → epochs → report: one trial as Ray Tune runs it."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray import tune

from rfcx_model.train import Epoch
from study import objective, stages
from study.desk import DeskLease
from study.scheduler import BASELINE
from study.setting import Setting, trial_seed, workshop
from study.showcase import Showcase
from study.shown_file import due
from study.space import Study, differs
from study.trials import read_trial
from study.work import trial_request

SCORES = "scores.npz"


@dataclass(frozen=True, eq=False)
class Job:
    """What all trials of a study share; it travels once."""

    study: Study
    setting: Setting
    folder: Path
    desk: Any


def trial(config: dict[str, Any], job: Job) -> None:
    """One trial: a loop with one report in it. The stage store has each epoch before the report."""
    hyperparameters = job.study.hyperparameters(config["params"])
    lease = DeskLease(job.desk, f"trial {config['trial']}")
    seed = trial_seed(job.study.search.seed, config["replicate"])
    place = workshop(job.setting, hyperparameters, seed, lease=lease, tick=lease.tick, say=lease.say)
    request = trial_request(job.study, job.setting, hyperparameters, config["replicate"])
    planned = job.study.planned_epochs(config["params"])
    folder = job.folder / "trials" / trial_name(job.study, config)
    show = Showcase(job.setting.recordings, place.corpus, place.compute, hyperparameters, request.held_out)
    begun = time.monotonic()
    for step, (epoch, reused) in enumerate(stages.trial_epochs(place, hyperparameters, request), start=1):
        metrics = dict(epoch.metrics) | {"train_loss": epoch.train_loss, "seconds": time.monotonic() - begun}
        _save_scores(folder / SCORES, epoch)
        if due(step, planned):
            show.save(folder, step, epoch)
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
