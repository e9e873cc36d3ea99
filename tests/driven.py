"""A study driven without Ray and training, one trial at a time: searcher, scheduler, ledger and mirrors are real."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from study.budget import spent
from study.display import Display
from study.events import EndState
from study.optuna_journal import OptunaJournal
from study.recorder import Mirror, Recorder, Start
from study.scheduler import StudyScheduler
from study.searcher import StudySearcher
from study.space import Study, load
from study.trainable import trial_name
from study.trials import Ledger, read_trials

EPOCHS = 4
TRIALS = 30
SPACE = f"""
[scientific]
"stage3.mixup_site" = {{ choices = ["none", "input", "stage4"] }}
[nuisance]
"stage3.mixup_alpha" = {{ low = 0.05, high = 2.0, log = true, when = {{ "stage3.mixup_site" = ["input", "stage4"] }} }}
"stage3.focal_gamma" = {{ low = 0.0, high = 4.0 }}
[fixed]
"stage3.epochs" = {EPOCHS}
[[try]]
"stage3.focal_gamma" = 1.0
[search]
sampler = "SAMPLER"
seed = 7
[budget]
trials = {TRIALS}
"""


def score(number: int, params: dict[str, Any], step: int) -> float:
    """A made-up score; every sixth trial has none at its second epoch, as a loss that became NaN would."""
    if number % 6 == 5 and step == 2:
        return float("nan")
    site = {"none": 0.0, "input": 0.1, "stage4": 0.2}[params["stage3.mixup_site"]]
    gamma, alpha = float(params["stage3.focal_gamma"]), float(params.get("stage3.mixup_alpha", 1.0))
    noise = float(np.random.default_rng([number, step]).normal(0.0, 0.02))
    return (0.5 + site - 0.05 * abs(gamma - 1.5) - 0.01 * alpha) * (1.0 - 0.5**step) + noise


class Driven:
    """A driver that died as often as one is made anew on the same folder."""

    def __init__(self, study: Study, folder: Path, mirrors: Sequence[Mirror] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        ledger = Ledger(folder / "trials.jsonl")
        known = read_trials(ledger.path)
        display = Display(Console(file=io.StringIO()))
        if mirrors is None:
            mirrors = [OptunaJournal(folder, study, known, display.say)]
        self.study = study
        self.recorder = Recorder(study, ledger, known, display, EPOCHS, mirrors)
        self.scheduler = StudyScheduler(study.search, EPOCHS, known)
        for number, reason in self.scheduler.overdue.items():
            self.recorder.ended(number, "PRUNED", reason)
        over = partial(spent, study.budget, study.objective.noise, self.recorder.trials.values())
        known = list(self.recorder.trials.values())
        self.searcher = StudySearcher(study, known, study.budget.trials, lambda: bool(over()))

    def trial(self, pause_s: float = 0.0) -> bool:
        """The next trial, from its last finished epoch on; False where there is none."""
        config = self.searcher.suggest("ray")
        if not isinstance(config, dict):
            return False
        number, params = config["trial"], config["params"]
        self.recorder.started(
            Start(
                number=number,
                name=trial_name(self.study, config),
                origin=self.searcher.origin(number),
                attempt=config["attempt"],
                replicate=0,
                seed=0,
                config=self.study.config(params),
                proposal=self.searcher.proposal(number),
            )
        )
        state = self._epochs(number, params, pause_s)
        last = self.recorder.trials[number]
        true = self.searcher.tell(number, state, last.metrics.get("score"), last.metrics)
        self.recorder.ended(number, true, self.scheduler.pruned.get(number, ""))
        self.searcher.on_trial_complete("ray")
        return True

    def _epochs(self, number: int, params: dict[str, Any], pause_s: float) -> EndState:
        for step in range(1, EPOCHS + 1):
            time.sleep(pause_s)
            value = score(number, params, step)
            metrics = {"lwlrap": value, "precision": value, "tpfp_auc": value, "train_loss": 1.0 / step}
            facts = {"trial": number, "stage": 3, "cycle": 1, "epoch": step, "step": step, "planned": EPOCHS}
            result = {**facts, "reused": False, "metrics": metrics, "score": value}
            self.recorder.epoch(number, result)
            if not np.isfinite(value):
                return "FAILED"
            self.searcher.on_trial_result("ray", result)
            if self.scheduler.on_trial_result(None, None, result) == "STOP":  # type: ignore[arg-type]  # not looked at
                return "PRUNED"
        return "COMPLETE"

    def close(self) -> None:
        """As a driver that ends in peace."""
        self.recorder.close()


def space(folder: Path, sampler: str) -> Study:
    """The made-up study's space."""
    path = folder / f"{sampler}.toml"
    path.write_text(SPACE.replace("SAMPLER", sampler), encoding="utf-8")
    return load(path)
