"""What a net must beat: chance, how often a species was confirmed, and log-mel means with logistic regression.

The regression sees one vector a box: each mel band less its own median over the recording, averaged over the frames of
the box. It is trained on TP boxes, one class a species; a recording's score for a species is the highest probability of
that species over windows that slide along it, each as long as the species' median box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rfcx_model.errors import InputError
from rfcx_model.folds import assign_folds
from rfcx_model.hyperparameters import Frontend
from rfcx_model.metrics import lwlrap
from rfcx_model.recordings import Recordings
from rfcx_model.spectrogram import LEVELS, Spectrogram, encode, log_mel, read_audio
from rfcx_model.spectrogram_cache import Spectrograms

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

HOP_S = 1.0
STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # scikit-learn's C, chosen by boxes of held-out recordings
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Regression:
    """A fitted baseline: `places` are the species (index) of its classes, `lengths_s` their median boxes."""

    classifier: Pipeline
    places: np.ndarray
    lengths_s: np.ndarray
    strength: float


def box_means(recordings: Recordings, spectrograms: Spectrograms) -> np.ndarray:
    """Mean of each box of `recordings.boxes` over its frames, bands less their medians, in dB: (box, mel)."""
    boxes, rate = recordings.boxes, spectrograms.frontend.frames_per_s
    means = np.empty((len(boxes), spectrograms.cells.shape[1]))
    step_db = spectrograms.frontend.range_db / LEVELS
    own = boxes["recording"].to_numpy()
    for recording in np.unique(own).tolist():
        rows = np.flatnonzero(own == recording)
        span = slice(spectrograms.offsets[recording], spectrograms.offsets[recording + 1])
        floor_db, median_db = spectrograms.statistics[recording, 0], spectrograms.statistics[recording, 4:]
        sums = _running_sum(floor_db + step_db * spectrograms.cells[span] - median_db)
        starts_s, ends_s = (boxes[column].to_numpy()[rows] for column in ("t_min", "t_max"))
        means[rows] = _means(sums, starts_s * rate, ends_s * rate)
    return means


def _running_sum(residual_db: np.ndarray) -> np.ndarray:
    """(frame + 1, mel), from (frame, mel)."""
    return np.concatenate([np.zeros((1, residual_db.shape[1])), residual_db.cumsum(axis=0, dtype=np.float64)])


def _means(sums: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Means between frames `starts` and `ends` (window,), at least one frame each: (window, mel)."""
    frames = len(sums) - 1
    first = np.clip(np.rint(starts).astype(np.int64), 0, frames - 1)
    end = np.clip(np.rint(ends).astype(np.int64), first + 1, frames)
    means: np.ndarray = (sums[end] - sums[first]) / (end - first)[:, None]
    return means


def fit(recordings: Recordings, spectrograms: Spectrograms) -> Regression:
    """Fit the regression on the TP boxes; its strength is the one that tells boxes of held-out recordings best.

    Raises:
        InputError: fewer than two species have TP boxes.
    """
    positive = recordings.boxes["positive"].to_numpy()
    boxes, means = recordings.boxes[positive], box_means(recordings, spectrograms)[positive]
    species, own = boxes["species"].to_numpy(), boxes["recording"].to_numpy()
    places = np.unique(species)
    if len(places) < 2:
        raise InputError(f"train_tp.csv: at least two species must have rows, but got {len(places)}. Add rows.")
    n_folds = min(_FOLDS, len(recordings.train) if (recordings.train["site"] == "").all() else _sites(recordings))
    strength = STRENGTHS[1]
    if n_folds >= 2:
        folds = assign_folds(recordings, n_folds, seed=0)[own]
        strength = max(STRENGTHS, key=lambda one: _held_out(means, species, folds, one))
    durations_s = (boxes["t_max"] - boxes["t_min"]).to_numpy()
    lengths_s = np.array([np.median(durations_s[species == place]) for place in places])
    return Regression(_classifier(means, species, strength), places, lengths_s, strength)


def _sites(recordings: Recordings) -> int:
    return int(recordings.train["site"].nunique())


def _classifier(means: np.ndarray, species: np.ndarray, strength: float) -> Pipeline:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000)).fit(means, species)


def _held_out(means: np.ndarray, species: np.ndarray, folds: np.ndarray, strength: float) -> float:
    """Mean log probability of the true species of held-out boxes; species unknown to a fold's training are left out."""
    found: list[np.ndarray] = []
    for fold in np.unique(folds):
        train = folds != fold
        known = np.unique(species[train])
        test = ~train & np.isin(species, known)
        if len(known) >= 2 and test.any():
            chances = _classifier(means[train], species[train], strength).predict_log_proba(means[test])
            found.append(chances[np.arange(test.sum()), np.searchsorted(known, species[test])])
    return float(np.concatenate(found).mean()) if found else 0.0


def score(regression: Regression, spectrogram: Spectrogram, frontend: Frontend) -> np.ndarray:
    """Highest probability of each class of `regression` over windows of one recording: (class,)."""
    level_db = spectrogram.floor_db + spectrogram.step_db * spectrogram.cells
    sums = _running_sum(level_db - spectrogram.band_median_db)
    best = np.empty(len(regression.places))
    for length_s in np.unique(regression.lengths_s):
        length = length_s * frontend.frames_per_s
        starts = np.arange(0.0, max(len(level_db) - length, 0.0) + 1.0, HOP_S * frontend.frames_per_s)
        chances = regression.classifier.predict_proba(_means(sums, starts, starts + length))
        asked = regression.lengths_s == length_s
        best[asked] = chances[:, asked].max(axis=0)
    return best


def submission(recordings: Recordings, spectrograms: Spectrograms) -> pd.DataFrame:
    """The regression's scores of the test recordings, in the layout of sample_submission.csv; 0 without TP boxes."""
    regression, frontend = fit(recordings, spectrograms), spectrograms.frontend
    scores = np.zeros((len(recordings.test), len(recordings.species)))
    for row, path in enumerate(recordings.test["path"]):
        one = encode(log_mel(read_audio(path, frontend.sample_rate_hz), frontend), frontend)
        scores[row, regression.places] = score(regression, one, frontend)
    return _table(recordings, scores)


def frequency_submission(recordings: Recordings) -> pd.DataFrame:
    """Every test recording scored by each species' share of the TP rows."""
    boxes = recordings.boxes
    share = (
        np.bincount(boxes["species"][boxes["positive"]], minlength=len(recordings.species)) / boxes["positive"].sum()
    )
    return _table(recordings, np.tile(share, (len(recordings.test), 1)))


def chance(truth: np.ndarray, generator: np.random.Generator, draws: int = 200) -> float:
    """Mean LWLRAP of random scores for `truth` (recording, species)."""
    return float(np.mean([lwlrap(truth, generator.random(truth.shape)) for _ in range(draws)]))


def _table(recordings: Recordings, scores: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(scores, columns=[f"s{species_id}" for species_id in recordings.species])
    table.insert(0, "recording_id", recordings.test["recording_id"].to_numpy())
    return table
