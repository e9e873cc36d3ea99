"""One score out of an epoch's metrics."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfcx_model.errors import InputError
from rfcx_model.folds import LOCKED
from study.objective import ScoreError, floor_at, refuse_undefined, score, values
from study.space_settings import Objective

METRICS = {"lwlrap": 0.6, "precision": 0.8, "precision_avg": 0.7, "tpfp_auc": 0.9, "recall": 0.1, "diary_lwlrap": 0.99}
unit = st.floats(0, 1)


def test_the_default_is_the_mean_of_lwlrap_and_the_form_that_the_experiment_chose() -> None:
    assert score(Objective(), METRICS) == pytest.approx((0.6 + 0.9) / 2)


def test_weights_and_form_are_taken_from_the_objective() -> None:
    objective = Objective(lwlrap=0.25, precision=0.75, precision_form="precision_avg")
    assert score(objective, METRICS) == pytest.approx(0.25 * 0.6 + 0.75 * 0.7)


def test_above_the_floor_precision_alone_counts() -> None:
    assert score(Objective(rule="floor"), METRICS, floor=0.6) == 0.9


@given(lwlrap=unit, precision=unit, other=unit, floor=unit)
def test_what_misses_the_floor_ranks_below_all_that_meets_it(
    lwlrap: float, precision: float, other: float, floor: float
) -> None:
    objective = Objective(rule="floor")
    got = score(objective, {"lwlrap": lwlrap, "tpfp_auc": precision}, floor)
    meets = score(objective, {"lwlrap": 1.0, "tpfp_auc": other}, floor)
    assert got >= 0 if lwlrap >= floor else got < 0 <= meets


def test_the_floor_is_the_baselines_at_the_same_step_less_its_noise() -> None:
    objective = Objective(rule="floor", noise=0.02)
    known = {1: 0.3, 2: 0.5, 4: 0.6}
    assert floor_at(objective, known, 2) == pytest.approx(0.48)
    assert floor_at(objective, known, 3) == pytest.approx(0.48)
    assert floor_at(objective, known, 9) == pytest.approx(0.58)
    assert floor_at(objective, {}, 1) is None
    assert floor_at(replace(objective, floor=0.7), {}, 1) == 0.7
    assert floor_at(Objective(), known, 2) is None


def test_pareto_gives_the_pair_to_the_sampler_and_the_sum_to_the_scheduler() -> None:
    objective = Objective(rule="pareto")
    assert values(objective, METRICS) == (0.6, 0.9)
    assert score(objective, METRICS) == pytest.approx(0.75)
    assert values(Objective(), METRICS) == (score(Objective(), METRICS),)


def test_a_form_that_counts_for_nothing_may_be_undefined() -> None:
    assert score(Objective(lwlrap=1.0, precision=0.0), METRICS | {"tpfp_auc": math.nan}) == 0.6


BOXES = pd.DataFrame(
    {"recording": [0, 0, 1, 1, 2], "template": [7, 8, 7, 8, 7], "positive": [True, False, False, True, False]}
)


def test_an_objective_that_these_data_cannot_measure_is_refused_before_anything_is_trained() -> None:
    refuse_undefined(Objective(), BOXES, np.array([0, 0, 1]))
    apart = np.array([0, 1, 1])
    refuse_undefined(Objective(), BOXES.assign(recording=[0, 0, 0, 1, 1]), apart)
    for folds in (apart, np.array([LOCKED, LOCKED, 1])):
        with pytest.raises(InputError, match=r"`precision_form`: \"tpfp_auc\" holds TP rows .* got no fold with both"):
            refuse_undefined(Objective(), BOXES, folds)
        refuse_undefined(Objective(precision_form="precision_avg"), BOXES, folds)
        refuse_undefined(Objective(lwlrap=1.0, precision=0.0), BOXES, folds)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["lwlrap", "tpfp_auc"])
@pytest.mark.parametrize("rule", ["weighted", "floor", "pareto"])
def test_a_metric_that_is_not_finite_is_an_error_that_names_it(name: str, bad: float, rule: str) -> None:
    objective = Objective(rule=rule)  # type: ignore[arg-type]
    with pytest.raises(ScoreError, match=f"`{name}` must be finite"):
        score(objective, {**METRICS, name: bad})


def test_a_missing_metric_is_an_error_that_says_what_was_reported() -> None:
    with pytest.raises(ScoreError, match=r"`tpfp_auc`, but the epoch reported lwlrap"):
        score(Objective(), {"lwlrap": 0.5})
