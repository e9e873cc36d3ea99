"""A model's folder: what stands in it, and how it is loaded. No pickle, nothing outside it, nothing unchecked."""

from __future__ import annotations

import csv
import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rfcx_model import compute, network, predict, spectrogram
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Frontend, Hyperparameters, build
from rfcx_model.priors import Priors
from study.bundle import CONFIG

FORMAT: Final = 1
SPECIES: Final = "species.csv"
FRONT_END: Final = "frontend.safetensors"
"""The mel basis: what predicts needs no librosa, and no other version of it changes what a model hears."""

_BASIS: Final = "mel_basis"


def write_front_end(folder: Path, frontend: Frontend) -> None:
    """Write the mel basis (mel, bin)."""
    save_file({_BASIS: torch.from_numpy(spectrogram.mel_basis(frontend))}, folder / FRONT_END)


def load_model(folder: Path) -> predict.Model:
    """A model folder, every file checked against its hash.

    Raises:
        InputError: the folder is no model, of another format, or a file is missing or has changed.
    """
    config = read_config(folder)
    needed = {SPECIES, *(f"fold{fold}.safetensors" for fold in range(config["folds"]))}
    for name in sorted(needed - set(config["sha256"])):
        raise InputError(f"{folder / CONFIG}: it has no hash of {name}. Train the model again.")
    for name, wanted in config["sha256"].items():
        _check(folder, name, wanted)
    try:
        hyperparameters: Hyperparameters = build(config["hyperparameters"])
    except ValidationError as error:
        said = error.errors()[0]
        where = ".".join(map(str, said["loc"]))
        raise InputError(f"{folder / CONFIG}: `{where}`: {said['msg']}. Train the model with this version.") from None
    species = _species(folder / SPECIES)
    place = compute.best()
    nets = []
    for fold in range(config["folds"]):
        weights = _tensors(folder / f"fold{fold}.safetensors")
        try:
            nets.append(network.restored(hyperparameters.network, len(species), weights, place))
        except RuntimeError as error:
            raise InputError(f"{folder}/fold{fold}.safetensors: {error}. Train the model again.") from None
    if FRONT_END in config["sha256"]:
        _hear_with(folder / FRONT_END, hyperparameters.frontend)
    return predict.Model(nets, hyperparameters, species)


def _check(folder: Path, name: str, wanted: object) -> None:
    if Path(name).name != name:
        raise InputError(f"{folder / CONFIG}: a model's files stand in its folder, but got {name!r}. Do not trust it.")
    path = folder / name
    if not path.is_file():
        raise InputError(f"{path}: missing. Train the model again, or restore the file.")
    if digest(path) != wanted:
        raise InputError(f"{path}: its content is not what was written. Train the model again, or restore the file.")


def _species(path: Path) -> tuple[int, ...]:
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return tuple(int(row["species_id"]) for row in csv.DictReader(file))
        except (KeyError, ValueError, TypeError):
            raise InputError(f"{path}: a column species_id of numbers is needed. Train the model again.") from None


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: {error}. Train the model again.") from None


def _hear_with(path: Path, frontend: Frontend) -> None:
    basis = _tensors(path).get(_BASIS)
    wanted = (frontend.n_mels, frontend.n_fft // 2 + 1)
    if basis is None or tuple(basis.shape) != wanted or basis.dtype != torch.float32:
        raise InputError(f"{path}: it must hold {_BASIS} {wanted} of float32. Train the model again.")
    spectrogram.use_basis(frontend, basis.numpy())


def fitted_priors(folder: Path) -> Priors:
    """The class priors of a model folder.

    Raises:
        InputError: it has none, or they are damaged.
    """
    told = read_config(folder).get("priors")
    if told is None:
        raise InputError(
            f"{folder / CONFIG}: --priors needs priors that were fitted out of fold, but there are none: models of all "
            "recordings have no such scores. Predict without --priors, or train one model a fold."
        )
    try:
        return TypeAdapter(Priors).validate_python(told)
    except ValidationError as error:
        raise InputError(f"{folder / CONFIG}: priors: {error.errors()[0]['msg']}. Train the model again.") from None


def read_config(folder: Path) -> dict[str, Any]:
    """A model's config.json.

    Raises:
        InputError: the folder is no model, or of another format.
    """
    path = folder / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, folds = config["format"], config["folds"]
        config["hyperparameters"], config["sha256"].items()
        if not isinstance(folds, int) or folds < 1:
            raise ValueError("folds")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{folder}: not a model folder. Make one with `rfcx-study train`.") from None
    if version != FORMAT:
        raise InputError(f"{path}: this program reads models of format {FORMAT}, but got {version!r}. Train it again.")
    return config


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        whole = sha256()
        while chunk := file.read(1 << 22):
            whole.update(chunk)
    return whole.hexdigest()
