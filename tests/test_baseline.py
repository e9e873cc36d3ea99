from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import Sound, write_folder

from rfcx_model.baseline import box_means, chance, fit, frequency_submission, submission
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Frontend
from rfcx_model.metrics import lwlrap
from rfcx_model.recordings import Recordings, load
from rfcx_model.spectrogram_cache import Spectrograms, prepare

SMALL = Frontend(sample_rate_hz=8000, n_fft=256, hop_length=128, n_mels=16, f_max_hz=4000.0)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    return load(write_folder(tmp_path_factory.mktemp("baseline") / "tiny", Sound(recordings=18, test_recordings=6)))


@pytest.fixture(scope="module")
def spectrograms(recordings: Recordings) -> Spectrograms:
    return prepare(recordings, SMALL, recordings.folder / "cache", workers=1)


def test_box_means_equal_a_plain_loop(recordings: Recordings, spectrograms: Spectrograms) -> None:
    means = box_means(recordings, spectrograms)
    for row, box in enumerate(recordings.boxes.to_dict("records")):
        first = spectrograms.offsets[box["recording"]]
        statistics = spectrograms.statistics[box["recording"]]
        frames = range(round(box["t_min"] * 62.5), round(box["t_max"] * 62.5))
        level_db = np.array([statistics[0] + 100 / 255 * spectrograms.cells[first + frame] for frame in frames])
        np.testing.assert_allclose(means[row], (level_db - statistics[4:]).mean(axis=0), atol=1e-6)


def test_the_regression_hears_clear_tones(recordings: Recordings, spectrograms: Spectrograms) -> None:
    table = submission(recordings, spectrograms)
    assert list(table.columns) == ["recording_id", "s0", "s1", "s2"]
    assert table["recording_id"].tolist() == recordings.test["recording_id"].tolist()
    truth = np.eye(3, dtype=int)[np.arange(6) % 3]
    assert lwlrap(truth, table[["s0", "s1", "s2"]].to_numpy()) == 1.0


def test_a_species_without_confirmed_calls_scores_zero(recordings: Recordings, spectrograms: Spectrograms) -> None:
    lacking = recordings.boxes[~(recordings.boxes["positive"] & (recordings.boxes["species"] == 1))]
    table = submission(replace(recordings, boxes=lacking.reset_index(drop=True)), spectrograms)
    assert (table["s1"] == 0).all()
    assert (table[["s0", "s2"]] > 0).all(axis=None)


def test_one_species_is_refused(recordings: Recordings, spectrograms: Spectrograms) -> None:
    lonely = recordings.boxes[recordings.boxes["species"] == 0].reset_index(drop=True)
    with pytest.raises(InputError, match="at least two species"):
        fit(replace(recordings, boxes=lonely), spectrograms)


def test_frequencies_are_shares_of_the_confirmed_rows(recordings: Recordings) -> None:
    some = pd.concat([recordings.boxes.iloc[[0, 3, 6, 1]], recordings.boxes.iloc[18:]])
    table = frequency_submission(replace(recordings, boxes=some))
    assert table.iloc[0, 1:].tolist() == [0.75, 0.25, 0.0]
    assert len(table) == 6


def test_chance_is_the_mean_reciprocal_rank_where_one_of_three_is_true() -> None:
    truth = np.eye(3, dtype=int)[np.arange(60) % 3]
    assert chance(truth, np.random.default_rng(0)) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3, abs=0.01)


@pytest.mark.slow
def test_on_real_sounds_all_species_are_fitted_at_the_strength_that_held_out_boxes_chose(
    real_folder: Path, tmp_path: Path
) -> None:
    recordings = load(real_folder)
    frontend = Frontend(sample_rate_hz=24_000, n_mels=64, f_max_hz=12_000.0)
    regression = fit(recordings, prepare(recordings, frontend, tmp_path, workers=2))
    assert len(regression.places) == 24
    assert regression.strength == 0.1
