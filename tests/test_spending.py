"""Looking early: the published bounds of O'Brien and Fleming's kind, and that no more than α is ever spent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from study.spending import ALPHA, TOO_EARLY, level, spent, total

PUBLISHED = {
    2: [2.963, 1.969],
    5: [4.877, 3.357, 2.680, 2.290, 2.031],
}
"""Two-sided, α = 0.05, looks at equal steps: Reboussin, DeMets, Kim & Lan 2000 (Controlled Clinical Trials 21)."""


def bounds(fractions: list[float]) -> list[tuple[float, float]]:
    """(t, level) of looks at these fractions, one after another."""
    looks: list[tuple[float, float]] = []
    for fraction in fractions:
        looks.append((fraction, level(looks, fraction)))
    return looks


@pytest.mark.parametrize("looks", PUBLISHED)
def test_bounds_are_those_published(looks: int) -> None:
    told = bounds([(look + 1) / looks for look in range(looks)])
    assert [norm.isf(at / 2) for _, at in told] == pytest.approx(PUBLISHED[looks], abs=6e-4)


def test_a_single_look_at_all_replicates_has_the_whole_of_alpha() -> None:
    assert level([], 1.0) == pytest.approx(ALPHA)
    assert [spent(0.0), spent(1.0), spent(2.0)] == pytest.approx([0.0, ALPHA, ALPHA])


@given(st.lists(st.integers(1, 19), min_size=0, max_size=5, unique=True).map(sorted))
@settings(max_examples=25, deadline=None)
def test_all_looks_together_spend_alpha(seen: list[int]) -> None:
    told = bounds([*(n / 20 for n in seen), 1.0])
    assert total([(20 * t, at) for t, at in told]) == pytest.approx(ALPHA, abs=1e-6)


def test_two_looks_at_five_per_cent_each_spend_more_as_a_simulation_has_it() -> None:
    steps = np.random.default_rng(0).normal(size=(200_000, 2))
    z = np.cumsum(steps, axis=1) / np.sqrt([1, 2])
    crossed = (np.abs(z) > norm.isf(0.025)).any(axis=1).mean()
    assert total([(5, 0.05), (10, 0.05)]) == pytest.approx(crossed, abs=0.002)
    assert total([(5, 0.05), (10, 0.05)]) == pytest.approx(0.0831, abs=5e-4)  # Armitage, McPherson & Rowe 1969, table 2
    assert total([]) == 0


def test_the_unit_of_what_was_seen_does_not_matter() -> None:
    for unit in (0.01, 0.1, 100):
        assert total([(unit, 0.05), (2 * unit, 0.05)]) == pytest.approx(total([(5, 0.05), (10, 0.05)]), abs=1e-12)


def test_what_was_overspent_leaves_nothing_for_later_looks() -> None:
    assert level([(0.5, 0.05)], 0.6) == 0.0
    assert level([], 0.0) == 0.0
    assert total([(1, 1.0)]) == total([(1, 1.0), (2, 0.05)]) == 1.0


def test_a_look_at_next_to_nothing_is_judged_by_a_bound_that_nothing_meets() -> None:
    assert level([], 0.03) == pytest.approx(2 * norm.sf(12.0), rel=1e-9, abs=0)
    assert level([], 0.15) < TOO_EARLY < level([], 0.2)  # the first of five looks is told


def test_a_single_early_look_has_all_that_may_be_spent_by_then() -> None:
    for fraction in (0.2, 0.5, 0.9):
        assert level([], fraction) == pytest.approx(spent(fraction), rel=1e-6)
