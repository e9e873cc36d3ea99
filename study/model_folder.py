"""A model's folder, written and loaded: no pickle, nothing outside it, nothing unchecked."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rfcx_model import compute, network, predict, spectrogram
from rfcx_model.errors import InputError, RunError
from rfcx_model.hyperparameters import Frontend, Hyperparameters, flatten
from rfcx_model.priors import Priors
from study.bundle import CONFIG, checked_hyperparameters
from study.complaint import complaint
from study.json_file import read_object
from study.whole_folder import whole_folder

FORMAT: Final = 2
SPECIES: Final = "species.csv"
FRONT_END: Final = "frontend.safetensors"
"""The mel basis: what predicts needs no librosa, and no other version of it changes what a model hears."""

LONGEST_NAME: Final = 100
_BASIS: Final = "mel_basis"
_SEAL: Final = "config_sha256"
_AGAIN: Final = "Train the model again, or restore the file."


@dataclass(frozen=True, eq=False)
class Contents:
    """What is written. `facts` stand in config.json beside what the program needs; `pages` are texts by file name."""

    hyperparameters: Hyperparameters
    species: Sequence[int]
    weights: Sequence[Mapping[str, torch.Tensor]]  # of each fold model
    priors: Priors | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """config.json, checked: its own hash, and that it names what a model needs. `digest` is the whole model's."""

    hyperparameters: Hyperparameters
    folds: int
    sha256: Mapping[str, str]
    priors: Priors | None
    data_fingerprint: str | None
    digest: str


@checked(frozen=True, config=ConfigDict(extra="ignore", allow_inf_nan=False))
class _Said:
    hyperparameters: dict[str, Any]
    folds: int
    sha256: dict[str, str]
    priors: Priors | None = None
    data_fingerprint: str | None = None


def write_model(to: Path, made: Contents) -> Path:
    """Write a model's folder, whole or not at all.

    Raises:
        RunError: a weight is no number.
    """
    for fold, tensors in enumerate(made.weights):
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                raise RunError(
                    f"{to}: weights must be numbers, but {name} of model {fold} holds nan or inf: its training has "
                    "diverged, and nothing is written. Lower the learning rate, or train another trial."
                )
    with whole_folder(to) as folder:
        for fold, tensors in enumerate(made.weights):
            save_file(dict(tensors), folder / _weights(fold))
        column = "\n".join(["species_id", *map(str, made.species)]) + "\n"
        (folder / SPECIES).write_text(column, encoding="utf-8")
        basis = spectrogram.mel_basis(made.hyperparameters.frontend)
        save_file({_BASIS: torch.from_numpy(basis)}, folder / FRONT_END)
        for name, text in made.pages.items():
            (folder / name).write_text(text, encoding="utf-8")
        config = {
            "format": FORMAT,
            "hyperparameters": flatten(made.hyperparameters),
            "folds": len(made.weights),
            "priors": None if made.priors is None else TypeAdapter(Priors).dump_python(made.priors),
            **made.facts,
            "sha256": {path.name: digest(path) for path in sorted(folder.iterdir())},
        }
        sealed = {**config, _SEAL: seal(config)}
        (folder / CONFIG).write_text(json.dumps(sealed, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return to


def load_model(folder: Path) -> predict.Model:
    """A model folder, every file checked against its hash.

    Raises:
        InputError: the folder is no model, of another format, or a file is missing or has changed.
    """
    config = read_config(folder)
    for name in chain((SPECIES, FRONT_END), map(_weights, range(config.folds))):
        if name not in config.sha256:
            raise InputError(f"{folder / CONFIG}: it has no hash of {name}. Train the model again.")
    for name, wanted in config.sha256.items():
        _check(folder, name, wanted)
    species = _species(folder / SPECIES)
    if config.priors is not None and len(config.priors.log_prior) != len(species):
        got = f"{len(config.priors.log_prior)} priors for {len(species)} species"
        raise InputError(f"{folder / CONFIG}: a prior a species must stand, but got {got}. Train the model again.")
    place = compute.best()
    nets = []
    for path in (folder / _weights(fold) for fold in range(config.folds)):
        weights = _tensors(path)
        try:
            nets.append(network.restored(config.hyperparameters.network, len(species), weights, place))
        except RuntimeError:
            rule = f"its tensors must be those of {config.hyperparameters.network.backbone} for {len(species)} species"
            raise InputError(f"{path}: {rule}, but are not. Train the model again.") from None
    basis = _mel_basis(folder / FRONT_END, config.hyperparameters.frontend)
    return predict.Model(nets, config.hyperparameters, species, basis)


def load_model_for(folder: Path, species: Sequence[int], data: Path) -> predict.Model:
    """The model of a folder, for data that ask for these species in this order.

    Raises:
        InputError: the model is unsound, or knows other species.
    """
    model = load_model(folder)
    if model.species != tuple(species):
        way_out = "Use a model that was trained on data with these species."
        if set(model.species) == set(species):
            way_out = "Put the columns of sample_submission.csv into the model's order."
        raise InputError(
            f"{folder}: it knows the species {list(model.species)}, but {data} asks for {list(species)}. {way_out}"
        )
    return model


def fitted_priors(folder: Path) -> Priors:
    """The class priors of a model folder.

    Raises:
        InputError: it has none.
    """
    told = read_config(folder).priors
    if told is None:
        raise InputError(
            f"{folder / CONFIG}: --priors needs priors that were fitted out of fold, but there are none: models of all "
            "recordings have no such scores. Predict without --priors, or train one model a fold."
        )
    return told


def read_config(folder: Path) -> Config:
    """A model's config.json, checked against its own hash.

    Raises:
        InputError: the folder is no model, of another format, or its config.json has changed or is damaged.
    """
    path = folder / CONFIG
    try:
        said = read_object(path, _AGAIN)
        version, _ = said["format"], said["sha256"]  # a bundle has a format too, and no hashes
    except (FileNotFoundError, NotADirectoryError, KeyError):
        raise InputError(f"{folder}: not a model folder. Make one with `rfcx-study train`.") from None
    if version != FORMAT:
        raise InputError(f"{path}: this program reads models of format {FORMAT}, but got {version!r}. Train it again.")
    sealed = said.pop(_SEAL, None)
    if sealed != seal(said):
        raise InputError(f"{path}: its content is not what was written. {_AGAIN}")
    try:
        facts = TypeAdapter(_Said).validate_python(said)
    except ValidationError as error:
        raise InputError(f"{path}: {complaint(error)}. Train the model again.") from None
    if facts.folds < 1:
        raise InputError(f"{path}: a model has at least one fold, but got {facts.folds}. Train the model again.")
    hyperparameters = checked_hyperparameters(path, facts.hyperparameters, "train the model again")
    return Config(hyperparameters, facts.folds, facts.sha256, facts.priors, facts.data_fingerprint, sealed)


def seal(config: Mapping[str, Any]) -> str:
    """SHA-256 over all that config.json says; since it holds the hashes of the other files, it stands for the model."""
    return sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        whole = sha256()
        while chunk := file.read(1 << 22):
            whole.update(chunk)
    return whole.hexdigest()


def _weights(fold: int) -> str:
    return f"fold{fold}.safetensors"


def _check(folder: Path, name: str, wanted: str) -> None:
    if Path(name).name != name or len(name) > LONGEST_NAME:
        got = repr(name[:LONGEST_NAME])
        raise InputError(f"{folder / CONFIG}: a model's files stand in its folder, but got {got}. Do not trust it.")
    path = folder / name
    if not path.is_file():
        raise InputError(f"{path}: missing. {_AGAIN}")
    if digest(path) != wanted:
        raise InputError(f"{path}: its content is not what was written. {_AGAIN}")


def _species(path: Path) -> tuple[int, ...]:
    with path.open(encoding="utf-8", newline="") as file:
        try:
            species = tuple(int(row["species_id"]) for row in csv.DictReader(file))
        except (KeyError, ValueError, TypeError, csv.Error):
            raise InputError(f"{path}: a column species_id of numbers is needed. Train the model again.") from None
    if not species or len(set(species)) < len(species):
        got = "none" if not species else "one of them twice"
        raise InputError(f"{path}: the model's species must stand there once each, but got {got}. Train it again.")
    return species


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except SafetensorError:
        raise InputError(f"{path}: must be whole safetensors, but is not. {_AGAIN}") from None


def _mel_basis(path: Path, frontend: Frontend) -> np.ndarray:
    basis = _tensors(path).get(_BASIS)
    wanted = (frontend.n_mels, frontend.n_fft // 2 + 1)
    if basis is None or tuple(basis.shape) != wanted or basis.dtype != torch.float32:
        raise InputError(f"{path}: it must hold {_BASIS} {wanted} of float32. Train the model again.")
    return basis.numpy()
