"""How sure an importance is: what decides stands out, what does nothing does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from study.importance import FEWEST, Ranking, Scored, ranking
from study.knob import Knob

WORD = Knob("word", "scientific", choices=("a", "b", "c", "d"))
NUMBER = Knob("number", "nuisance", low=0.0, high=1.0)
RATE = Knob("rate", "nuisance", low=1e-4, high=1.0, log=True)
OFTEN = Knob("often", "nuisance", low=0.0, high=1.0, when=(("word", ("a", "b", "c")),))


def made(count: int, effect: float, seed: int = 0, noise: float = 0.01) -> list[Scored]:
    """Trials whose score rises by `effect` from word to word, and depends on nothing else."""
    generator = np.random.default_rng(seed)
    trials = []
    for _ in range(count):
        word = int(generator.integers(4))
        values: dict[str, Any] = {"word": "abcd"[word], "number": float(generator.uniform())}
        values["rate"] = float(10 ** generator.uniform(-4, 0))
        if word < 3:
            values["often"] = float(generator.uniform())
        trials.append(Scored(values, 0.5 + effect * word + float(generator.normal(0, noise))))
    return trials


def told(found: Ranking) -> dict[str, bool]:
    return {item.knob: item.stands_out for item in found.items}


def test_what_decides_stands_out_and_what_does_nothing_does_not() -> None:
    found = ranking((WORD, NUMBER, RATE, OFTEN), made(80, effect=0.02))
    assert found.items[0].knob == "word"
    assert told(found) == {"word": True, "number": False, "rate": False, "often": False}
    word = found.items[0]
    assert 0.5 < word.low < word.share < word.high <= 1.0
    assert all(item.share < 0.1 for item in found.items[1:])


@pytest.mark.parametrize("count", [FEWEST, 15, 30])
def test_of_knobs_that_all_do_nothing_none_stands_out(count: int) -> None:
    for seed in range(4):
        found = ranking((WORD, NUMBER, RATE), made(count, effect=0.0, seed=seed))
        assert found.gap is None
        assert not any(told(found).values())


def test_more_trials_narrow_the_interval() -> None:
    few, many = (ranking((WORD, NUMBER), made(count, effect=0.01)).items[0] for count in (20, 200))
    assert few.knob == many.knob == "word"
    assert many.high - many.low < few.high - few.low


def test_a_numeric_knob_on_a_logarithmic_scale_is_found() -> None:
    trials = made(60, effect=0.0)
    scored = [Scored(trial.values, trial.score + 0.02 * float(np.log10(trial.values["rate"]))) for trial in trials]
    found = ranking((NUMBER, RATE), scored)
    assert told(found) == {"number": False, "rate": True}


def test_a_knob_is_judged_among_the_trials_in_which_it_acts() -> None:
    trials = made(60, effect=0.0)
    acting = sum("often" in trial.values for trial in trials)
    found = {item.knob: item.trials for item in ranking((WORD, OFTEN), trials).items}
    assert found == {"word": 60, "often": acting}


def test_knobs_of_which_nothing_can_be_said_are_named_with_the_reason() -> None:
    trials = [Scored({**trial.values, "number": 0.5}, trial.score) for trial in made(30, effect=0.02)]
    rare = [Scored({**trial.values, **({"rare": place} if place < 3 else {})}, trial.score)
            for place, trial in enumerate(trials)]  # fmt: skip
    found = ranking((WORD, NUMBER, Knob("rare", "nuisance", low=0, high=9)), rare)
    assert told(found) == {"word": True}
    assert dict(found.silent) == {"number": "took one value only", "rare": "acts in 3 finished trials only"}


def test_too_few_trials_and_equal_scores_give_no_ranking() -> None:
    assert (
        ranking((WORD,), made(FEWEST - 1, 0.1)).gap
        == "Too few finished trials to rank the knobs: 7, at least 8 needed."
    )
    same = [Scored(trial.values, 0.5) for trial in made(20, 0.0)]
    assert "same score" in str(ranking((WORD,), same).gap)
    assert "No searched knob" in str(ranking((), made(20, 0.0)).gap)


def test_the_same_trials_give_the_same_ranking() -> None:
    trials = made(25, effect=0.01)
    assert ranking((WORD, NUMBER), trials) == ranking((WORD, NUMBER), trials)


def test_a_value_outside_the_range_on_record_does_no_harm() -> None:
    trials = [*made(20, effect=0.01), Scored({"word": "e", "number": 3.0, "rate": 0.0}, 0.5)]
    assert {item.knob for item in ranking((WORD, NUMBER, RATE), trials).items} == {"word", "number", "rate"}
