"""An untrained model's folder, as `train` would write it."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from tiny import KNOBS

from rfcx_model import network
from rfcx_model.hyperparameters import build, flatten
from study.model_folder import digest


def write_model(folder: Path, species: tuple[int, ...] = (0, 1, 2), seed: int = 0) -> Path:
    """Two folds of a network that fits the tiny recordings."""
    h = build(KNOBS)
    folder.mkdir()
    for fold in (0, 1):
        net = network.build(h.network, len(species), seed=seed + fold)
        save_file(net.state_dict(), folder / f"fold{fold}.safetensors")
    (folder / "species.csv").write_text("\n".join(["species_id", *map(str, species)]) + "\n")
    hashes = {path.name: digest(path) for path in folder.iterdir()}
    facts = {"format": 1, "hyperparameters": flatten(h), "folds": 2, "sha256": hashes}
    (folder / "config.json").write_text(json.dumps(facts))
    return folder
