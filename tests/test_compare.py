"""Paired statistics: by hand, against scipy, as properties, and in a small simulation of studies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from study.arms import difference
from study.compare import (
    MARGIN,
    POWER,
    Evidence,
    Plan,
    Spread,
    detectable,
    draws,
    effective_groups,
    on_new,
    over_folds,
    power,
    recommended,
    together,
    word,
)

Floats = NDArray[np.float64]
scores = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=4, max_size=8)


def study_of(seed: int, replicates: int, recordings: int, spread: tuple[float, float, float]) -> Floats:
    """(recording, replicate) differences around 0: by recording, by replicate, and by both."""
    generator = np.random.default_rng(seed)
    by_recording, by_replicate, by_both = (
        part * generator.normal(size=shape)
        for part, shape in zip(spread, [(recordings, 1), (1, replicates), (recordings, replicates)], strict=True)
    )
    return by_recording + by_replicate + by_both


def judged(each: Floats, weights: Floats) -> tuple[Evidence, Spread]:
    told = on_new(each.mean(axis=0), weights @ each / len(each), len(each))
    assert told is not None
    return told


def test_error_of_new_recordings_is_that_of_an_analysis_of_variance() -> None:
    """Crossed random effects: (MS_replicate + MS_recording − MS_rest) / (S G), by hand from the table of squares."""
    each = study_of(0, 5, 40, (1.0, 0.3, 0.5))
    rows, columns, mean = each.mean(axis=1), each.mean(axis=0), each.mean()
    squares = (
        40 * ((columns - mean) ** 2).sum() / 4,
        5 * ((rows - mean) ** 2).sum() / 39,
        ((each - rows[:, None] - columns + mean) ** 2).sum() / (4 * 39),
    )
    weights = draws(np.arange(40), 40_000, np.random.default_rng(1))
    evidence, spread = judged(each, weights)
    assert evidence.variance == pytest.approx((squares[0] + squares[1] - squares[2]) / 200, rel=0.03)
    assert spread.replicate == pytest.approx(squares[0] / 40)
    assert spread.recordings == pytest.approx((squares[1] - squares[2]) / 200, rel=0.03)
    assert evidence.mean == pytest.approx(mean)


def test_where_recordings_do_not_differ_new_ones_are_the_paired_t_test() -> None:
    first, second = np.array([0.60, 0.70, 0.65, 0.62]), np.array([0.63, 0.72, 0.69, 0.61])
    d = second - first
    told = on_new(d, np.tile(d, (50, 1)), 30)
    assert told is not None
    golden = stats.ttest_rel(second, first)
    assert told[0].p_value == pytest.approx(golden.pvalue)
    assert told[0].interval(0.05) == pytest.approx(tuple(golden.confidence_interval(0.95)))
    beside = difference(dict(enumerate(first)), dict(enumerate(second)))
    assert beside.p_value == pytest.approx(golden.pvalue)


def test_freedom_by_hand() -> None:
    told = Spread(replicate=0.04, recordings=0.01, groups=21).evidence(0.1, 5)
    counted = 0.008 * 1.75  # c = 1 + 12/16
    assert told.variance == pytest.approx(0.018)
    assert told.freedom == pytest.approx((counted + 0.01) ** 2 / (counted**2 / 4 + 0.01**2 / 20))


@given(scores, st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_swapping_the_arms_turns_the_sign_and_nothing_else(d: list[float], seed: int) -> None:
    drawn = np.array(d) + 0.1 * np.random.default_rng(seed).normal(size=(30, len(d)))
    one, other = on_new(d, drawn, 20), on_new(-np.array(d), -drawn, 20)
    assert one is not None
    assert other is not None
    assert other[0].mean == -one[0].mean
    assert other[0].variance == pytest.approx(one[0].variance)
    assert other[0].p_value == pytest.approx(one[0].p_value)
    turned = {"better": "worse", "worse": "better"}
    first, second = (word(told, told.p_value, 0.05, told.interval(0.05), 0.005) for told in (one[0], other[0]))
    assert second == turned.get(first, first)


@given(st.permutations(range(12)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_recordings_changes_nothing(order: list[int]) -> None:
    groups = np.repeat(np.arange(4), 3)
    each = study_of(3, 4, 12, (1.0, 0.2, 0.5))
    weights = [draws(one, 200, np.random.default_rng(5)) for one in (groups, groups[order])]
    told = [judged(each, weights[0]), judged(each[order], weights[1])]
    assert told[1][0].variance == pytest.approx(told[0][0].variance)


def test_sites_are_drawn_whole() -> None:
    weights = draws(np.array([0, 0, 1, 2, 2]), 500, np.random.default_rng(0))
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert effective_groups([5, 5, 5, 5]) == 4
    assert effective_groups([97, 1, 1, 1]) == pytest.approx(100**2 / 9412)
    assert effective_groups([0, 0]) == 0
    assert effective_groups([5, 0, 5]) == 2


@pytest.mark.parametrize(
    ("mean", "error", "p_value", "said"),
    [
        (0.02, 0.004, 0.001, "better"),
        (-0.02, 0.004, 0.001, "worse"),
        (0.02, 0.004, 0.2, "not known yet"),
        (0.02, 0.004, None, "not known yet"),
        (0.001, 0.001, 0.4, "practically equal"),
        (0.002, 0.0005, 0.001, "practically equal"),
    ],
)
def test_the_word_is_said_by_the_interval_and_the_p_value(
    mean: float, error: float, p_value: float | None, said: str
) -> None:
    told = Evidence(mean, error**2, 50)
    assert word(told, p_value, 0.05, told.interval(0.05), 0.005) == said


def test_intervals_of_several_end_at_zero_where_holm_lets_a_difference_stand() -> None:
    told = Evidence(0.02, 0.01**2, 30)
    low, high = told.interval(0.02)
    assert low < 0
    assert together(told, False, 0.02) == (low, high)
    assert together(told, True, 0.02) == (0.0, high)
    assert together(Evidence(-0.02, 0.01**2, 30), True, 0.02) == (-high, 0.0)


def test_identical_arms_are_equal_and_a_constant_difference_is_not_tested() -> None:
    same = on_new(np.zeros(3), np.zeros((20, 3)), 10)
    constant = on_new(np.full(3, 0.1), np.full((20, 3), 0.1), 10)
    assert same is not None
    assert constant is not None
    assert (same[0].p_value, same[0].interval(0.05)) == (1.0, (0.0, 0.0))
    assert word(same[0], same[0].p_value, 0.05, same[0].interval(0.05), 0.005) == "practically equal"
    assert constant[0].p_value is None
    assert word(constant[0], None, 0.05, constant[0].interval(0.05), 0.005) == "not known yet"


def test_one_replicate_or_one_group_has_no_answer() -> None:
    assert on_new([0.1], np.full((20, 1), 0.1), 10) is None
    assert on_new([0.1, 0.2], np.full((20, 2), 0.1), 1) is None
    assert on_new([0.1, 0.2], np.full((20, 2), np.nan), 10) is None


@pytest.mark.parametrize(("freedom", "level"), [(1, 0.05), (4, 0.05), (9, 0.01), (50, 0.05), (math.inf, 0.05)])
def test_power_is_that_of_the_noncentral_t(freedom: float, level: float) -> None:
    evidence = Evidence(0.0, 0.25, freedom)
    df = min(freedom, 1e6)
    bound = stats.t.isf(level / 2, df)
    for effect in (0.0, 0.5, 1.5):
        golden = stats.nct.sf(bound, df, effect / 0.5) + stats.nct.cdf(-bound, df, effect / 0.5)
        assert power(effect, evidence, level) == pytest.approx(golden, abs=2e-3)
    assert power(detectable(evidence, level), evidence, level) == pytest.approx(0.8, abs=1e-3)


def test_ten_replicates_find_one_standard_deviation_where_recordings_do_not_differ() -> None:
    plan = recommended(0.01, Spread(0.01**2, 0.0, 100), 0.05)
    assert (plan.replicates, plan.times) == (10, 1)  # the paired t-test's known sample size, Cohen 1988


def test_where_the_recordings_alone_are_too_varied_more_of_them_are_asked_for() -> None:
    plan = recommended(0.01, Spread(0.01**2, 0.01**2, 100), 0.05)
    assert plan.times > 1
    assert power(0.01, Spread(0.01**2, 0.01**2, 100).evidence(0.01, 100_000), 0.05) < 0.8
    enough = Spread(0.01**2, 0.01**2, 100).evidence(0.01, plan.replicates, plan.times)
    fewer = Spread(0.01**2, 0.01**2, 100).evidence(0.01, plan.replicates - 1, plan.times)
    assert power(0.01, fewer, 0.05) < 0.8 <= power(0.01, enough, 0.05)


def test_the_corrected_resampled_t_by_hand() -> None:
    told = over_folds([0.01, 0.03, 0.02, np.nan])
    assert told is not None
    assert told.mean == pytest.approx(0.02)
    assert told.variance == pytest.approx((1 / 3 + 1 / 2) * 0.01**2)
    assert told.freedom == 2
    assert over_folds([0.1]) is None


@pytest.mark.parametrize("spread", [(1.0, 0.05, 0.5), (0.3, 0.1, 0.3), (0.05, 0.1, 0.2)])
@pytest.mark.parametrize("replicates", [2, 5])
def test_of_studies_without_a_difference_no_more_than_one_in_twenty_finds_one(
    replicates: int, spread: tuple[float, float, float]
) -> None:
    """400 studies of 60 recordings; 33 of 400 is the 99.8 % point of 5 %."""
    weights = draws(np.arange(60), 300, np.random.default_rng(0))
    p_values = [judged(study_of(seed, replicates, 60, spread), weights)[0].p_value for seed in range(400)]
    assert sum(p is not None and p < 0.05 for p in p_values) <= stats.binom.ppf(0.998, 400, 0.05)


def test_studies_find_an_effect_as_often_as_was_planned() -> None:
    spread = (0.3, 0.1, 0.3)
    true = Spread(0.1**2 + 0.3**2 / 60, 0.3**2 / 60, 60)
    plan = recommended(0.15, true, 0.05)
    assert plan.times == 1
    weights = draws(np.arange(60), 300, np.random.default_rng(0))
    found = [
        (judged(0.15 + study_of(seed, plan.replicates, 60, spread), weights)[0].p_value or 1.0) < 0.05
        for seed in range(400)
    ]
    assert stats.binom.ppf(0.001, 400, 0.8) <= sum(found)


def test_a_test_and_its_interval_by_hand() -> None:
    told = Evidence(-0.02, 0.01**2, 7)
    assert told.p_value == pytest.approx(2 * stats.t.cdf(-2, 7))
    half = stats.t.ppf(0.95, 7) * 0.01
    assert told.interval(0.1) == pytest.approx((-0.02 - half, -0.02 + half))
    sure = Evidence(0.01, 0.0, 7)
    assert (sure.p_value, sure.interval(0.1), sure.interval(0.0)) == (None, (0.01, 0.01), (0.01, 0.01))
    assert Evidence(0.0, 0.0, 7).p_value == 1.0
    assert (POWER, MARGIN) == (0.8, 0.005)  # what the README promises


def test_more_recordings_make_their_part_of_the_error_smaller_and_better_known() -> None:
    told = Spread(replicate=0.04, recordings=0.01, groups=21).evidence(0.1, 5, times=4)
    counted = 0.008 * 1.75
    assert told.variance == pytest.approx(0.008 + 0.0025)
    assert told.freedom == pytest.approx((counted + 0.0025) ** 2 / (counted**2 / 4 + 0.0025**2 / 83))
    assert Spread(0.0, 0.0, 21).evidence(0.1, 5) == Evidence(0.1, 0.0, math.inf)


@pytest.mark.parametrize("groups", [2.5, 20.0])
@pytest.mark.parametrize("jitter", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("by_draw", [0.001, 0.05, 2.0])
def test_the_parts_of_the_error_are_those_of_the_formulas(groups: float, jitter: float, by_draw: float) -> None:
    """Clipped at each of its three bounds here or there, and at none."""
    generator = np.random.default_rng(3)
    d = 0.3 + 0.1 * generator.normal(size=4)
    drawn = d + by_draw * generator.normal(size=(50, 1)) + jitter * generator.normal(size=(50, 4))
    told = on_new(d, np.vstack([drawn[:20], [[0.1, np.nan, 0.1, 0.1]], drawn[20:]]), groups)
    assert told is not None
    evidence, spread = told
    v_s = np.var(d, ddof=1) / 4
    v_g = np.var([np.mean(row) for row in drawn], ddof=1) * groups / (groups - 1)
    each = np.mean([np.var(column, ddof=1) for column in drawn.T]) * groups / (groups - 1)
    v_sg = max(0.0, min((each - v_g) / 3, v_s, v_g))
    assert spread.replicate == pytest.approx(4 * v_s)
    assert spread.recordings == pytest.approx(v_g - v_sg, abs=1e-15)
    assert spread.groups == groups
    assert (evidence.mean, evidence.variance) == pytest.approx((d.mean(), v_s + v_g - v_sg))


def test_two_replicates_two_draws_and_a_group_and_a_half_are_the_least_that_is_answered() -> None:
    d, drawn = [0.1, 0.2], [[0.1, 0.3], [0.2, 0.2]]
    assert on_new(d, drawn, 1.5) is not None
    assert on_new(d, drawn, 1.49) is None
    assert on_new(d, [*drawn, [np.nan, 0.1]], 5) == on_new(d, drawn, 5)
    assert on_new(d, [drawn[0], [np.nan, 0.1]], 5) is None
    assert on_new(d[:1], [[0.1], [0.2]], 5) is None


def test_a_spread_of_rounding_is_none_and_a_small_one_is_one() -> None:
    pattern = np.array([1.0, -1.0, 1.0])
    for size, known in [(1e-12, False), (1e-6, True)]:
        d = 0.1 + size * pattern
        told = on_new(d, np.full((4, 3), 0.1) + size * np.array([[1], [-1], [1], [-1]]), 10)
        folds = over_folds(d)
        assert told is not None
        assert folds is not None
        assert (told[1].replicate > 0, told[1].recordings > 0, folds.variance > 0) == (known, known, known)
    # what is rounding is told by the largest, be it drawn or not
    large = on_new(1e-12 * pattern, np.array([[1.0, 0, 1], [-1, 0, -1]]), 10)
    assert large is not None
    assert large[1].replicate == 0.0
    large = on_new(np.array([0.0, 1.0, 0.5]), 1e-12 * np.array([[1], [-1]]) + np.zeros(3), 10)
    assert large is not None
    assert large[1].recordings == 0.0
    thousands = over_folds(1000 + 1e-7 * pattern)
    assert thousands is not None
    assert thousands.variance == 0.0
    small = on_new(1e-12 * pattern, np.array([[1e-12, 0, 0], [-1e-12, 0, 0]]), 10)
    assert small is not None
    assert small[1].replicate > 0


def test_two_folds_are_enough_for_the_corrected_t_and_one_is_not() -> None:
    told = over_folds([0.1, 0.3])
    assert told is not None
    assert (told.mean, told.variance, told.freedom) == pytest.approx((0.2, (1 / 2 + 1) * 0.02, 1))
    assert over_folds([0.1, np.nan]) is None


def test_the_margin_itself_is_practically_equal_and_the_level_itself_is_not_known() -> None:
    told = Evidence(0.02, 0.01**2, 30)
    assert word(told, 0.001, 0.05, (-0.005, 0.005), 0.005) == "practically equal"
    assert word(told, 0.001, 0.05, (-0.006, 0.005), 0.005) == "better"
    assert word(told, 0.001, 0.05, (-0.005, 0.006), 0.005) == "better"
    assert word(told, 0.05, 0.05, (0.0, 0.04), 0.005) == "not known yet"
    assert word(Evidence(0.0, 0.1, 30), 0.001, 0.05, (-1.0, 1.0), 0.005) == "worse"  # cannot be, and is no victory


def test_intervals_that_leave_zero_out_are_not_lengthened() -> None:
    for told in (Evidence(0.02, 0.001**2, 30), Evidence(-0.02, 0.001**2, 30)):
        assert together(told, True, 0.02) == told.interval(0.02)


def test_where_nothing_varies_an_effect_is_always_found() -> None:
    sure = Evidence(0.0, 0.0, 4)
    assert (power(0.1, sure, 0.05), power(0.0, sure, 0.05)) == (1.0, 0.05)
    assert (detectable(sure, 0.05), detectable(sure, 0.0)) == (0.0, math.inf)
    assert detectable(Evidence(0.0, 1.0, 4), 0.0) == math.inf


@pytest.mark.parametrize("freedom", [1, 3, 30])
@pytest.mark.parametrize("level", [0.001, 0.05])
def test_what_can_be_detected_grows_with_the_error_and_is_told_to_its_last_digits(freedom: float, level: float) -> None:
    one = detectable(Evidence(0.0, 1.0, freedom), level)
    assert power(one * (1 - 1e-9), Evidence(0.0, 1.0, freedom), level) < POWER
    assert power(one * (1 + 1e-9), Evidence(0.0, 1.0, freedom), level) >= POWER
    assert detectable(Evidence(0.3, 4.0, freedom), level) == pytest.approx(2 * one)


@pytest.mark.parametrize("effect", [0.003, 0.01, 0.03, 0.2])
@pytest.mark.parametrize("recordings", [0.0, 0.0005])
def test_the_fewest_replicates_are_found_by_counting_up(effect: float, recordings: float) -> None:
    spread, times = Spread(0.01**2, recordings**2, 40), 1
    for replicates in range(2, 400):
        if power(effect, spread.evidence(effect, replicates, times), 0.05) >= POWER:
            break
    assert recommended(effect, spread, 0.05) == Plan(effect, replicates, times)
    assert recommended(-effect, spread, 0.05) == Plan(-effect, replicates, times)


def test_so_many_times_the_recordings_are_asked_for_that_replicates_are_left_half() -> None:
    spread = Spread(0.01**2, 0.01**2, 100)
    allowed = (0.01 / (stats.norm.isf(0.025) + stats.norm.isf(0.2))) ** 2
    plan = recommended(0.01, spread, 0.05)
    assert plan.times == math.ceil(2 * 0.01**2 / allowed) == 16
    for replicates in range(2, 400):
        if power(0.01, spread.evidence(0.01, replicates, 16), 0.05) >= POWER:
            break
    assert plan.replicates == replicates
    barely = Spread(
        0.01**2, 1.01 * allowed, 10_000
    )  # a little too varied: twice the recordings are the fewest asked for
    assert recommended(0.01, barely, 0.05).times == 3


def test_where_few_sites_are_drawn_more_of_them_are_counted_up_until_they_are_enough() -> None:
    allowed = (0.1 / (stats.norm.isf(0.025) + stats.norm.isf(0.2))) ** 2
    for groups, fewest in ((1.5, 3), (1.7, 3), (2.0, 3), (20.0, 2)):
        spread, times = Spread(0.01**2, 0.9 * allowed, groups), 1
        while power(0.1, spread.evidence(0.1, 1_000_000, times), 0.05) < POWER:
            times += 1
        assert recommended(0.1, spread, 0.05).times == times >= fewest
    assert times == 2
