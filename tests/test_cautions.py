"""Which choices of a space are spoken of before it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from study.cautions import cautions, fetched
from study.space import load

MIXUP = Path(__file__).parent.parent / "search_spaces" / "mixup.toml"
RATE = '"stage3.learning_rate" = { low = 1e-4, high = 1e-2, log = true }\n'


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"search.sampler": "gp"}, 'until there are 10; scheduler = "asha" ends most'),
        ({"search.sampler": "nsga2", "search.scheduler": "median"}, 'until there are 20; scheduler = "median"'),
        ({"search.sampler": "gp", "search.scheduler": "none"}, ""),
        ({"search.sampler": "gp", "stage3.epochs": 1, "stage3.cycles": 1, "search.grace": 1}, ""),
        ({}, ""),
    ],
)
def test_a_sampler_that_asha_leaves_without_what_it_learns_from_is_said(given: dict[str, Any], expected: str) -> None:
    told = cautions(load(MIXUP, given))
    assert all(expected in one for one in told)
    assert len(told) == bool(expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {},
            '`stage3.learning_rate`: a rate is searched, and [search] scheduler = "asha" may end a trial after 1 of',
        ),
        (
            {"search.scheduler": "median", "search.grace": 4},
            'scheduler = "median" may end a trial after 4 of its 5 epochs',
        ),
        ({"search.scheduler": "none"}, ""),
        ({"search.grace": 5}, ""),
    ],
)
def test_a_searched_rate_whose_trials_may_be_pruned_is_said(
    tmp_path: Path, given: dict[str, Any], expected: str
) -> None:
    path = tmp_path / "rate.toml"
    path.write_text(MIXUP.read_text().replace("[nuisance]\n", "[nuisance]\n" + RATE))
    told = cautions(load(path, given))
    assert all(expected in one for one in told)
    assert len(told) == bool(expected)


@pytest.mark.parametrize(
    ("given", "trials", "left"),
    [
        ({}, None, None),  # 50 trials, three rungs: 6 for four arms
        ({}, 25, None),
        ({}, 24, 3),
        ({}, 12, 2),
        ({}, 1, 1),
        ({"search.factor": 5}, 15, 3),  # one rung before the end
        ({"search.scheduler": "none"}, 12, None),
        ({"search.scheduler": "median"}, 12, None),
    ],
)
def test_few_trials_of_which_pruning_leaves_less_than_one_an_arm_are_said(
    given: dict[str, Any], trials: int | None, left: int | None
) -> None:
    told = cautions(load(MIXUP, given), trials)
    expected = f"may let some {left} of {trials} trials end, fewer than the 4 values of `stage3.mixup_site`, and"
    assert [expected in one for one in told] == [True] * (left is not None)


@pytest.mark.parametrize(("given", "said"), [({}, False), ({"network.pretrained": "hub"}, True)])
def test_weights_that_have_to_be_fetched_are_said(given: dict[str, Any], said: bool) -> None:
    told = fetched(load(MIXUP, given))
    assert ["from the Hugging Face hub" in one for one in told] == [True] * said
