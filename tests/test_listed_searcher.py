"""Trials that are known before they run."""

from __future__ import annotations

import pytest
from ray.tune.search import Searcher

from study.listed_searcher import Listed, ListedSearcher
from study.trials import Trial


def trial(number: int, attempt: int = 1) -> Trial:
    return Trial(number, "confirm", 2, 1, {}, {}, attempt, 0.0)


def test_a_list_is_handed_out_in_its_order_under_free_numbers() -> None:
    searcher = ListedSearcher([trial(0), trial(7)], [Listed("confirm", 1, {"a": 1}), Listed("search", 0, {"a": 2})])
    first, second = searcher.suggest("x"), searcher.suggest("y")
    assert first == {"trial": 8, "attempt": 1, "replicate": 1, "params": {"a": 1}, "confirm": True}
    assert second == {"trial": 9, "attempt": 1, "replicate": 0, "params": {"a": 2}, "confirm": False}
    assert searcher.suggest("z") == Searcher.FINISHED
    assert (searcher.origin(8), searcher.origin(9)) == ("confirm", "search")


def test_an_unfinished_trial_is_carried_on_under_its_own_number() -> None:
    searcher = ListedSearcher([trial(0), trial(7)], [Listed("confirm", 2, {}, trial=trial(7, attempt=3))])
    assert searcher.suggest("x") == {"trial": 7, "attempt": 4, "replicate": 2, "params": {}, "confirm": True}


@pytest.mark.parametrize(("score", "state"), [(0.5, "COMPLETE"), (None, "FAILED"), (float("nan"), "FAILED")])
def test_complete_without_a_finite_score_is_failed(score: float | None, state: str) -> None:
    searcher = ListedSearcher([], [Listed("confirm", 1, {}, {"sampler": "fill"})])
    searcher.suggest("x")
    assert searcher.tell(0, "COMPLETE", score) == state
    assert searcher.proposal(0) == {"sampler": "fill"}
