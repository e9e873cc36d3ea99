"""A study's folder: where it stands, and what `study.json` and `folds.csv` say. Knows no Ray."""

from __future__ import annotations

import csv
import io
import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from rfcx_model.errors import InputError
from rfcx_model.folds import folds_hash
from rfcx_model.hyperparameters import Network
from rfcx_model.network import pretrained_digest
from study.call_tables import harmless
from study.order import Order
from study.scored import write_ruler
from study.setting import Setting, trial_seed
from study.space import Study
from study.study_json import read_study
from study.whole_file import write_whole
from study.work import planned_work

LIBRARIES = ("ray", "optuna", "torch", "timm", "librosa", "numpy", "pandas", "scikit-learn")


def networks(study: Study) -> list[Network]:
    """The networks of a space: each searched backbone with each of its pretrained weights, else the baseline's."""
    base = study.hyperparameters(study.baseline).network
    choices = {knob.name: knob.choices for knob in study.knobs}
    backbones = choices.get("network.backbone", (base.backbone,))
    sources = choices.get("network.pretrained", (base.pretrained,))
    return [replace(base, backbone=str(one), pretrained=str(weights)) for one in backbones for weights in sources]


def digests(networks: Iterable[Network]) -> dict[str, str]:
    """SHA-256 of the pretrained weights of each network that has some, by its source.

    Raises:
        InputError: they cannot be had.
    """
    return {one.source: pretrained_digest(one) for one in networks if one.source}


def refuse_other_weights(folder: Path, pretrained: Mapping[str, str]) -> None:
    """Refuse to carry on a study with pretrained weights other than those it began with.

    Raises:
        InputError: a source gives others than study.json says.
    """
    if not (folder / "study.json").exists():
        return
    known = read_study(folder).get("pretrained") or {}
    for name, here in pretrained.items():
        if known.get(name, here) != here:
            raise InputError(
                f"{folder}: {name} must give the weights that the study began with (SHA-256 {known[name][:12]}), but "
                f"gives others ({here[:12]}). Bring those back, or ask anew with --out elsewhere."
            )


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
        "pretrained": dict(setting.pretrained),
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
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("recording_id", "replicate", "fold"))
    for replicate in range(replicates):
        folds = setting.folds(trial_seed(study.search.seed, replicate))
        table.writerows((harmless(one), replicate, fold) for one, fold in zip(ids, folds, strict=True))
    write_whole(folder / "folds.csv", text.getvalue())


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
