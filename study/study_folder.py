"""A study's folder: where it stands, and what `study.json` and `folds.csv` say. Knows no Ray."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from rfcx_model.folds import folds_hash
from rfcx_model.hyperparameters import Network
from study.scored import write_ruler
from study.setting import Setting, trial_seed
from study.space import Study
from study.whole_file import write_whole
from study.work import planned_work

LIBRARIES = ("ray", "optuna", "torch", "timm", "librosa", "numpy", "pandas", "scikit-learn")


@dataclass(frozen=True)
class Order:
    """Where a study's things are, and what the command line adds to the space."""

    data: Path
    out: Path
    cache: Path
    store: Path | None = None
    address: str | None = None
    trials: int | None = None
    hours: float | None = None


def networks(study: Study) -> list[Network]:
    """The networks of a space: each searched backbone, else the baseline's."""
    backbones = [knob for knob in study.knobs if knob.name == "network.backbone"]
    base = study.hyperparameters(study.baseline).network
    return [replace(base, backbone=str(choice)) for choice in backbones[0].choices] if backbones else [base]


def write_study(study: Study, setting: Setting, folder: Path, order: Order) -> None:
    """study.json, folds.csv and listed.npz, written anew at each start."""
    folder.mkdir(parents=True, exist_ok=True)
    recordings = setting.recordings
    partitions = [setting.folds(trial_seed(study.search.seed, n)) for n in range(study.search.replicates)]
    hashes = [folds_hash(recordings, folds) for folds in partitions]
    facts = study.resolved() | {
        "signature": study.signature(recordings.fingerprint),
        "data": {
            "folder name": order.data.name,
            "path": str(order.data.absolute()),
            "fingerprint": recordings.fingerprint,
            "recordings": len(recordings.train),
            "tp_rows": int(recordings.boxes["positive"].sum()),
            "fp_rows": int((~recordings.boxes["positive"]).sum()),
            "species": list(recordings.species),
        },
        "folds_hash": hashes[0],
        "folds_hashes": hashes,
        "seed": study.search.seed,
        "fold_epochs": planned_work(study, setting, order.trials).fold_epochs(),
        "versions": versions(),
        "commit": commit(),
        "command": " ".join(["rfcx-study", *sys.argv[1:]]),
        "store": str(setting.store),
        "cache": str(setting.cache),
        "threads": setting.threads,
    }
    if not (folder / "folds.csv").exists():  # `confirm` adds its own replicates to it
        write_folds(study, setting, folder, study.search.replicates)
    write_ruler(folder, recordings)
    write_whole(folder / "study.json", json.dumps(facts, indent=1) + "\n")


def write_folds(study: Study, setting: Setting, folder: Path, replicates: int) -> None:
    """folds.csv with the partitions of so many replicates; fold −1 is the lockbox."""
    ids = setting.recordings.train["recording_id"]
    rows = [
        f"{recording},{replicate},{fold}\n"
        for replicate in range(replicates)
        for recording, fold in zip(ids, setting.folds(trial_seed(study.search.seed, replicate)), strict=True)
    ]
    write_whole(folder / "folds.csv", "recording_id,replicate,fold\n" + "".join(rows))


def versions() -> dict[str, str]:
    """Of Python and the libraries that a study rests on."""
    return {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES}


def commit() -> str:
    """The commit of this code where it runs from a checkout."""
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return asked.stdout.strip() or "unknown"
