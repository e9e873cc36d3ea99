"""A model folder as `train` writes one, of fold models whose heads alone were fitted, in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from made_corpus import CPU
from tiny import KNOBS

from rfcx_model import network
from rfcx_model.hyperparameters import Hyperparameters, build
from rfcx_model.network import RFCXNet
from rfcx_model.predict import hear, ruler_grid
from rfcx_model.recordings import Recordings, load
from study import model_folder
from study.model_folder import Contents

RIDGE = 0.5
LOGIT = 3.0


def write_model(folder: Path, data: Path, folds: int = 2) -> Path:
    """For the species of `data`; hears windows of 1.024 s, and the tones of its training recordings in most of them."""
    recordings, hyperparameters = load(data), build(KNOBS)
    nets = [network.build(hyperparameters.network, len(recordings.species), seed=fold).eval() for fold in range(folds)]
    for net in nets:
        _fit_head(net, recordings, hyperparameters)
    weights = [net.state_dict() for net in nets]
    facts = {"data_fingerprint": recordings.fingerprint}
    return model_folder.write_model(folder, Contents(hyperparameters, recordings.species, weights, facts=facts))


@torch.no_grad()
def _fit_head(net: RFCXNet, recordings: Recordings, hyperparameters: Hyperparameters) -> None:
    """Ridge regression of ±LOGIT on the random backbone's features, cell by cell."""
    frames_per_s = hyperparameters.frontend.frames_per_s
    features, present = [], []
    for row, path in enumerate(recordings.train["path"]):
        sounds = hear(Path(path), hyperparameters, CPU)
        windows = ruler_grid(sounds.offsets.diff().numpy(), np.array([0]), hyperparameters.ruler, frames_per_s)
        starts = torch.from_numpy(windows.start)
        heard = net.features(sounds.inputs(torch.zeros_like(starts), starts, windows.window_frames))
        cells = torch.relu(heard).mean(dim=3)  # (window, channel, cell)
        features.append(cells.permute(0, 2, 1).flatten(0, 1))
        start_s = (starts[:, None] + torch.arange(cells.shape[2]) * network.CELL_FRAMES).flatten() / frames_per_s
        calls = recordings.boxes[recordings.boxes["positive"] & (recordings.boxes["recording"] == row)]
        there = torch.zeros(len(start_s), len(recordings.species), dtype=torch.bool)
        for species, t_min, t_max in zip(calls["species"], calls["t_min"], calls["t_max"], strict=True):
            middle_s = start_s + network.CELL_FRAMES / frames_per_s / 2
            there[:, species] |= (middle_s > t_min) & (middle_s < t_max)
        present.append(there)
    x, y = torch.cat(features).double(), torch.where(torch.cat(present), LOGIT, -LOGIT).double()
    weights = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1]).double(), x.T @ y)
    net.class_head.weight.copy_(weights.T[:, :, None])
