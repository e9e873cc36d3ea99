"""Listening to a few recordings: the same voices as the ruler hears, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_corpus import CPU, Size, knobs, make_corpus

from rfcx_model import network, predict
from rfcx_model.listening import listen, richest
from rfcx_model.metrics import Listed


def test_the_largest_probability_of_each_species_is_the_recording_s_score() -> None:
    h = knobs()
    corpus = make_corpus(Size(), h)
    net = network.build(h.network, corpus.n_species, seed=3, load_pretrained=False).eval()
    chosen = [7, 2]
    before = torch.get_rng_state()
    heard = listen(net.state_dict(), chosen, h, corpus, CPU)
    assert torch.equal(torch.get_rng_state(), before)
    grid = predict.ruler_grid(corpus.frames, np.array(chosen), h.ruler, corpus.frames_per_s)
    said = predict.framewise(net, corpus.sounds, grid, CPU)
    scores = predict.recording_scores(said, grid, len(corpus.frames))
    for one, shown in zip(chosen, heard, strict=True):
        assert shown.recording == one
        assert shown.cells.shape == (corpus.frames[one], 16)
        assert shown.probabilities.shape == (corpus.n_species, -(-corpus.frames[one] // 32))
        assert shown.probabilities.max(axis=1) == pytest.approx(scores[one], abs=1e-6)
        first = said[grid.recording == one][0]
        assert (shown.probabilities[:, : first.shape[1]] >= first[:, : shown.probabilities.shape[1]] - 1e-6).all()


def test_the_richest_recordings_are_chosen_by_what_is_listed_and_scored_alone() -> None:
    recording = np.array([0, 0, 1, 1, 1, 2, 2, 3, 4, 4])
    species = np.array([0, 1, 0, 1, 2, 0, 1, 0, 0, 1])
    positive = np.array([1, 1, 1, 1, 0, 1, 0, 0, 1, 1], bool)
    listed = Listed(recording, species, species, positive, 3)
    folds = np.array([0, 1, 0, 1, -1])
    assert richest(listed, folds, 3) == [1, 0, 2]  # two species and a box more; two; one. 4 is not scored
    assert richest(listed, folds, 9) == [1, 0, 2]  # 3 has no confirmed call
    assert richest(listed, 1 - np.abs(folds), 1) == richest(listed, folds, 1)
