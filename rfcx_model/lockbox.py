"""Recordings in the lockbox, scored by fold models of which none has trained on them: as a submission would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from rfcx_model import network, predict
from rfcx_model.compute import Compute
from rfcx_model.corpus import Corpus
from rfcx_model.folds import LOCKED
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.metrics import OutOfFold


def scored(
    models: Sequence[Mapping[str, Tensor]], hyperparameters: Hyperparameters, corpus: Corpus, compute: Compute
) -> OutOfFold:
    """The mean over the models of what each says of the lockbox, on the ruler's grid; all other recordings are −1.

    Args:
        models: weights, one set a fold model
        hyperparameters: those that the models were trained with
        corpus: whose fold LOCKED is the lockbox; it must not be empty
        compute: device, dtype and memory format
    """
    locked = np.flatnonzero(corpus.folds == LOCKED)
    grid = predict.ruler_grid(corpus.frames, locked, hyperparameters.ruler, corpus.frames_per_s)
    least = hyperparameters.ruler.min_box_s * corpus.frames_per_s
    scores, boxes = [], []
    for weights in models:
        net = network.restored(hyperparameters.network, corpus.n_species, weights, compute)
        said = predict.framewise(net, corpus.sounds, grid, compute)
        scores.append(predict.recording_scores(said, grid, len(corpus.frames)))
        boxes.append(predict.box_scores(said, grid, corpus.boxes, least))
    folds = np.where(corpus.folds == LOCKED, 0, -1)
    return OutOfFold(np.mean(scores, axis=0), np.mean(boxes, axis=0), folds)
