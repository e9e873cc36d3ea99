"""A sound world, small enough to be copied for each case: data, space, study, bundle, model, audit, truth, scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_model import write_model
from made_study import ended, epoch, started, write
from tiny import KNOBS, Sound, fixed, write_folder

from rfcx_model.hyperparameters import build, flatten
from rfcx_model.recordings import load as load_data
from study import audit, bundle, space
from study.display import Display
from study.order import Order
from study.recipe import trial_request
from study.scored import write_ruler
from study.setting import Alone, Setting, workshop
from study.stages import trial_epochs
from study.study_folder import write_study

SPACE = """[scientific]
"stage3.mixup_site" = { choices = ["none", "input"] }
[nuisance]
"stage3.focal_gamma" = { low = 0.0, high = 4.0 }
[search]
sampler = "random"
scheduler = "none"
folds = 2
[budget]
trials = 3
""" + fixed(KNOBS)


def write_world(folder: Path) -> Path:
    """Write it."""
    folder.mkdir(parents=True)
    data = write_folder(folder / "data", Sound(recordings=6, test_recordings=3))
    (folder / "space.toml").write_text(SPACE, encoding="utf-8")
    _study(folder, data)
    _bundle(folder / "bundle")
    write_model(folder / "model", data)
    audit.audit(folder / "model", data, folder / "audit", audit.Asked(windows=6, species=(0,)), Display())
    names = [f"test{k:03d}" for k in range(3)]
    rows = [f"{name},0.{k + 1},0.5,0.2" for k, name in enumerate(names)]
    (folder / "submission.csv").write_text("\n".join(["recording_id,s0,s1,s2", *rows]) + "\n", encoding="utf-8")
    truth = [
        "recording_id,s0,s1,s2",
        *(f"{name},{','.join('01'[k == s] for s in range(3))}" for k, name in enumerate(names)),
    ]
    (folder / "truth.csv").write_text("\n".join(truth) + "\n", encoding="utf-8")
    _judged(folder, data)
    return folder


def _study(folder: Path, data: Path) -> None:
    """A study of two finished trials, without their scores on file."""
    asked, recordings = space.load(folder / "space.toml"), load_data(data)
    setting = Setting(recordings, 2, folder / "cache", folder / "store", threads=1)
    order = Order(data=data, out=folder, cache=folder / "cache", store=folder / "store")
    write_study(asked, setting, folder / "study", order)
    events = []
    for number in range(2):
        config = asked.config({**asked.baseline, "stage3.focal_gamma": 1.0 + number})
        metrics: dict[str, float | None] = {
            "lwlrap": 0.5 + 0.1 * number,
            "precision": 0.3,
            "tpfp_auc": 0.4,
            "score": 0.45 + 0.05 * number,
        }
        begun = started(number, 1.0 * number, {}, "search" if number else "baseline")
        events += [{"v": 1, **begun, "config": config}, {"v": 1, **epoch(number, 1, number + 0.1, metrics)}]
        events += [{"v": 1, **ended(number, number + 0.2, "COMPLETE", metrics["score"])}]
    lines = (json.dumps(event, separators=(",", ":")) for event in events)
    (folder / "study" / "trials.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _judged(folder: Path, data: Path) -> None:
    """A study of one finished trial whose models stand in its store and whose out-of-fold scores are on file."""
    recordings, h = load_data(data), build(KNOBS | {"stage2.epochs": 0, "stage3.epochs": 0})
    torch.set_num_threads(1)  # part of what made the stage
    setting = Setting(recordings, 2, folder / "cache", folder / "judged" / "stages", threads=1)
    shop = workshop(setting, h, 0, lease=Alone(), tick=lambda _: None)
    *_, (last, _) = trial_epochs(shop, h, trial_request(h, (0, 1), 0, "stage1"))
    scores = Path("trials/0000-made/scores.npz")
    (folder / "judged" / scores).parent.mkdir(parents=True)
    names = ("recording_scores", "box_scores", "folds")
    told: dict[str, Any] = {name: last.outputs[name] for name in names}
    np.savez(folder / "judged" / scores, **told)
    begun = {**started(0, 0.0, {}), "config": flatten(h), "seed": 0}
    facts = {
        "name": "judged",
        "data": {"fingerprint": recordings.fingerprint},
        "search": {"folds": 2},
        "store": "elsewhere",  # so that its own stages are used wherever it is copied to
        "cache": str(setting.cache),
        "threads": 1,
    }
    done = {**ended(0, 0.5, "COMPLETE", 0.5), "scores": str(scores)}
    write(folder / "judged", facts, [begun, epoch(0, 1, 0.1, {}), done])
    write_ruler(folder / "judged", recordings)
    (folder / "truth").mkdir()
    shutil.copyfile(folder / "truth.csv", folder / "truth" / "test_truth.csv")


def _bundle(folder: Path) -> None:
    made = bundle.Bundle(build(KNOBS), 2, 1, 0, None, None, "little", 1, None, 0.5, {}, {}, None)
    folder.mkdir()
    (folder / "config.json").write_text(bundle.to_json(made), encoding="utf-8")
