from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score

from rfcx_model import metrics
from rfcx_model.metrics import (
    Listed,
    OutOfFold,
    balanced_average_precision,
    balanced_precision,
    grouped_auc,
    lwlrap,
    measure,
)


def boxes(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth, scores with many ties, species and groups within species."""
    generator = np.random.default_rng(seed)
    species = generator.integers(0, 3, count)
    return (
        generator.random(count) < 0.4,
        np.round(generator.random(count), 1),
        species,
        species + 3 * generator.integers(0, 4, count),
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_lwlrap_equals_scikit_learn_weighted_by_positives_on_a_thousand_cases_with_ties(dtype: type) -> None:
    generator = np.random.default_rng(0)
    for case in range(1000):
        shape = generator.integers(1, 12), generator.integers(2, 25)
        truth = generator.random(shape) < generator.choice([0.05, 0.2, 0.6])
        scores = generator.random(shape)
        scores = np.round(scores, int(case % 3)) if case % 4 else scores
        scores = scores.astype(dtype)
        listed = truth.any(axis=1)
        if not listed.any():
            assert math.isnan(lwlrap(truth, scores))
            continue
        weight = truth[listed].sum(axis=1)
        expected = label_ranking_average_precision_score(truth[listed], scores[listed], sample_weight=weight)
        assert lwlrap(truth, scores) == pytest.approx(expected, abs=1e-12)


def test_lwlrap_by_hand() -> None:
    assert lwlrap([[1, 0, 1]], [[0.9, 0.5, 0.7]]) == 1.0
    assert lwlrap([[1, 0, 1]], [[0.9, 0.7, 0.5]]) == pytest.approx((1 + 2 / 3) / 2)
    assert lwlrap([[0, 1], [1, 1]], [[0.9, 0.1], [0.2, 0.3]]) == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert lwlrap([[1.0, 0.0]], [[0.9, 0.5]]) == 1.0
    assert lwlrap([[1, 0]], np.array([[1, 0]], np.uint8)) == 1.0  # whole numbers without a sign are scores, too


@settings(deadline=None)
@given(positives=st.integers(1, 9), species=st.integers(1, 9))
def test_lwlrap_of_a_constant_predictor_is_the_share_of_positives(positives: int, species: int) -> None:
    truth = np.arange(species) < positives
    assert lwlrap(truth[None], np.full((1, species), 0.3)) == pytest.approx(truth.mean())


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), data=st.data())
def test_lwlrap_does_not_change_when_species_or_recordings_are_permuted(seed: int, data: st.DataObject) -> None:
    generator = np.random.default_rng(seed)
    truth, scores = generator.random((5, 6)) < 0.3, np.round(generator.random((5, 6)), 1)
    truth[0, 0] = True
    species, rows = data.draw(st.permutations(range(6))), data.draw(st.permutations(range(5)))
    assert lwlrap(truth[rows][:, species], scores[rows][:, species]) == pytest.approx(lwlrap(truth, scores), abs=1e-12)


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), power=st.floats(0.2, 5.0))
def test_only_the_order_of_scores_within_a_recording_counts(seed: int, power: float) -> None:
    generator = np.random.default_rng(seed)
    truth, scores = generator.random((5, 6)) < 0.5, generator.integers(1, 9, (5, 6)) / 10
    truth[0, 0] = True
    stretched = generator.random((5, 1)) + scores**power
    assert lwlrap(truth, stretched) == pytest.approx(lwlrap(truth, scores), abs=1e-12)


@pytest.mark.parametrize(
    "measured",
    [
        lambda bad: lwlrap([[1, 0]], [[0.5, bad]]),
        lambda bad: balanced_precision([True, False], [0.5, bad], [0, 0]),
        lambda bad: balanced_average_precision([True, False], [0.5, bad], [0, 0]),
        lambda bad: grouped_auc([True, False], [0.5, bad], [0, 0], [0, 0]),
    ],
    ids=["lwlrap", "precision", "precision_avg", "tpfp_auc"],
)
def test_a_score_that_is_nan_is_refused(measured: object) -> None:
    assert measured(0.4) is not None  # type: ignore[operator]
    with pytest.raises(ValueError, match="NaN"):
        measured(float("nan"))  # type: ignore[operator]


@pytest.mark.parametrize(("truth", "scores"), [([[1, 0]], [[0.5, 0.4, 0.3]]), ([1, 0], [0.5, 0.4])])
def test_other_shapes_are_refused(truth: list[Any], scores: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"must be of one shape \(recording, species\), but got \("):
        lwlrap(truth, scores)


def test_balanced_precision_by_hand() -> None:
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0], bool)
    score = np.array([0.9, 0.8, 0.6, 0.5, 0.7, 0.5, 0.1, 0.2, 0.4, 0.3, 0.9, 0.9, 0.2])
    species = np.array([1] * 8 + [2] * 2 + [3] + [0] * 2)
    precision, recall = balanced_precision(truth, score, species)
    # species 1: 3 of 4 TP against 1 of 4 FP (0.5 is not above 0.5); 2: 0/0 = 0; 3 has no FP; 0 has no TP
    assert precision == pytest.approx((0.75 / (0.75 + 0.25) + 0.0) / 2)
    assert recall == pytest.approx((0.75 + 0.0 + 1.0) / 3)


def test_precision_of_constant_predictors_is_one_half_when_all_are_called_and_zero_when_none_is() -> None:
    truth, _, species, _ = boxes(0)
    assert balanced_precision(truth, np.full(60, 0.9), species) == (0.5, 1.0)
    assert balanced_precision(truth, np.full(60, 0.1), species) == (0.0, 0.0)


@settings(deadline=None)
@given(seed=st.integers(0, 2**16))
def test_balanced_average_precision_equals_scikit_learn_with_balancing_weights(seed: int) -> None:
    truth, scores, species, _ = boxes(seed)
    values = []
    for one in range(3):
        y, s = truth[species == one], scores[species == one]
        if y.any() and not y.all():
            weight = np.where(y, 1 / y.sum(), 1 / (~y).sum())
            values.append(average_precision_score(y, s, sample_weight=weight))
    assert balanced_average_precision(truth, scores, species) == pytest.approx(np.mean(values), abs=1e-12)


@settings(deadline=None)
@given(seed=st.integers(0, 2**16))
def test_grouped_auc_equals_a_double_loop(seed: int) -> None:
    truth, scores, species, groups = boxes(seed)
    wins: dict[int, float] = {}
    pairs: dict[int, int] = {}
    for i in range(60):
        for j in range(60):
            if truth[i] and not truth[j] and groups[i] == groups[j]:
                win = 1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0
                wins[species[i]] = wins.get(species[i], 0.0) + win
                pairs[species[i]] = pairs.get(species[i], 0) + 1
    expected = np.mean([wins[one] / pairs[one] for one in pairs])
    assert grouped_auc(truth, scores, groups, species) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), power=st.floats(0.2, 5.0))
def test_the_level_of_the_scores_moves_precision_only(seed: int, power: float) -> None:
    truth, scores, species, groups = boxes(seed)
    stretched = scores**power
    assert balanced_average_precision(truth, stretched, species) == pytest.approx(
        balanced_average_precision(truth, scores, species), abs=1e-12
    )
    assert grouped_auc(truth, stretched, groups, species) == grouped_auc(truth, scores, groups, species)


def test_a_group_without_both_kinds_has_no_pairs() -> None:
    assert math.isnan(grouped_auc([True, False], [0.9, 0.1], [0, 1], [0, 0]))
    one_pair = grouped_auc([True, False, True, False], [0.9, 0.1, 0.2, 0.3], [0, 0, 1, 2], [0, 0, 1, 1])
    assert one_pair == 1.0  # that of the first species; the second has none, and does not count
    assert math.isnan(balanced_average_precision([True, True], [0.9, 0.1], [0, 0]))


def test_without_any_box_nothing_is_measured() -> None:
    nothing, none = np.zeros(0, int), np.zeros(0, bool)
    told = measure(
        Listed(nothing, nothing, nothing, none, 2),
        OutOfFold(np.zeros((3, 2), np.float32), np.zeros(0, np.float32), np.array([0, 1, -1])),
    )
    assert {name for name, value in told.items() if math.isnan(value)} == set(told) - {"diary_precision"}
    assert told["diary_precision"] == 0.0


def study(n_recordings: int = 12, seed: int = 0) -> tuple[Listed, OutOfFold]:
    """Three species; every second recording has two confirmed boxes, all have two refused ones."""
    generator = np.random.default_rng(seed)
    recording = np.concatenate([np.repeat(np.arange(0, n_recordings, 2), 2), np.repeat(np.arange(n_recordings), 2)])
    positive = np.arange(len(recording)) < n_recordings
    species = generator.integers(0, 3, len(recording))
    listed = Listed(
        recording=recording,
        species=species,
        template=2 * species + generator.integers(0, 2, len(recording)),
        positive=positive,
        n_species=3,
    )
    scored = OutOfFold(
        recording_scores=generator.random((n_recordings, 3)).astype(np.float32),
        box_scores=generator.random(len(recording)).astype(np.float32),
        folds=np.arange(n_recordings) % 3,
    )
    return listed, scored


def test_measure_names_what_the_functions_give() -> None:
    listed, scored = study()
    truth = np.zeros((12, 3), bool)
    for recording, species, positive in zip(listed.recording, listed.species, listed.positive, strict=True):
        truth[recording, species] |= positive
    groups = 100 * scored.folds[listed.recording] + listed.template
    precision, recall = balanced_precision(listed.positive, scored.box_scores, listed.species)
    assert measure(listed, scored) == pytest.approx(
        {
            "lwlrap": lwlrap(truth, scored.recording_scores),
            "precision": precision,
            "recall": recall,
            "precision_avg": balanced_average_precision(listed.positive, scored.box_scores, listed.species),
            "tpfp_auc": grouped_auc(listed.positive, scored.box_scores, groups, listed.species),
            "diary_lwlrap": lwlrap(truth, scored.recording_scores),
            "diary_precision": truth[::2][scored.recording_scores[::2] > 0.5].mean(),
        }
    )


def test_boxes_of_other_folds_or_templates_are_not_held_against_each_other() -> None:
    places = [(fold, template) for fold in range(4) for template in (0, 1)]
    for one, other in permutations(places, 2):
        listed = Listed(np.array([0, 1]), np.zeros(2, int), np.array([one[1], other[1]]), np.array([True, False]), 1)
        said = OutOfFold(np.zeros((2, 1), np.float32), np.array([0.9, 0.1], np.float32), np.array([one[0], other[0]]))
        assert math.isnan(measure(listed, said)["tpfp_auc"])


def test_the_diarys_precision_by_hand() -> None:
    listed = Listed(np.array([0, 1]), np.array([0, 1]), np.array([0, 1]), np.array([True, True]), 2)
    said = OutOfFold(
        np.array([[0.9, 0.6], [0.9, 0.5], [0.9, 0.9]], np.float32),
        np.array([0.5, 0.5], np.float32),
        np.array([0, 1, 0]),
    )
    # called are three cells of the listed recordings, of which one is true; 0.5 does not call
    assert measure(listed, said)["diary_precision"] == pytest.approx(1 / 3)
    silent = replace(said, recording_scores=np.full((3, 2), 0.5, np.float32))
    assert measure(listed, silent)["diary_precision"] == 0.0


def test_recordings_that_no_model_spoke_of_are_left_out() -> None:
    listed, scored = study()
    silent = np.isin(np.arange(12), [0, 3, 4])
    left_out = OutOfFold(
        np.where(silent[:, None], np.float32(-1), scored.recording_scores),
        np.where(silent[listed.recording], np.float32(-1), scored.box_scores),
        np.where(silent, -1, scored.folds),
    )
    kept = ~silent[listed.recording]
    place = np.cumsum(~silent) - 1
    only = Listed(place[listed.recording[kept]], listed.species[kept], listed.template[kept], listed.positive[kept], 3)
    alone = OutOfFold(scored.recording_scores[~silent], scored.box_scores[kept], scored.folds[~silent])
    pseudo = np.zeros((12, 3), bool)
    pseudo[silent] = True
    assert measure(listed, left_out, pseudo) == pytest.approx(measure(only, alone))


def test_pseudo_labels_move_the_diary_ruler_and_no_other() -> None:
    listed, scored = study()
    pseudo = np.zeros((12, 3), bool)
    pseudo[1::2, 0] = True
    still, moved = measure(listed, scored), measure(listed, scored, pseudo)
    changed = {name for name in still if still[name] != moved[name]}
    assert changed == {"diary_lwlrap", "diary_precision"}


def sorted_lwlrap(y: np.ndarray, s: np.ndarray) -> float:
    """By sorting whole rows, as it was worked out before: ranks of equal scores are those of the last of them."""
    order = np.argsort(-s, axis=1)
    y, s = np.take_along_axis(y, order, axis=1), np.take_along_axis(s, order, axis=1)
    ends = np.where(np.diff(s, axis=1, append=np.nan) != 0, np.arange(s.shape[1]), s.shape[1])
    last = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    hits = np.take_along_axis(np.cumsum(y, axis=1), last, axis=1)
    return float((hits / (last + 1))[y].mean())


@pytest.mark.parametrize("density", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("pairs", [1, 7, 16_384])
def test_counting_gives_what_sorting_gave_whatever_is_looked_at_together(
    monkeypatch: pytest.MonkeyPatch, density: float, pairs: int
) -> None:
    monkeypatch.setattr(metrics, "PAIRS", pairs)
    generator = np.random.default_rng(3)
    truth, scores = generator.random((300, 24)) < density, np.round(generator.random((300, 24)), 1)
    scores[::7] = 0.5  # nothing but ties
    assert lwlrap(truth, scores) == pytest.approx(sorted_lwlrap(truth, scores), abs=1e-12)
