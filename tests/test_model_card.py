"""What a model's card says of its out-of-fold scores: by hand, and what cannot be said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from tiny import KNOBS, write_folder

from rfcx_model import corpus
from rfcx_model.calibration import calibration
from rfcx_model.compute import best
from rfcx_model.hyperparameters import build
from rfcx_model.metrics import OutOfFold
from rfcx_model.recordings import load
from rfcx_model.spectrogram_cache import prepare
from study.model_card import Measured, calibration_words, drawn_weights, sections, species

TITLES = ["Scores", "By species", "Precision and recall", "Calibration", "What it hears", "Limits"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Recording k of 12 lists species k % 3; the right species scores 0.9 but in recordings 0 and 1."""
    folder = tmp_path_factory.mktemp("card")
    recordings, h = load(write_folder(folder / "data")), build(KNOBS)
    folds = np.arange(12) % 2
    made = corpus.build(recordings, prepare(recordings, h.frontend, folder / "cache", workers=1), folds, h, best())
    scores = np.full((12, 3), 0.3, dtype=np.float32)
    scores[np.arange(12), np.arange(12) % 3] = 0.9
    scores[[0, 1], [0, 1]] = 0.1
    boxes = np.where(made.listed.positive, 0.8, 0.4).astype(np.float32)
    boxes[0] = 0.2  # a confirmed one of species 0
    return Measured(recordings, made, h.frontend, OutOfFold(scores, boxes, folds), ())


def test_average_precision_by_species_is_scikit_learns(measured: Measured) -> None:
    truth, said = np.arange(12) % 3, measured.said.recording_scores
    for place, one in enumerate(species(measured, drawn_weights(measured))):
        assert (one.number, one.listed) == (place, 4)
        assert one.precision.value is not None
        assert one.precision.value == pytest.approx(average_precision_score(truth == place, said[:, place]))
        assert one.precision.low is not None
        assert one.precision.high is not None
        assert one.precision.low <= one.precision.value <= one.precision.high
    assert [one.precision.low for one in species(measured, drawn_weights(measured))][2] == 1.0  # it never errs


def test_sections_say_what_the_boxes_say_by_hand(measured: Measured) -> None:
    told = {one.title: one for one in sections(measured, optimistic=True)}
    assert list(told) == TITLES
    rows = {row[0]: row[1:] for row in told["Precision and recall"].exhibits[0].table.rows}
    assert rows["0.5"] == ("1.0000", "0.9167", "0.0000")  # 11 of 12 confirmed boxes, no refused one
    assert rows["0.0"] == ("0.5000", "1.0000", "1.0000")
    bins = told["Calibration"].exhibits[0].table.rows
    assert [row[:4] for row in bins] == [
        ("0.2 to 0.3", "1", "0.2000", "1.0000"),
        ("0.4 to 0.5", "12", "0.4000", "0.0000"),
        ("0.8 to 0.9", "11", "0.8000", "1.0000"),
    ]
    assert any("optimistic" in line for line in told["Scores"].sentences)
    assert not any("optimistic" in line for line in sections(measured, optimistic=False)[0].sentences)


def test_recordings_that_were_not_scored_count_nowhere(measured: Measured) -> None:
    said = measured.said
    locked = replace(measured, said=replace(said, folds=np.where(np.arange(12) < 2, -1, said.folds)))
    found = species(locked, drawn_weights(locked))
    assert [one.listed for one in found] == [3, 3, 4]
    assert all(one.precision.value == 1.0 for one in found)


def test_where_nothing_is_measured_or_one_kind_of_box_is_missing_it_says_so(measured: Measured) -> None:
    assert [one.title for one in sections(None, optimistic=False)] == ["Scores"]
    listed = replace(measured.corpus.listed, positive=np.ones(24, dtype=bool))
    confirmed = replace(measured, corpus=replace(measured.corpus, listed=listed))
    told = {one.title: one for one in sections(confirmed, optimistic=False)}
    assert told["Precision and recall"].sentences == [
        "No species has both confirmed and refused boxes, as is needed here."
    ]
    assert told["Calibration"].exhibits == ()


def test_models_that_have_not_learnt_and_scores_that_are_flat_are_called_so(measured: Measured) -> None:
    told = {one.title: one for one in sections(measured, optimistic=False)}
    assert any(line.startswith("The set of fold models tells recordings apart") for line in told["Scores"].sentences)
    assert "the models are neither over- nor underconfident" in told["Calibration"].sentences[0]
    said = measured.said
    flat = OutOfFold(np.full_like(said.recording_scores, 0.5), np.full_like(said.box_scores, 0.55), said.folds)
    told = {one.title: one for one in sections(replace(measured, said=flat), optimistic=False)}
    assert any("has not been shown to tell recordings apart" in line for line in told["Scores"].sentences)
    assert "scores this flat say nothing of calibration" in told["Calibration"].sentences[0]


@pytest.mark.parametrize(
    ("low", "high", "lean"),
    [
        (0.05, 0.95, "overconfident, their scores too near 0 and 1"),  # 2 of 8 and 6 of 8 are confirmed
        (0.45, 0.55, "underconfident, too near 0.5"),
        (0.25, 0.75, "neither over- nor underconfident"),
    ],
)
def test_scores_too_near_the_ends_are_overconfident_on_either_side(low: float, high: float, lean: str) -> None:
    told = calibration(
        np.tile([1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0], 40).astype(bool),
        np.tile([low] * 8 + [high] * 8, 40),
        np.zeros(640, dtype=np.int64),
    )
    middle = replace(told.bins[0], boxes=1, said=0.5, interval=(0.4, 0.6))
    assert f"the models are {lean}. " in calibration_words(replace(told, bins=(*told.bins, middle)))


def test_the_card_of_the_same_scores_is_the_same(measured: Measured) -> None:
    first, second = (sections(measured, optimistic=True) for _ in range(2))
    assert first == second
