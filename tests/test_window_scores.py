"""Scores of windows agree with those of a submission, which takes the loudest of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_model import write_model

from rfcx_model import compute
from rfcx_model.predict import Model, hear, score_recording
from rfcx_model.recordings import Recordings, load
from rfcx_model.window_scores import window_scores
from study.model_folder import load_model


@pytest.fixture(scope="module")
def recordings(shared_tiny_folder: Path) -> Recordings:
    return load(shared_tiny_folder)


@pytest.fixture(scope="module")
def model(shared_tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    torch.set_num_threads(1)
    return load_model(write_model(tmp_path_factory.mktemp("model") / "model", shared_tiny_folder))


def test_windows_follow_one_another_through_every_recording(model: Model, recordings: Recordings) -> None:
    told = window_scores(model, recordings.test, compute.best(), workers=2)
    assert told.window_s == 1.024
    assert told.recording.tolist() == np.repeat(np.arange(4), 6).tolist()  # 6 s and a frame, a window a second
    np.testing.assert_allclose(told.start_s, np.tile(np.arange(6) * 1.024, 4))
    assert told.scores.shape == (24, 3)
    assert ((told.scores > 0) & (told.scores < 1)).all()


def test_a_recording_s_loudest_window_is_its_score_in_a_submission(model: Model, recordings: Recordings) -> None:
    place = compute.best()
    for net in model.nets:
        alone = Model([net], model.hyperparameters, model.species)
        told = window_scores(alone, recordings.test, place)
        for row, path in enumerate(recordings.test["path"]):
            expected = score_recording(alone, hear(Path(path), model.hyperparameters, place), place)
            np.testing.assert_allclose(told.scores[told.recording == row].max(axis=0), expected, atol=1e-6)


def test_a_window_s_score_is_the_mean_of_the_fold_models(model: Model, recordings: Recordings) -> None:
    place = compute.best()
    each = [
        window_scores(Model([net], model.hyperparameters, model.species), recordings.test, place).scores
        for net in model.nets
    ]
    assert not np.allclose(each[0], each[1])
    counted: list[tuple[int, int]] = []
    both = window_scores(model, recordings.test, place, lambda done, total: counted.append((done, total)))
    np.testing.assert_allclose(both.scores, np.mean(each, axis=0), atol=1e-6)
    assert counted == [(1, 4), (2, 4), (3, 4), (4, 4)]
