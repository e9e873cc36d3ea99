"""config → Hyperparameters → epochs → report: one trial as Ray Tune runs it."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray import tune

from study import outcome, stages
from study.desk import DeskLease
from study.setting import Setting, trial_seed, workshop
from study.showcase import Showcase
from study.shown_file import due
from study.space import Study, differs
from study.work import trial_request

SCORES = "scores.npz"
LOCKBOX = "lockbox.npz"
SAVED = ("recording_scores", "box_scores", "folds")
Scores = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Job:
    """What all trials of a study share; it travels once."""

    study: Study
    setting: Setting
    folder: Path
    desk: Any


def trial(config: dict[str, Any], job: Job) -> None:
    """One trial: a loop with one report in it. The stage store has each epoch before the report."""
    _spare_what_stays()
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
        if epoch.outputs:
            _save_scores(folder / SCORES, *(epoch.outputs[name] for name in SAVED))
        if due(step, planned):
            show.save(folder, step, epoch)
        if config.get("confirm") and step == planned:
            on_lockbox, said = outcome.on_lockbox(job.study, place, hyperparameters, epoch)
            metrics |= on_lockbox
            if said is not None:
                _save_scores(folder / LOCKBOX, said.recording_scores, said.box_scores, said.folds)
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
                "score": outcome.score(job.study, job.folder / "trials.jsonl", config["trial"], step, metrics),
            }
        )
        begun = time.monotonic()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@cache
def _spare_what_stays() -> None:
    """What was imported is no garbage: to look through it takes a quarter of a second."""
    gc.freeze()


def trial_name(study: Study, config: Mapping[str, Any]) -> str:
    """`0007-site=stage4 alpha=0.2`: a trial's folder."""
    return f"{config['trial']:04d}-{differs(study, config['params'])}"


def _save_scores(path: Path, recording_scores: Scores, box_scores: Scores, folds: Scores) -> None:
    """What a trial's models say, beside the trial, replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as file:
        np.savez_compressed(file, recording_scores=recording_scores, box_scores=box_scores, folds=folds)
    partial.replace(path)
