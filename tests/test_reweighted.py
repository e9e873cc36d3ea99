"""Figures under recording weights: ones are the ruler itself, whole weights are recordings repeated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from rfcx_model.metrics import Listed, OutOfFold, measure
from study.reweighted import FIGURES, average_precisions, mixture, reweighted


def made(seed: int, recordings: int = 12, boxes: int = 40, species: int = 3) -> tuple[Listed, OutOfFold]:
    """Boxes and scores at random; scores are rounded, so that there are ties; the last recording has no fold."""
    generator = np.random.default_rng(seed)
    of = generator.integers(species, size=boxes)
    listed = Listed(
        recording=generator.integers(recordings, size=boxes),
        species=of,
        template=2 * of + generator.integers(2, size=boxes),
        positive=generator.random(boxes) < 0.4,
        n_species=species,
    )
    folds = np.arange(recordings) % 3
    folds[-1] = -1
    said = OutOfFold(
        generator.random((recordings, species)).round(1).astype(np.float32),
        generator.random(boxes).round(1).astype(np.float32),
        folds,
    )
    return listed, said


def repeated(listed: Listed, said: OutOfFold, times: NDArray[np.int64]) -> tuple[Listed, OutOfFold]:
    """The data with recording i there times[i] times, each with all of its boxes."""
    copies = np.repeat(np.arange(len(times)), times)
    boxes = [np.flatnonzero(listed.recording == one) for one in copies]
    which = np.concatenate(boxes).astype(int) if boxes else np.array([], int)
    place = np.repeat(np.arange(len(copies)), [len(one) for one in boxes])
    again = Listed(place, listed.species[which], listed.template[which], listed.positive[which], listed.n_species)
    return again, OutOfFold(said.recording_scores[copies], said.box_scores[which], said.folds[copies])


@pytest.mark.parametrize("figure", FIGURES)
@given(seed=st.integers(0, 10**6), boxes=st.integers(1, 60), species=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_with_every_weight_one_it_is_the_ruler_itself(figure: str, seed: int, boxes: int, species: int) -> None:
    listed, said = made(seed, boxes=boxes, species=species)
    (value,) = reweighted(figure, listed, said, np.ones((1, 12)))
    assert value == pytest.approx(measure(listed, said)[figure], abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("figure", FIGURES)
@given(seed=st.integers(0, 10**6), times=st.lists(st.integers(0, 3), min_size=12, max_size=12))
@settings(max_examples=30, deadline=None)
def test_whole_weights_are_recordings_repeated(figure: str, seed: int, times: list[int]) -> None:
    listed, said = made(seed)
    counted = np.array(times)
    (value,) = reweighted(figure, listed, said, counted[None].astype(float))
    if not counted.any():
        assert math.isnan(value)
        return
    assert value == pytest.approx(measure(*repeated(listed, said, counted))[figure], abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("figure", FIGURES)
def test_all_draws_at_once_are_each_draw_alone(figure: str) -> None:
    listed, said = made(1, recordings=30, boxes=150)
    weights = np.random.default_rng(2).multinomial(30, np.full(30, 1 / 30), size=20).astype(float)
    together = reweighted(figure, listed, said, weights)
    alone = [reweighted(figure, listed, said, one[None])[0] for one in weights]
    assert together == pytest.approx(alone, abs=1e-12)
    assert len(set(together)) > 10


def test_average_precision_of_recordings_is_that_of_scikit_learn() -> None:
    listed, said = made(3, recordings=30, boxes=150)
    truth = listed.truth(30) & (said.folds >= 0)[:, None]
    rows = truth.any(axis=1)
    weights = np.random.default_rng(4).random((2, 30)) + 0.1
    told = average_precisions(listed, said, weights)
    for draw, species in np.ndindex(told.shape):
        golden: Any = average_precision_score(
            truth[rows, species], said.recording_scores[rows, species], sample_weight=weights[draw, rows]
        )
        assert told[draw, species] == pytest.approx(golden, abs=1e-12)


@pytest.mark.parametrize("figure", FIGURES)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_the_size_of_all_weights_does_not_matter(figure: str, seed: int) -> None:
    listed, said = made(seed, boxes=15)
    weights = np.random.default_rng(seed).random((1, 12)) + 0.5
    golden = reweighted(figure, listed, said, weights)
    for size in (1e-3, 1e3):
        assert reweighted(figure, listed, said, size * weights) == pytest.approx(golden, nan_ok=True)


def test_recordings_without_a_fold_count_for_no_species() -> None:
    listed, said = made(3)
    listed.recording[0], listed.positive[0] = 11, True
    weights = np.zeros((1, 12))
    weights[0, 11] = 1
    assert np.isnan(average_precisions(listed, said, weights)).all()


@pytest.mark.parametrize("figure", FIGURES)
def test_without_any_box_nothing_is_known(figure: str) -> None:
    listed, said = made(0, boxes=0)
    assert np.isnan(reweighted(figure, listed, said, np.ones((2, 12)))).tolist() == [True, True]


def test_a_species_that_no_draw_holds_is_not_known() -> None:
    listed, said = made(5)
    only = int(listed.recording[listed.positive][0])
    weights = np.zeros((1, 12))
    weights[0, only] = 1
    held = listed.truth(12)[only]
    assert (~np.isnan(average_precisions(listed, said, weights)[0])).tolist() == held.tolist()


def test_a_mixture_weighs_figures_as_an_objective_does() -> None:
    listed, said = made(6)
    ones = np.ones((1, 12))
    told = measure(listed, said)
    assert mixture({"lwlrap": 0.7, "tpfp_auc": 0.3}, listed, said, ones)[0] == pytest.approx(
        0.7 * told["lwlrap"] + 0.3 * told["tpfp_auc"]
    )


def test_a_nan_score_is_refused() -> None:
    listed, said = made(7)
    said.box_scores[0], said.folds[listed.recording[0]] = np.nan, 0
    with pytest.raises(ValueError, match="a score is NaN"):
        reweighted("precision", listed, said, np.ones((1, 12)))
    listed, said = made(7)
    said.recording_scores[11] = np.nan  # of no fold
    reweighted("lwlrap", listed, said, np.ones((1, 12)))
    said.recording_scores[4, 1] = np.nan
    with pytest.raises(ValueError, match="a score is NaN"):
        reweighted("precision", listed, said, np.ones((1, 12)))
