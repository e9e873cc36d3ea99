"""An untrained model's folder, as `train` would write it, and ways to tamper with it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tiny import KNOBS

from rfcx_model import network
from rfcx_model.hyperparameters import build
from study import model_folder
from study.model_folder import Contents, digest, seal


def write_model(folder: Path, species: tuple[int, ...] = (0, 1, 2), seed: int = 0) -> Path:
    """Two folds of a network that fits the tiny recordings."""
    h = build(KNOBS)
    weights = [network.build(h.network, len(species), seed=seed + fold).state_dict() for fold in (0, 1)]
    return model_folder.write_model(folder, Contents(h, species, weights))


def change_config(model: Path, **facts: object) -> None:
    """Say something else in config.json, sealed as if `train` had written it."""
    path = model / "config.json"
    config = {**json.loads(path.read_text()), **facts}
    config.pop("config_sha256")
    path.write_text(json.dumps({**config, "config_sha256": seal(config)}))


def trust(model: Path, name: str) -> None:
    """Write down the hash of a file as it stands."""
    hashes = json.loads((model / "config.json").read_text())["sha256"]
    change_config(model, sha256={**hashes, name: digest(model / name)})


def deafen(model: Path) -> None:
    """Let all that a fold's weights hold be nan."""
    path = model / "fold1.safetensors"
    weights = {
        name: torch.full_like(one, torch.nan) for name, one in load_file(path).items() if one.is_floating_point()
    }
    save_file({**load_file(path), **weights}, path)
    trust(model, path.name)
