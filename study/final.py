"""From a bundle to a model folder, and from a model folder to a submission. Nothing that is loaded is a pickle."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rfcx_model import compute, network, predict
from rfcx_model.errors import InputError, RunError
from rfcx_model.hyperparameters import Hyperparameters, build, flatten
from rfcx_model.recordings import Recordings, load
from study import recipe
from study.bundle import CARD, CONFIG, Bundle, load_bundle
from study.display import Display
from study.machine import cores
from study.setting import Setting, spectrograms
from study.stage_tasks import StageOrder, train_stages
from study.store import open_store
from study.work import stored_request

FORMAT: Final = 1
SPECIES: Final = "species.csv"


@dataclass(frozen=True)
class Places:
    """Folders of a final training: a stage store (None: the study's, else one beside the model) and a cache."""

    store: Path | None
    cache: Path


def train(bundle_folder: Path, data: Path, to: Path, places: Places, display: Display) -> Path:
    """Train all fold models of a bundle's config, and write them as a model folder.

    What the search has trained on the same data stands in its store and is taken from there. An interrupted training
    goes on from its last epoch.

    Raises:
        InputError: bundle or data are unsound, or the target exists.
        RunError: a stage failed.
    """
    if os.path.lexists(to):
        raise InputError(f"{to}: exists already. Give a folder that does not exist yet, or remove it.")
    bundle = load_bundle(bundle_folder)
    recordings = load(data)
    hyperparameters = bundle.hyperparameters
    setting = Setting(
        recordings=recordings,
        n_folds=bundle.folds or 5,
        cache=places.cache,
        store=_store_folder(bundle, to, places),
        threads=min(bundle.threads, cores()),
    )
    spectrograms(recordings, hyperparameters.frontend, places.cache, display)
    torch.set_num_threads(setting.threads)  # part of what made a stored result, so before the store is asked
    store, partition = open_store(setting.store, compute.best()), setting.partition(bundle.seed)
    request = stored_request(store, partition, hyperparameters, bundle.seed)
    if request is None:
        request = recipe.trial_request(hyperparameters, range(setting.n_folds), bundle.seed)
    name = request.name(hyperparameters, partition)
    to.absolute().parent.mkdir(parents=True, exist_ok=True)
    stored = store.load(name)
    if stored is None or stored.epoch < request.epochs(hyperparameters):
        needed = [*recipe.earlier(request), request]
        train_stages(setting, [StageOrder(hyperparameters, one, bundle.seed) for one in needed], display)
    else:
        display.say("every stage was found in the store; nothing was trained")
    trained = store.load(name)
    if trained is None:
        raise RunError(f"{name} was trained but is not in {setting.store}")
    weights = [trained.state.weights(index) for index in range(setting.n_folds)]
    _write_model(to, bundle, recordings, weights, dict(trained.state.facts["metrics"]))
    return to


def _store_folder(bundle: Bundle, to: Path, places: Places) -> Path:
    if places.store is not None:
        return places.store
    if bundle.store is not None and Path(bundle.store).is_dir():
        return Path(bundle.store)
    return to.absolute().with_name(f"{to.name}-stages")


def _write_model(
    to: Path,
    bundle: Bundle,
    recordings: Recordings,
    weights: list[dict[str, torch.Tensor]],
    metrics: dict[str, float | None],
) -> None:
    """All files or none: made beside the target, then renamed."""
    to.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
    try:
        half.chmod(0o755)
        for fold, tensors in enumerate(weights):
            save_file(tensors, half / f"fold{fold}.safetensors")
        column = "\n".join(["species_id", *map(str, recordings.species)]) + "\n"
        (half / SPECIES).write_text(column, encoding="utf-8")
        (half / CARD).write_text(_card(bundle, recordings, metrics, len(weights)), encoding="utf-8")
        config = {
            "format": FORMAT,
            "hyperparameters": flatten(bundle.hyperparameters),
            "folds": len(weights),
            "data_fingerprint": recordings.fingerprint,
            "study": bundle.study,
            "trial": bundle.trial,
            "metrics": metrics,
            "sha256": {path.name: _sha256(path) for path in sorted(half.iterdir())},
        }
        (half / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        half.rename(to)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


def _card(bundle: Bundle, recordings: Recordings, metrics: dict[str, float | None], folds: int) -> str:
    same = bundle.data_fingerprint == recordings.fingerprint
    lines = [
        f"# Model of {bundle.study}, trial {bundle.trial}",
        "",
        f"- Trained on {len(recordings.train)} recordings, {len(recordings.species)} species"
        f" ({'the data of the search' if same else 'other data than the search'})",
        f"- Data fingerprint {recordings.fingerprint}",
        f"- {folds} fold models; a prediction is the mean of theirs",
        f"- Seed {bundle.seed}; commit of the study {bundle.commit}",
        "",
        "Out-of-fold scores of these very models"
        + (" (where the search had no lockbox the trial was chosen by them, so they are optimistic):" if same else ":"),
        "",
        "| metric | value |",
        "| --- | ---: |",
        *(f"| {name} | {value:.4f} |" for name, value in metrics.items() if value is not None),
        "",
        "`rfcx-study predict MODEL --data DATA --to submission.csv` writes a submission.",
        "",
    ]
    return "\n".join(lines)


def load_model(folder: Path) -> predict.Model:
    """A model folder, every file checked against its hash.

    Raises:
        InputError: the folder is no model, of another format, or a file is missing or has changed.
    """
    config = _config(folder)
    needed = {SPECIES, *(f"fold{fold}.safetensors" for fold in range(config["folds"]))}
    for name in sorted(needed - set(config["sha256"])):
        raise InputError(f"{folder / CONFIG}: it has no hash of {name}. Train the model again.")
    for name, digest in config["sha256"].items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: missing. Train the model again, or restore the file.")
        if _sha256(path) != digest:
            raise InputError(
                f"{path}: its content is not what was written. Train the model again, or restore the file."
            )
    try:
        hyperparameters: Hyperparameters = build(config["hyperparameters"])
    except ValidationError as error:
        said = error.errors()[0]
        where = ".".join(map(str, said["loc"]))
        raise InputError(f"{folder / CONFIG}: `{where}`: {said['msg']}. Train the model with this version.") from None
    species = tuple(int(one) for one in pd.read_csv(folder / SPECIES)["species_id"])
    place = compute.best()
    nets = []
    for fold in range(config["folds"]):
        try:
            weights = load_file(folder / f"fold{fold}.safetensors")
            nets.append(network.restored(hyperparameters.network, len(species), weights, place))
        except (SafetensorError, RuntimeError) as error:
            raise InputError(f"{folder}/fold{fold}.safetensors: {error}. Train the model again.") from None
    return predict.Model(nets, hyperparameters, species)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = config["format"]
        config["sha256"], config["folds"], config["hyperparameters"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder}: not a model folder. Make one with `rfcx-study train`.") from None
    if version != FORMAT:
        raise InputError(f"{path}: this program reads models of format {FORMAT}, but got {version!r}. Train it again.")
    return config


def write_submission(model_folder: Path, data: Path, to: Path, display: Display) -> Path:
    """Predict the test recordings and write them in the order of sample_submission.csv; whole or not at all.

    Raises:
        InputError: model or data are unsound, they speak of other species, or the target exists.
    """
    if os.path.lexists(to):
        raise InputError(f"{to}: exists already. Give a file that does not exist yet, or remove it.")
    model, recordings = load_model(model_folder), load(data)
    if model.species != recordings.species:
        raise InputError(
            f"{model_folder}: it knows the species {list(model.species)}, but {data} asks for "
            f"{list(recordings.species)}. Predict with a model that was trained on data with these species."
        )
    torch.set_num_threads(1)
    place = compute.best()
    workers = cores() if place.device.type == "cpu" else 1
    with display.phase("recordings", len(recordings.test)):
        table = predict.submission(model, recordings.test, place, display.at, workers)
    to.parent.mkdir(parents=True, exist_ok=True)
    partial = to.with_name(f".{to.name}")
    try:
        table.to_csv(partial, index=False)
        partial.replace(to)
    finally:
        partial.unlink(missing_ok=True)
    return to


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
