"""What pruning saved, and whether anything good was pruned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import pytest

from study import pruning_told
from study.pruning import Pruning, pruning
from study.trials import EpochRecord, Trial


def trial(number: int, scores: Sequence[float], state: Literal["COMPLETE", "PRUNED"] = "COMPLETE") -> Trial:
    """A trial whose score after its n-th epoch, of 10 s, is the n-th of `scores`."""
    epochs = tuple(
        EpochRecord(3, 1, step, step, False, {"score": score, "seconds": 10.0}, 0.0)
        for step, score in enumerate(scores, start=1)
    )
    return Trial(number, "search", 0, 1, {}, {}, 1, 0.0, epochs=epochs, state=state, score=scores[-1])


def facts(finished: Sequence[Sequence[float]], stopped: Sequence[Sequence[float]]) -> Pruning:
    whole = [trial(number, scores) for number, scores in enumerate(finished)]
    cut = [trial(100 + number, scores, "PRUNED") for number, scores in enumerate(stopped)]
    order = sorted(whole, key=lambda one: -(one.score or 0.0))
    return pruning([*whole, *cut], [one.number for one in order])


def test_a_rung_holds_stopped_trials_against_the_finally_best_at_the_same_epoch() -> None:
    told = facts([[0.2, 0.8], [0.3, 0.7], [0.4, 0.6], [0.9, 0.5]], [[0.1], [0.25], [0.2]])
    assert told.best == (0, 1, 2)
    (rung,) = told.rungs
    assert (rung.step, rung.best, rung.finished) == (1, (0.2, 0.3, 0.4), 4)
    assert rung.stopped == {100: 0.1, 101: 0.25, 102: 0.2}
    assert rung.as_good == (101, 102)
    assert "2 stopped trials (101, 102) had scored no less" in " ".join(pruning_told.sentences(told))
    assert pruning_told.table(told).rows == (("1", "3", "0.2500", "0.2000", "0.3000", "2", "–"),)


def test_nothing_good_was_pruned_where_all_lay_below() -> None:
    told = facts([[0.5, 0.8], [0.6, 0.9]], [[0.1], [0.2]])
    assert "No stopped trial had kept up" in " ".join(pruning_told.sentences(told))


def test_savings_are_counted_in_epochs_and_hours() -> None:
    told = facts([[0.1] * 6, [0.2] * 6], [[0.1], [0.1, 0.1]])
    assert (told.pruned, told.full_epochs, told.epochs_saved, told.saved_s) == (2, 6, 9, 90.0)
    assert [rung.step for rung in told.rungs] == [1, 2]


def test_the_order_at_a_rung_is_held_against_the_final_one() -> None:
    same = facts([[n / 10, n / 10] for n in range(6)], [[0.0]])
    turned = facts([[1 - n / 10, n / 10] for n in range(6)], [[0.0]])
    flat = facts([[0.5, n / 10] for n in range(6)], [[0.0]])
    assert [one.rungs[0].agreement for one in (same, turned)] == [pytest.approx(1.0), pytest.approx(-1.0)]
    assert flat.rungs[0].agreement is None


def test_without_a_finished_trial_nothing_can_be_held_against() -> None:
    told = facts([], [[0.5], [0.6]])
    assert (told.pruned, told.full_epochs, told.epochs_saved, told.best_at_pruning) == (2, None, None, 0.6)
    assert "not known: no trial has finished" in " ".join(pruning_told.sentences(told))


def test_scores_that_are_no_numbers_are_left_out_of_a_rung() -> None:
    told = facts([[math.nan, 0.8], [0.3, 0.7]], [[math.nan], [0.4]])
    (rung,) = told.rungs
    assert (rung.stopped, rung.unscored, rung.best) == ({101: 0.4}, 1, (0.3,))
    lost = facts([[math.nan, 0.8]], [[math.nan]])
    assert "cannot be said" in " ".join(pruning_told.sentences(lost))


def test_no_pruning_is_said_in_one_sentence() -> None:
    assert pruning_told.sentences(facts([[0.5]], [])) == ["No trial was pruned."]


def test_leaky_trials_are_counted_and_not_compared() -> None:
    told = pruning([trial(0, [0.5, 0.6]), trial(1, [0.9], "PRUNED")], [0], frozenset({1}))
    assert (told.pruned, told.epochs_saved, told.rungs) == (1, 1, ())
