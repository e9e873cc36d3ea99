"""Class priors: what they do to a ranking, by hand; that they help where they should, and promise nothing where not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfcx_model.metrics import lwlrap
from rfcx_model.priors import WEIGHTS, Priors, Source, apply, fit, log_prior

SOURCES: tuple[Source, ...] = ("listed", "heard")
Y = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=bool)


def noisy(seed: int, skew: float, recordings: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth with species of unlike commonness, scores that do not know of it, and three folds."""
    generator = np.random.default_rng(seed)
    common = np.exp(-skew * np.arange(6))
    truth = generator.random((recordings, 6)) < 0.4 * common / common.max()
    logits = 1.2 * truth + generator.standard_normal(truth.shape)
    return truth, 1 / (1 + np.exp(-logits)), np.arange(recordings) % 3


def test_the_listed_prior_by_hand() -> None:
    counts = np.log([4.0, 3.0, 1.0])  # 3, 2 and 0 recordings, and 1 each
    np.testing.assert_allclose(log_prior("listed", Y, np.zeros((4, 3))), counts - counts.mean())


def test_the_heard_prior_is_of_the_mean_probability() -> None:
    p = np.array([[0.2, 0.4, 0.1], [0.6, 0.0, 0.1]])
    told = np.log([0.4, 0.2, 0.1])
    np.testing.assert_allclose(log_prior("heard", Y[:2], p), told - told.mean(), atol=1e-4)


def test_priors_are_added_to_logits() -> None:
    priors = Priors("listed", 0.5, (1.0, -1.0), plain=0.0, cross_fitted=0.0)
    np.testing.assert_allclose(apply(priors, [[0.5, 0.5]]), [[1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(0.5))]])


def test_certain_probabilities_stay_finite_and_in_order() -> None:
    said = apply(Priors("listed", 2.0, (3.0, -3.0), plain=0.0, cross_fitted=0.0), [[0.0, 1.0], [1.0, 0.0]])
    assert ((said > 0) & (said < 1)).all()
    assert said[1, 0] > said[0, 0]


@given(st.integers(0, 50))
def test_a_weight_of_zero_changes_nothing(seed: int) -> None:
    p = np.random.default_rng(seed).random((5, 3))
    assert (apply(Priors("heard", 0.0, (1.0, 2.0, 3.0), plain=0.0, cross_fitted=0.0), p) == p).all()


def test_where_commonness_differs_and_scores_do_not_know_it_priors_help_on_new_recordings_too() -> None:
    truth, p, folds = noisy(0, skew=0.6)
    priors = fit(truth, p, folds)
    assert priors.weight > 0.2
    assert priors.gain > 0.03
    new_truth, new_p, _ = noisy(1, skew=0.6)
    gained = lwlrap(new_truth, apply(priors, new_p)) - lwlrap(new_truth, new_p)
    assert gained == pytest.approx(priors.gain, abs=0.03)


def test_where_all_are_equally_common_the_promise_is_about_nothing() -> None:
    gains = [fit(*noisy(seed, skew=0.0)).gain for seed in range(5)]
    assert max(gains) < 0.01
    assert np.mean(gains) < 0.002  # fitted and judged on the same recordings it could not be negative


def test_the_promise_is_cross_fitted_by_hand() -> None:
    truth, p, folds = noisy(3, skew=0.4, recordings=60)
    moved = p.copy()
    for fold in range(3):
        mine, others = folds == fold, folds != fold
        tried = [
            Priors(source, weight, tuple(log_prior(source, truth[others], p[others])), plain=0.0, cross_fitted=0.0)
            for weight in WEIGHTS
            for source in SOURCES
        ]
        best = max(tried, key=lambda one: lwlrap(truth[others], apply(one, p[others])))  # of equals the first
        moved[mine] = apply(best, p[mine])
    assert fit(truth, p, folds).cross_fitted == pytest.approx(lwlrap(truth, moved))


def test_where_the_promise_is_negative_priors_change_nothing() -> None:
    found = [fit(*noisy(seed, skew=0.0, recordings=60)) for seed in range(8)]
    assert any(one.gain < 0 for one in found)
    assert all(one.weight == 0 for one in found if one.gain <= 0)


def test_recordings_of_a_negative_fold_are_left_out() -> None:
    truth, p, folds = noisy(4, skew=0.5, recordings=90)
    locked = np.where(np.arange(90) < 30, -1, folds)
    assert fit(truth, p, locked) == fit(truth[30:], p[30:], folds[30:])


@pytest.mark.parametrize("folds", [[0, 0, 0, 0], [-1, 0, 0, 0]])
def test_one_fold_is_too_few(folds: list[int]) -> None:
    with pytest.raises(ValueError, match="two folds or more"):
        fit(Y, np.full((4, 3), 0.5), folds)


def test_a_fold_without_a_listed_species_is_refused() -> None:
    with pytest.raises(ValueError, match="each with a listed species"):
        fit(np.vstack([Y, np.zeros((1, 3), dtype=bool)]), np.full((5, 3), 0.5), [0, 0, 0, 0, 1])
