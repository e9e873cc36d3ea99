"""Every finished trial against a known truth that no trial has seen.

A trial's fold models predict the test recordings as they would for a submission, and its saved out-of-fold scores are
held against the true species of the training recordings. Nothing here is read by `run`, the searcher or a trial.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd
import torch

from rfcx_model import compute, network, predict
from rfcx_model.compute import Compute
from rfcx_model.corpus import Sounds
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Frontend
from rfcx_model.metrics import lwlrap
from rfcx_model.predict import Model
from rfcx_model.recordings import Recordings
from study import truth_table
from study.display import Display
from study.judge import aligned, check_covers, read_truth
from study.machine import cores
from study.restored import same_data
from study.scored import out_of_fold
from study.setting import Lockbox, Setting
from study.store import Store, open_store
from study.study_json import read_study, recipe_of, stages_of
from study.trials import Trial, read_trials
from study.truth_table import Judged
from study.whole_file import write_whole
from study.work import stored_request

TEST: Final = "test_truth.csv"
TRAIN: Final = "train_truth.csv"
JUDGED_BY: Final = "truth.json"

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Truth:
    """Which species are really there."""

    paths: tuple[Path, ...]  # of the test recordings that are judged
    species: tuple[int, ...]  # indices into the data's species: those that the test truth speaks of
    test: np.ndarray  # (test recording, species of the truth) 0 or 1
    train: np.ndarray | None  # (recording, species) 0 or 1, in the order of the data
    digest: str  # of the tables


@dataclass(frozen=True, eq=False)
class Bench:
    """What trials are judged with; test recordings are kept for the trials that share them."""

    folder: Path
    truth: Truth
    setting: Setting
    store: Store
    place: Compute
    display: Display
    sounds: dict[tuple[Frontend, str], list[Sounds]] = field(default_factory=dict)


def judge_trials(study_folder: Path, truth_folder: Path, data: Path, display: Display) -> Path:
    """Judge the COMPLETE trials that have not been, and write truth.csv into the study's folder; returns its path.

    Raises:
        InputError: the folder is no study's or has no finished trial, the data are others, or a truth is unsound.
        LedgerError: the ledger is damaged in the middle.
    """
    study = read_study(study_folder)
    finished = [trial for trial in read_trials(study_folder / "trials.jsonl") if trial.state == "COMPLETE"]
    if not finished:
        raise InputError(f"{study_folder}: no trial is COMPLETE, so there is nothing to judge. `run` the study first.")
    bench = _bench(study_folder, study, truth_folder, data, display)
    facts = {"truth": bench.truth.digest, "store": str(bench.store.folder)}
    done = _known(study_folder, facts)
    write_whole(study_folder / JUDGED_BY, json.dumps(facts, indent=1) + "\n")
    left = [trial for trial in finished if trial.number not in done or done[trial.number].test_lwlrap is None]
    for count, trial in enumerate(sorted(left, key=lambda trial: _hears(study_folder, trial)), start=1):
        done[trial.number] = _judged(bench, trial)
        truth_table.write(study_folder, done.values())
        display.say(f"{count}/{len(left)}  trial {trial.name}: {done[trial.number]}")
    lost = [str(trial.number) for trial in left if done[trial.number].test_lwlrap is None]
    if lost:
        display.say(
            f"trials {', '.join(lost)} cannot predict: their weights are not in {bench.store.folder}, "
            "or were made by other code, versions or device"
        )
    return study_folder / truth_table.TRUTH_CSV


def read_truths(folder: Path, recordings: Recordings) -> Truth:
    """test_truth.csv and, where it is there, train_truth.csv, as the data order them.

    Raises:
        InputError: there is no test_truth.csv, a table is unsound, or it speaks of other recordings or species.
    """
    if not (folder / TEST).is_file():
        raise InputError(
            f"{folder}: it must hold {TEST} (recording_id, s0, s1, ... of 0 and 1), but it does not. "
            "Give a folder such as the FOREST-truth of `synthesize`."
        )
    columns = pd.Index([f"s{species}" for species in recordings.species])
    test = read_truth(folder / TEST)
    check_covers(pd.Index(recordings.test["recording_id"]), columns, test.index, test.columns, recordings.folder)
    train = None
    if (folder / TRAIN).exists():
        ids = pd.Index(recordings.train["recording_id"])
        train = aligned(read_truth(folder / TRAIN), ids, columns, folder / TRAIN)
    paths = recordings.test.set_index("recording_id")["path"]
    there = [folder / name for name in (TEST, TRAIN) if (folder / name).exists()]
    return Truth(
        paths=tuple(Path(paths[name]) for name in test.index),
        species=tuple(int(place) for place in columns.get_indexer(test.columns)),
        test=test.to_numpy(),
        train=train,
        digest=sha256(b"".join(path.read_bytes() for path in there)).hexdigest(),
    )


def _bench(folder: Path, study: Mapping[str, Any], truth: Path, data: Path, display: Display) -> Bench:
    try:
        store, search, cache, threads = (
            stages_of(folder, study),
            study["search"],
            Path(study["cache"]),
            study["threads"],
        )
        lockbox, folds = Lockbox(search.get("lockbox", 0.0), search.get("seed", 0)), search["folds"]
    except (KeyError, TypeError):
        raise InputError(f"{folder}/study.json: search, store, cache or threads are missing. `run` again.") from None
    recordings = same_data(folder, data)
    setting = Setting(
        recordings, folds, cache, store, threads, lockbox=lockbox, pretrained=dict(study.get("pretrained") or {})
    )
    truths = read_truths(truth, recordings)
    torch.set_num_threads(setting.threads)  # part of what made the weights, so before the store is opened
    place = compute.best()
    opened = open_store(store, place, display.say) if store.is_dir() else Store(store, {})
    torch.set_num_threads(1)
    return Bench(folder, truths, setting, opened, place, display)


def _known(folder: Path, facts: Mapping[str, str]) -> dict[int, Judged]:
    """What an earlier call has judged, by the same truth and with the same store; else that is forgotten."""
    try:
        same = json.loads((folder / JUDGED_BY).read_text(encoding="utf-8")) == facts
    except (OSError, ValueError):
        same = False
    if same:
        return truth_table.read(folder)
    for name in (JUDGED_BY, truth_table.TRUTH_CSV):
        (folder / name).unlink(missing_ok=True)
    return {}


def _judged(bench: Bench, trial: Trial) -> Judged:
    model = stored_model(bench, trial)
    return Judged(
        trial=trial.number,
        test_lwlrap=None if model is None else lwlrap(bench.truth.test, _said(bench, model)),
        train_truth_lwlrap=_out_of_fold(bench, trial),
    )


def _where(folder: Path, trial: Trial) -> str:
    return f"{folder / 'trials.jsonl'}, trial {trial.number}"


def _hears(folder: Path, trial: Trial) -> tuple[str, int]:
    """What sorts trials that hear recordings alike together."""
    h = recipe_of(trial.config, _where(folder, trial))
    return f"{h.frontend} {h.windows.normalise}", trial.number


def stored_model(bench: Bench, trial: Trial) -> Model | None:
    """The trial's fold models from the store, or None where they are not there whole."""
    hyperparameters, species = recipe_of(trial.config, _where(bench.folder, trial)), bench.setting.recordings.species
    partition = bench.setting.partition(trial.seed)
    request = stored_request(bench.store, partition, hyperparameters, trial.seed)
    stored = bench.store.load(request.name(hyperparameters, partition)) if request else None
    if request is None or stored is None or stored.epoch < request.epochs(hyperparameters):
        return None
    weights = [stored.state.weights(fold) for fold in range(partition.n_folds)]
    nets = [network.restored(hyperparameters.network, len(species), one, bench.place) for one in weights]
    return Model(nets, hyperparameters, species)


def _said(bench: Bench, model: Model) -> np.ndarray:
    """(test recording, species of the truth) probabilities, as a submission has them."""
    said = _each(bench, lambda sounds: predict.score_recording(model, sounds, bench.place), _sounds(bench, model))
    return np.stack(said)[:, bench.truth.species]


def _sounds(bench: Bench, model: Model) -> list[Sounds]:
    """The test recordings, encoded once for all trials that hear them alike."""
    h = model.hyperparameters
    key = (h.frontend, h.windows.normalise)
    if key not in bench.sounds:
        bench.sounds.clear()  # a front end's recordings at a time: they fill the memory
        bench.display.say(f"hearing {len(bench.truth.paths)} test recordings")
        bench.sounds[key] = _each(bench, lambda path: predict.hear(path, h, bench.place), bench.truth.paths)
    return bench.sounds[key]


def _each(bench: Bench, work: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """One task a core, each with one thread, so that none waits for another."""
    with ThreadPoolExecutor(cores() if bench.place.device.type == "cpu" else 1) as pool:
        return list(pool.map(work, tasks))


def _out_of_fold(bench: Bench, trial: Trial) -> float | None:
    """LWLRAP of the trial's out-of-fold scores against the truth; None where there is no truth or no scores."""
    if bench.truth.train is None or trial.scores is None or not (bench.folder / trial.scores).is_file():
        return None
    said = out_of_fold(bench.folder, trial)
    if said is None:
        bench.display.say(f"{bench.folder / trial.scores}: damaged, so this trial is not judged by it")
        return None
    scored = said.folds >= 0
    return lwlrap(bench.truth.train[scored], said.recording_scores[scored])
