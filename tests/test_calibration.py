"""Reliability of boxes: by hand, and against scikit-learn and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from rfcx_model.calibration import balanced, calibration, wilson


def test_weights_give_both_kinds_of_a_species_half_and_leave_out_who_has_one_kind() -> None:
    positive = np.array([True, False, False, True, False, False])
    species = np.array([0, 0, 0, 1, 2, 2])
    assert balanced(positive, species).tolist() == [0.5, 0.25, 0.25, 0.0, 0.0, 0.0]


def test_bins_and_error_by_hand() -> None:
    positive = [True, True, False, False]
    scores = [0.95, 0.35, 0.35, 0.05]
    told = calibration(positive, scores, [0, 0, 0, 0])
    assert [(one.low, one.high, one.boxes, one.said, one.confirmed) for one in told.bins] == [
        (0.0, 0.1, 1, 0.05, 0.0),
        (0.3, 0.4, 2, pytest.approx(0.35), 0.5),
        (0.9, 1.0, 1, 0.95, 1.0),
    ]
    assert told.error == pytest.approx(0.25 * 0.05 + 0.5 * 0.15 + 0.25 * 0.05)


def test_equal_weights_are_scikit_learns_curve() -> None:
    generator = np.random.default_rng(0)
    p = generator.random(400)
    y = np.arange(400) % 2 == 0  # as many of each kind, so that all weigh alike
    told = calibration(y, p, np.zeros(400))
    confirmed, said = calibration_curve(y, p, n_bins=10)
    np.testing.assert_allclose([one.confirmed for one in told.bins], confirmed)
    np.testing.assert_allclose([one.said for one in told.bins], said)


def test_a_prior_does_not_matter() -> None:
    generator = np.random.default_rng(1)
    p, y = generator.random(60), generator.random(60) < 0.5
    more = np.concatenate([np.arange(60), np.flatnonzero(~y).repeat(4)])
    one, other = calibration(y, p, np.zeros(60)), calibration(y[more], p[more], np.zeros(len(more)))
    assert other.error == pytest.approx(one.error)


def test_the_interval_is_scipys() -> None:
    told = binomtest(7, 20).proportion_ci(0.95, method="wilson")
    assert wilson(7 / 20, 20) == pytest.approx((told.low, told.high))
    assert wilson(0.0, 5)[0] == 0.0
    assert wilson(1.0, 5)[1] == 1.0


def test_one_is_in_the_last_bin_and_nothing_has_no_error() -> None:
    assert calibration([True, False], [1.0, 1.0], [0, 0]).bins[0].high == 1.0
    assert math.isnan(calibration([], [], []).error)
    assert math.isnan(calibration([True], [0.5], [0]).error)
