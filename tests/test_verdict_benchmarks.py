"""The benchmarks that judge `compare`: their worlds, counts and tables, on cases that can be checked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import placebo
import pytest
import verdicts
from verdicts import DIARY, Tally, World, judgement, studies


def answer(differences: list[float], p_these: float, p_new: float | None, word: str) -> dict[str, Any]:
    return {
        "names": ["0", "1"],
        "differences": {str(k): one for k, one in enumerate(differences)},
        "these": {"p_value": p_these},
        "p_value": p_new,
        "word": word,
    }


def test_the_placebo_s_table_counts_pairs_and_single_differences() -> None:
    first = placebo.pairs_of(
        1, {"answers": [answer([0.01, -0.03], 0.04, 0.2, "not known yet"), answer([0.02, 0.04], 0.03, 0.01, "better")]}
    )
    second = placebo.pairs_of(2, {"answers": [answer([-0.01, 0.01], 0.9, 0.8, "practically equal")]})
    head, _, *rows = placebo.tables([*first, *second]).splitlines()
    assert head.startswith("| forest | pairs | replicates | mean of absolute D | largest |")
    assert rows[0] == "| 1 | 2 | 2 | 0.0250 | 0.0400 | 2 | 1 | 1 |"
    assert rows[1] == "| 2 | 1 | 2 | 0.0100 | 0.0100 | 0 | 0 | 0 |"
    assert rows[2] == "| all | 3 | 2 | 0.0200 | 0.0400 | 2 | 1 | 1 |"
    assert rows[4].startswith("(A) p < 0.05: 2 of 3 pairs, 66.7%")
    assert rows[-1] == "Verdicts: better 1, not known yet 1, practically equal 1."


def test_a_pair_without_a_verdict_is_no_pair_without_a_difference() -> None:
    with pytest.raises(ValueError, match=r"forest 3: .* has no verdict"):
        placebo.pairs_of(3, {"answers": [answer([0.01], 0.5, None, "not known yet")]})


def test_where_only_recordings_differ_each_replicate_shows_their_part_and_draws_vary_about_it() -> None:
    world = World(replicate=0.0, over_replicates=0.0)
    for made in studies(world, 3, replicates=4, times=1, seed=0):
        np.testing.assert_allclose(made.values, made.theirs, atol=1e-12)
        assert made.drawn[:, 0].std() == pytest.approx(DIARY.arm_data, rel=0.3)
        np.testing.assert_allclose(made.drawn.mean(), made.theirs, atol=0.005)


def test_where_only_replicates_differ_the_spread_is_that_of_the_world() -> None:
    world = World(recording=0.0, arm_data=0.0, over_replicates=0.02)
    values = np.array([made.values for made in studies(world, 200, replicates=5, times=1, seed=1)])
    assert values.std() == pytest.approx(0.02, rel=0.1)
    assert abs(values.mean()) < 3 * 0.02 / np.sqrt(values.size)


def test_what_recordings_share_cancels_in_a_difference() -> None:
    loud, quiet = (World(recording=recording) for recording in (30.0, 0.0))
    for one, other in zip(studies(loud, 2, 3, 1, seed=2), studies(quiet, 2, 3, 1, seed=2), strict=True):
        np.testing.assert_allclose(one.values, other.values, atol=1e-12)


@pytest.mark.parametrize("times", [1, 3])
def test_more_recordings_shrink_their_own_part_by_the_root_of_their_number(times: int) -> None:
    world = replace(DIARY, over_replicates=1e-9)
    theirs = [made.theirs for made in studies(world, 400, 2, times, seed=3)]
    assert np.std(theirs) == pytest.approx(DIARY.arm_data / np.sqrt(times), rel=0.12)


def test_without_an_effect_about_one_study_in_twenty_finds_one() -> None:
    told = verdicts.without_effect(DIARY, 300, replicates=4, seed=4)
    low, high = told["type I A"].interval
    assert low <= 0.05 <= high
    assert told["type I A"].of == told["two looks"].of == 300


def tallied(**changes: Tally) -> dict[str, Tally | str]:
    good = {
        name: Tally(30, 1000) if way == "at most" else Tally(960, 1000) for name, (way, _) in verdicts.REQUIRED.items()
    }
    return {"world": "made up", **good, **changes}


def test_the_judgement_names_the_cells_that_miss_by_more_than_their_interval() -> None:
    missed, _ = judgement([tallied(**{"type I B": Tally(90, 1000), "power A": Tally(795, 1000)})])
    assert missed.startswith("1 of 7 cells miss")
    assert "made up, type I B 9.0" in missed
    assert "power A" not in missed  # within its interval
    _, conservative = judgement([tallied(**{"type I B": Tally(5, 1000)})])
    assert "made up, type I B 0.5" in conservative
    none, _ = judgement([tallied()])
    assert none.startswith("0 of 7 cells miss")
    assert none.endswith("none.")


def test_a_tally_s_interval_is_wilson_s() -> None:
    tally = Tally()
    for so in [True] * 3 + [False] * 7:
        tally.add(so)
    assert tally.interval == pytest.approx((0.1078, 0.6032), abs=1e-4)  # Wilson 1927, 3 of 10
    assert str(tally) == "30.0 [10.8, 60.3]"
