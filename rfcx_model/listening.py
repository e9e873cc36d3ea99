"""A few recordings, cell by cell, as models hear them that did not see them: for pictures, never for scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rfcx_model import network, predict
from rfcx_model.compute import Compute
from rfcx_model.corpus import Corpus
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.labels import Floats, Indices
from rfcx_model.metrics import Listed
from rfcx_model.network import CELL_FRAMES, RFCXNet

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Heard:
    """One recording and what was heard in it."""

    recording: int
    cells: NDArray[np.uint8]  # (frame, mel) quantised log-mel
    probabilities: Floats  # (species, time cell of 32 frames)


def richest(listed: Listed, folds: Indices, count: int) -> list[int]:
    """The recordings with the most confirmed species, of those with as many the ones with the most boxes.

    Of data and split alone, so that all trials that score the same recordings show the same ones.

    Args:
        listed: TP and FP boxes
        folds: (recording,) -1 where a recording is never scored
        count: how many, where there are as many with a confirmed species
    """
    species = listed.truth(len(folds)).sum(axis=1)
    boxes = np.bincount(listed.recording, minlength=len(folds))
    order = np.lexsort((np.arange(len(folds)), -boxes, -species))
    return [int(one) for one in order if folds[one] >= 0 and species[one] > 0][:count]


def listen(
    weights: Weights, recordings: Sequence[int], h: Hyperparameters, corpus: Corpus, compute: Compute
) -> list[Heard]:
    """What one model hears in recordings; see `hears`."""
    return hears(network.restored(h.network, corpus.n_species, weights, compute), recordings, h, corpus, compute)


def hears(net: RFCXNet, recordings: Sequence[int], h: Hyperparameters, corpus: Corpus, compute: Compute) -> list[Heard]:
    """What a network hears in recordings, on the ruler's grid; where windows overlap, the larger probability."""
    grid = predict.ruler_grid(corpus.frames, np.asarray(recordings), h.ruler, corpus.frames_per_s)
    said = predict.framewise(net, corpus.sounds, grid, compute)
    place = (grid.start[:, None] + np.arange(said.shape[2]) * CELL_FRAMES) // CELL_FRAMES
    offsets = corpus.sounds.offsets.cpu().numpy()
    heard = []
    for one in recordings:
        mine = grid.recording == one
        whole = np.zeros((place[mine].max() + 1, corpus.n_species), dtype=np.float32)
        np.maximum.at(whole, place[mine], said[mine].transpose(0, 2, 1))
        cells = corpus.sounds.cells[offsets[one] : offsets[one + 1]].cpu().numpy()
        heard.append(Heard(one, cells, whole[: -(-len(cells) // CELL_FRAMES)].T))
    return heard
