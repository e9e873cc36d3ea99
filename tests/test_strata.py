"""Strata by score, draws a stratum, and a draw in which every prefix is a draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.strata import LEAST, STRATA, allocation, draw, strata


def test_strata_are_cut_at_the_threshold_and_at_a_quarter_of_what_lies_below_it() -> None:
    scores = np.array([0.9, 0.5, 0.1, 0.2, 0.6, 0.3, 0.4, 0.0, 0.05, 0.15])
    names = [STRATA[place] for place in strata(scores, 0.5)]
    assert names == ["above", "near", "far", "far", "above", "far", "near", "far", "far", "far"]


@pytest.mark.parametrize(("threshold", "only"), [(1.0, {1, 2}), (-1.0, {0})])
def test_all_windows_may_lie_on_one_side_of_the_threshold(threshold: float, only: set[int]) -> None:
    assert set(strata(np.linspace(0, 1, 9), threshold).tolist()) == only


@given(sizes=st.lists(st.integers(0, 60), min_size=3, max_size=3), budget=st.integers(6, 200))
def test_draws_use_the_budget_and_leave_no_stratum_with_fewer_than_two(sizes: list[int], budget: int) -> None:
    drawn = allocation(np.array(sizes), budget)
    assert drawn.sum() == min(budget, sum(sizes))
    assert all(min(LEAST, size) <= count <= size for count, size in zip(drawn, sizes, strict=True))


def test_draws_go_two_fifths_above_a_fifth_near_and_two_fifths_far() -> None:
    assert allocation(np.array([1000, 1000, 1000]), 50).tolist() == [20, 10, 20]


def test_a_stratum_that_is_used_up_leaves_its_draws_to_the_others() -> None:
    assert allocation(np.array([3, 1000, 1000]), 48).tolist() == [3, 15, 30]


def test_a_draw_takes_each_window_once_and_every_window_where_the_budget_is_large_enough() -> None:
    stratum = strata(np.linspace(0, 1, 40), 0.5)
    drawn = draw(stratum, 12, np.random.default_rng(0))
    assert len(set(drawn.tolist())) == 12
    assert np.bincount(stratum[drawn], minlength=3).tolist() == allocation(np.bincount(stratum), 12).tolist()
    assert sorted(draw(stratum, 99, np.random.default_rng(0)).tolist()) == list(range(40))


def test_within_a_stratum_every_window_is_as_likely_to_be_drawn_and_to_be_among_the_first() -> None:
    stratum = strata(np.linspace(0, 1, 30), 0.5)
    sizes = np.bincount(stratum)
    drawn, first = np.zeros(30), np.zeros(30)
    generator = np.random.default_rng(0)
    for _ in range(4000):
        windows = draw(stratum, 12, generator)
        drawn[windows] += 1 / 4000
        first[windows[:4]] += 1 / 4000
    expected = (allocation(sizes, 12) / sizes)[stratum]
    np.testing.assert_allclose(drawn, expected, atol=0.03)  # four standard errors
    np.testing.assert_allclose(first, expected * 4 / 12, atol=0.03)
