"""Horvitz–Thompson estimates by hand, and intervals that cover: exactly in one cell, by simulation in three."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from study.horvitz import Cell, Estimate, Quality, quality
from study.strata import draw, strata


def estimated(*cells: Cell, draws: int = 4000) -> Quality:
    return quality(cells, np.random.default_rng(0), draws)


@st.composite
def drawn_cells(draw: st.DrawFn) -> list[Cell]:
    cells = []
    for above in draw(st.lists(st.booleans(), min_size=1, max_size=5)):
        windows = draw(st.integers(1, 300))
        judged = draw(st.integers(1, min(windows, 30)))
        cells.append(Cell(windows, judged, draw(st.integers(0, judged)), above))
    return cells


def test_judged_windows_weigh_as_many_as_they_stand_for() -> None:
    told = estimated(Cell(100, 10, 8, True), Cell(200, 10, 2, False), Cell(1000, 20, 1, False))
    assert told.precision.value == pytest.approx(80 / 100)
    assert told.recall.value == pytest.approx(80 / (80 + 40 + 50))
    assert told.present.value == pytest.approx(170 / 1300)


@given(
    totals=st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1), st.booleans()), min_size=1, max_size=5),
)
def test_where_every_window_is_judged_the_estimates_are_the_census_and_nothing_is_in_doubt(
    totals: list[tuple[int, float, bool]],
) -> None:
    cells = [Cell(windows, windows, round(share * windows), above) for windows, share, above in totals]
    hits = sum(c.present for c in cells if c.above)
    called, present = sum(c.windows for c in cells if c.above), sum(c.present for c in cells)
    told = estimated(*cells, draws=50)
    census = {
        "precision": (hits, called),
        "recall": (hits, present),
        "present": (present, sum(c.windows for c in cells)),
    }
    for name, (part, whole) in census.items():
        estimate: Estimate = getattr(told, name)
        if whole:
            assert estimate == Estimate(part / whole, part / whole, part / whole)
        else:
            assert estimate == Estimate(None, 0.0, 1.0)


@given(windows=st.integers(30, 300), data=st.data())
@settings(max_examples=40)
def test_one_cell_has_the_exact_interval_of_clopper_and_pearson_for_a_finite_population(
    windows: int, data: st.DataObject
) -> None:
    judged = data.draw(st.integers(1, 30))
    present = data.draw(st.integers(0, judged))
    told = estimated(Cell(windows, judged, present, True), draws=40_000).precision
    totals = np.arange(windows + 1)
    at_least = hypergeom.sf(present - 1, windows, totals, judged)
    at_most = hypergeom.cdf(present, windows, totals, judged)
    exact_low, exact_high = totals[at_least > 0.025].min(), totals[at_most > 0.025].max()
    assert abs(told.low * windows - exact_low) <= 1 + 0.01 * windows
    assert abs(told.high * windows - exact_high) <= 1 + 0.01 * windows


@given(cells=drawn_cells())
def test_an_estimate_lies_in_its_interval(cells: list[Cell]) -> None:
    told = estimated(*cells, draws=2000)
    for one in (told.precision, told.recall, told.present):
        assert 0.0 <= one.low <= one.high <= 1.0
        if one.value is not None:
            assert one.low - 1e-12 <= one.value <= one.high + 1e-12


def test_a_stratum_without_a_call_leaves_doubt_in_proportion_to_what_it_stands_for() -> None:
    small = estimated(Cell(100, 20, 18, True), Cell(50, 20, 0, False)).recall
    large = estimated(Cell(100, 20, 18, True), Cell(20_000, 20, 0, False)).recall
    assert (small.value, large.value) == (1.0, 1.0)
    assert (small.high, large.high) == (1.0, 1.0)
    assert large.low < 0.1 < 0.85 < small.low


def test_without_an_answer_in_a_stratum_recall_is_not_known_but_precision_is() -> None:
    told = estimated(Cell(100, 10, 8, True), Cell(500, 0, 0, False))
    assert told.precision.value == 0.8
    assert (told.recall.value, told.present.value) == (None, None)
    assert told.recall.low < 0.15  # 80 of up to 580
    assert told.recall.high == 1.0


def test_without_windows_above_the_threshold_there_is_no_precision_and_all_is_missed() -> None:
    told = estimated(Cell(100, 50, 5, False))
    assert told.precision == Estimate(None, 0.0, 1.0)
    assert told.recall.value == 0.0


def test_a_cell_without_windows_holds_nothing_and_leaves_nothing_in_doubt() -> None:
    cells = Cell(100, 10, 8, True), Cell(500, 20, 3, False)
    for empty in (Cell(0, 0, 0, True), Cell(0, 0, 0, False)):
        assert empty.total == 0.0
        assert estimated(*cells, empty) == estimated(*cells)


def test_the_ends_of_an_interval_are_whole_windows_however_few_the_draws() -> None:
    told = estimated(Cell(1000, 10, 5, True), draws=5).precision
    assert [told.low * 1000, told.high * 1000] == pytest.approx([round(told.low * 1000), round(told.high * 1000)])
    assert told.low < told.high


def test_of_no_windows_nothing_is_known() -> None:
    nothing = Estimate(None, 0.0, 1.0)
    assert estimated() == Quality(nothing, nothing, nothing)


def test_where_no_call_was_found_nothing_is_known_of_recall() -> None:
    assert estimated(Cell(100, 10, 0, True), Cell(500, 10, 0, False)).recall == Estimate(None, 0.0, 1.0)


@pytest.mark.parametrize("prevalence", [0.02, 0.1])
def test_intervals_cover_the_truth_and_unweighted_shares_do_not_estimate_it(prevalence: float) -> None:
    """3,000 windows, 90 judged, 150 audits; a coverage of 0.95 gives 0.90 or less once in 100 times."""
    generator = np.random.default_rng(1)
    covered, weighted, unweighted = np.zeros(2), [], []
    for _ in range(150):
        present = generator.random(3000) < prevalence
        scores = 1 / (1 + np.exp(-generator.normal(np.where(present, 1.0, -2.0), 1.5)))
        above, stratum = scores > 0.5, strata(scores, 0.5)
        windows = draw(stratum, 90, generator)
        cells = []
        for place in range(3):
            inside, judged = stratum == place, windows[stratum[windows] == place]
            cells.append(Cell(int(inside.sum()), len(judged), int(present[judged].sum()), place == 0))
        told = quality(cells, generator, draws=1000)
        precision, recall = present[above].mean(), above[present].mean()
        covered += [
            told.precision.low <= precision <= told.precision.high,
            told.recall.low <= recall <= told.recall.high,
        ]
        found = windows[present[windows]]
        if told.recall.value is not None:
            weighted.append(told.recall.value - recall)
            unweighted.append(above[found].mean() - recall)
    assert (covered / 150 > 0.9).all(), covered / 150
    assert abs(np.mean(weighted)) < abs(np.mean(unweighted)), (np.mean(weighted), np.mean(unweighted))
