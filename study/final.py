"""From a bundle to a model folder: its stages are found in a store or trained, then written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from rfcx_model import compute, priors
from rfcx_model.errors import InputError, RunError
from rfcx_model.hyperparameters import flatten
from rfcx_model.priors import Priors
from rfcx_model.recordings import Recordings, load
from study import recipe
from study.bundle import CARD, CONFIG, Bundle, load_bundle
from study.display import Display
from study.final_board import FinalBoard
from study.machine import cores
from study.model_folder import FORMAT, SPECIES, digest, write_front_end
from study.setting import Setting, spectrograms
from study.stage_tasks import StageOrder, train_stages
from study.store import Stored, open_store
from study.study_folder import digests
from study.work import stored_request


@dataclass(frozen=True)
class Places:
    """Folders of a final training: a stage store (None: the study's, else one beside the model), a cache, a board."""

    store: Path | None
    cache: Path
    board: Path | None = None  # of TensorBoard; None: beside the model


@dataclass(frozen=True, eq=False)
class Trained:
    """What a final training has made. `metrics` are out of fold, and empty for models of all recordings."""

    bundle: Bundle
    recordings: Recordings
    weights: Sequence[dict[str, torch.Tensor]]  # of each model
    metrics: Mapping[str, float | None]
    pretrained: Mapping[str, str]
    whole: bool  # whether each model has learnt from all recordings
    priors: Priors | None  # fitted out of fold


def train(bundle_folder: Path, data: Path, to: Path, places: Places, display: Display, whole: int = 0) -> Path:
    """Train all fold models of a bundle's config, and write them as a model folder.

    What the search has trained on the same data stands in its store and is taken from there. An interrupted training
    goes on from its last epoch. `whole` asks for so many models instead that each learn from all recordings.

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
        pretrained=bundle.pretrained or digests([hyperparameters.network]),
    )
    spectrograms(recordings, hyperparameters.frontend, places.cache, display)
    torch.set_num_threads(setting.threads)  # part of what made a stored result, so before the store is asked
    to.absolute().parent.mkdir(parents=True, exist_ok=True)
    requests = _requests(setting, bundle, whole)
    results = _results(setting, bundle, requests, places.board or to.with_name(f"{to.name}-tensorboard"), display)
    weights = [
        result.state.weights(place)
        for request, result in zip(requests, results, strict=True)
        for place in range(len(request.held_out))
    ]
    metrics = dict(results[0].state.facts["metrics"])
    fitted = None if whole else _priors(recordings, results[0].outputs)
    _write_model(to, Trained(bundle, recordings, weights, metrics, setting.pretrained, whole > 0, fitted))
    return to


def _priors(recordings: Recordings, outputs: Mapping[str, np.ndarray]) -> Priors | None:
    """Class priors fitted on the models' out-of-fold scores; None where these are not kept or list too little."""
    if not {"recording_scores", "folds"} <= outputs.keys():
        return None
    boxes = recordings.boxes[recordings.boxes["positive"]]
    truth = np.zeros((len(recordings.train), len(recordings.species)), dtype=bool)
    truth[boxes["recording"], boxes["species"]] = True
    try:
        return priors.fit(truth, outputs["recording_scores"], outputs["folds"])
    except ValueError:
        return None


def _requests(setting: Setting, bundle: Bundle, whole: int) -> list[recipe.Request]:
    """The last stages of a final training: of all folds abreast, or of so many models of all recordings."""
    h, folds = bundle.hyperparameters, range(setting.n_folds)
    if whole:
        return [recipe.whole_request(h, folds, bundle.seed, model) for model in range(whole)]
    store = open_store(setting.store, compute.best())
    known = stored_request(store, setting.partition(bundle.seed), h, bundle.seed)
    return [known or recipe.trial_request(h, folds, bundle.seed)]


def _results(
    setting: Setting, bundle: Bundle, requests: Sequence[recipe.Request], board: Path, display: Display
) -> list[Stored]:
    """The finished results of these stages, found or trained.

    Raises:
        RunError: a stage failed.
    """
    h, partition = bundle.hyperparameters, setting.partition(bundle.seed)
    store = open_store(setting.store, compute.best(), display.say)
    needed = list(dict.fromkeys(one for request in requests for one in (*recipe.earlier(request), request)))
    shown = FinalBoard(board, store, {_label(one): (one.name(h, partition), h) for one in needed})
    names = recipe.names(requests, h, partition)
    found = [store.load(name) for name in names]
    if any(one is None or one.epoch < asked.epochs(h) for one, asked in zip(found, requests, strict=True)):
        orders = [StageOrder(h, one, bundle.seed) for one in needed]
        train_stages(setting, orders, display, shown.look)
        found = [store.load(name) for name in names]
    else:
        display.say("every stage was found in the store; nothing was trained")
    shown.close()
    lost = [name for name, one in zip(names, found, strict=True) if one is None]
    if lost:
        raise RunError(f"{', '.join(lost)} was trained but is not in {setting.store}")
    return [one for one in found if one is not None]


def _label(request: recipe.Request) -> str:
    """How a stage is called on TensorBoard."""
    folds = " ".join("+".join(map(str, one)) or "none" for one in request.held_out)
    cycle = f" cycle {request.cycle}" if request.cycle > 1 else ""
    return f"{request.stage}{cycle}, held out {folds}, seed {request.seed % 10_000:04d}"


def _store_folder(bundle: Bundle, to: Path, places: Places) -> Path:
    if places.store is not None:
        return places.store
    if bundle.store is not None and Path(bundle.store).is_dir():
        return Path(bundle.store)
    return to.absolute().with_name(f"{to.name}-stages")


def _write_model(to: Path, made: Trained) -> None:
    """All files or none: made beside the target, then renamed."""
    bundle, recordings, weights = made.bundle, made.recordings, made.weights
    to.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
    try:
        half.chmod(0o755)
        for fold, tensors in enumerate(weights):
            save_file(tensors, half / f"fold{fold}.safetensors")
        column = "\n".join(["species_id", *map(str, recordings.species)]) + "\n"
        (half / SPECIES).write_text(column, encoding="utf-8")
        write_front_end(half, bundle.hyperparameters.frontend)
        (half / CARD).write_text(_card(made), encoding="utf-8")
        config = {
            "format": FORMAT,
            "hyperparameters": flatten(bundle.hyperparameters),
            "folds": len(weights),
            "data_fingerprint": recordings.fingerprint,
            "study": bundle.study,
            "trial": bundle.trial,
            "pretrained": dict(made.pretrained),
            "priors": None if made.priors is None else asdict(made.priors),
            "trained_on": "all recordings" if made.whole else "all folds but one",
            "metrics": dict(made.metrics),
            "sha256": {path.name: digest(path) for path in sorted(half.iterdir())},
        }
        (half / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        half.rename(to)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


def _card(made: Trained) -> str:
    bundle, recordings, metrics = made.bundle, made.recordings, made.metrics
    same = bundle.data_fingerprint == recordings.fingerprint
    lines = [
        f"# Model of {bundle.study}, trial {bundle.trial}",
        "",
        f"- Trained on {len(recordings.train)} recordings, {len(recordings.species)} species"
        f" ({'the data of the search' if same else 'other data than the search'})",
        f"- Data fingerprint {recordings.fingerprint}",
        f"- {_models(made)}; a prediction is the mean of theirs",
        f"- Seed {bundle.seed}; commit of the study {bundle.commit}",
        *_on_priors(made.priors),
        *(f"- Pretrained weights {name}, SHA-256 {digest}" for name, digest in made.pretrained.items()),
        "",
        *_out_of_fold(metrics, same),
        "",
        "`rfcx-study predict MODEL --data DATA --to submission.csv` writes a submission.",
        "",
    ]
    return "\n".join(lines)


def _models(made: Trained) -> str:
    count = len(made.weights)
    if made.whole:
        return f"{count} models of different seeds, each trained on all recordings"
    return f"{count} fold models"


def _on_priors(told: Priors | None) -> list[str]:
    if told is None:
        return []
    source = "how often a species is listed" if told.source == "listed" else "what the models hear on the whole"
    return [
        f"- Class priors (`predict --priors`) by {source}, weight {told.weight:g}: out-of-fold LWLRAP "
        f"{told.cross_fitted:.4f} instead of {told.plain:.4f}, fitted on the other folds each time"
    ]


def _out_of_fold(metrics: Mapping[str, float | None], same: bool) -> list[str]:
    if not metrics:
        return [
            "These models have learnt from every recording, so there is none left that could say how good they are."
        ]
    return [
        "Out-of-fold scores of these very models"
        + (" (where the search had no lockbox the trial was chosen by them, so they are optimistic):" if same else ":"),
        "",
        "| metric | value |",
        "| --- | ---: |",
        *(f"| {name} | {value:.4f} |" for name, value in metrics.items() if value is not None),
    ]
