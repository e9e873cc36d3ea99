"""A made-up study's folder: a known truth, noise, pruned, failed and unfinished trials. No training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rfcx_model.hyperparameters import knobs
from study.trials import read_trials

SITES = ["none", "input", "stage3", "stage4"]
EPOCHS = 6
START = 1_764_000_000.0

STUDY: dict[str, Any] = {
    "name": "mixup",
    "question": "At which depth does mixup help most?",
    "signature": "3f" * 32,
    "fixed": {"network.backbone": "resnet18"},
    "knobs": [
        {"name": "stage3.mixup_site", "role": "scientific", "distribution": {"choices": SITES}},
        {
            "name": "stage3.mixup_alpha",
            "role": "nuisance",
            "distribution": {"low": 0.05, "high": 2.0, "log": True},
            "when": {"stage3.mixup_site": ["input", "stage3", "stage4"]},
        },
        {"name": "stage3.pseudo_threshold", "role": "nuisance", "distribution": {"low": 0.3, "high": 0.95}},
        {"name": "stage3.focal_gamma", "role": "nuisance", "distribution": {"low": 0.0, "high": 4.0}},
    ],
    "baseline": {"stage3.mixup_site": "input"},
    "objective": {"rule": "weighted", "lwlrap": 0.5, "precision": 0.5, "precision_form": "precision"},
    "search": {"sampler": "tpe", "scheduler": "asha", "folds": 3, "seed": 7},
    "budget": {"trials": 20, "hours": None},
    "resources": {"cpus": 1, "gpus": 0, "concurrent": 2},
    "data": {"folder name": "forest", "fingerprint": "ab" * 16, "recordings": 120, "tp_rows": 300, "fp_rows": 900},
    "folds_hash": "cd" * 16,
    "seed": 7,
    "versions": {"python": "3.11.9", "torch": "2.15.0", "ray": "2.60.0"},
    "commit": "0123456789abcdef",
    "command": "rfcx-study run search_spaces/mixup.toml --data forest --trials 20",
    "fold_epochs": {"shared": 36, "trial": 360, "unshared": 1080},
}


def make_study(folder: Path, trials: int = 20, seed: int = 1) -> Path:
    """Write study.json and trials.jsonl: trial 0 the baseline, trial 5 failed, trial 6 running, some pruned."""
    generator = np.random.default_rng(seed)
    lines: list[dict[str, Any]] = []
    for number in range(trials):
        lines.extend(_trial(number, generator))
    write(folder, STUDY, lines)
    return folder


def write(folder: Path, study: dict[str, Any], events: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    text = "".join(json.dumps({"v": 1, **event}) + "\n" for event in events)
    (folder / "trials.jsonl").write_text(text, encoding="utf-8")
    assert len(read_trials(folder / "trials.jsonl")) == len({event["trial"] for event in events})


def started(number: int, time: float, params: dict[str, Any], origin: str = "search") -> dict[str, Any]:
    return {
        "event": "started",
        "trial": number,
        "time": time,
        "origin": origin,
        "attempt": 1,
        "replicate": 0,
        "seed": 7,
        "name": f"{number:04d}-{'baseline' if origin == 'baseline' else 'made'}",
        "config": {**knobs(), **params},
        "proposal": params,
    }


def epoch(number: int, step: int, time: float, metrics: dict[str, float | None]) -> dict[str, Any]:
    return {
        "event": "epoch",
        "trial": number,
        "time": time,
        "stage": 3,
        "cycle": 1,
        "epoch": step,
        "step": step,
        "reused": False,
        "metrics": metrics,
    }


def ended(number: int, time: float, state: str, score: float | None, reason: str = "") -> dict[str, Any]:
    return {"event": "ended", "trial": number, "time": time, "state": state, "score": score, "reason": reason}


def _params(number: int, generator: np.random.Generator) -> dict[str, Any]:
    if number == 0:
        return {
            "stage3.mixup_site": "input",
            "stage3.mixup_alpha": 0.1,
            "stage3.pseudo_threshold": 0.9,
            "stage3.focal_gamma": 2.0,
        }
    params: dict[str, Any] = {"stage3.mixup_site": str(generator.choice(SITES))}
    if params["stage3.mixup_site"] != "none":
        params["stage3.mixup_alpha"] = float(np.exp(generator.uniform(np.log(0.05), np.log(2.0))))
    params["stage3.pseudo_threshold"] = float(generator.uniform(0.3, 0.95))
    params["stage3.focal_gamma"] = float(generator.uniform(0.0, 4.0))
    return params


def _trial(number: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    params = _params(number, generator)
    quality = (
        0.62 + 0.03 * SITES.index(params["stage3.mixup_site"]) - 0.08 * (params["stage3.pseudo_threshold"] - 0.6) ** 2
    )
    quality += float(generator.normal(0.0, 0.012))
    begun = START + 200.0 * number
    events = [started(number, begun, params, "baseline" if number == 0 else "search")]
    if number == 5:
        return [*events, ended(number, begun + 3, "FAILED", None, "RuntimeError: DataLoader worker was killed")]
    pruned = number > 3 and quality < 0.645 and number != 6
    last = 2 if pruned or number == 6 else EPOCHS
    metrics: dict[str, float | None] = {}
    for step in range(1, last + 1):
        metrics = _metrics(quality, step, generator)
        events.append(epoch(number, step, begun + 30.0 * step, metrics))
    if number == 6:
        return events
    state = "PRUNED" if pruned else "COMPLETE"
    return [*events, ended(number, begun + 30.0 * last + 1, state, metrics["score"])]


def _metrics(quality: float, step: int, generator: np.random.Generator) -> dict[str, float | None]:
    lwlrap = quality - 0.25 * float(np.exp(-step / 1.5)) + float(generator.normal(0, 0.004))
    precision = lwlrap - 0.12 + float(generator.normal(0, 0.02))
    return {
        "lwlrap": lwlrap,
        "precision": precision,
        "precision_avg": precision + 0.05,
        "tpfp_auc": precision + 0.1,
        "recall": 0.6,
        "train_loss": float(np.exp(-step / 4)),
        "seconds": 30.0,
        "score": 0.5 * lwlrap + 0.5 * precision,
        "diary_lwlrap": lwlrap + 0.1,
        "diary_precision": precision + 0.1,
    }
