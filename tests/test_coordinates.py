"""Places along the axes of the parallel coordinates."""

from __future__ import annotations

from typing import Any

import pytest

from study.coordinates import axes_of
from study.facts import Row
from study.knob import Knob


def row(number: int, score: float, **values: Any) -> Row:
    return Row(number, "search", "COMPLETE", score, None, {}, values, "", 1, "", 0.0)


def test_numbers_lie_between_the_ends_of_the_range_and_words_at_even_distances() -> None:
    knobs = (
        Knob("rate", "nuisance", low=0.01, high=1.0, log=True),
        Knob("word", "scientific", choices=("a", "b", "c")),
        Knob("alpha", "nuisance", low=0.0, high=4.0),
    )
    rate, word, alpha, score = axes_of(
        knobs, [row(0, 0.9, rate=0.1, word="b", alpha=1.0), row(1, 0.5, rate=1.0, word="c")]
    )
    assert rate.places == pytest.approx({0: 0.5, 1: 1.0})
    assert word.ticks == ((0.0, "a"), (0.5, "b"), (1.0, "c"))
    assert word.places == {0: 0.5, 1: 1.0}
    assert alpha.places == {0: 0.25}
    assert score.places == {0: 1.0, 1: 0.0}
    assert [text for _place, text in score.ticks] == ["0.5000", "0.9000"]


def test_one_value_and_one_choice_lie_in_the_middle() -> None:
    told = axes_of(
        (Knob("one", "nuisance", choices=("x",)), Knob("same", "nuisance")), [row(0, 0.5, one="x", same=3.0)]
    )
    assert [axis.places[0] for axis in told] == [0.5, 0.5, 0.5]


def test_a_word_without_choices_on_record_and_a_value_outside_have_a_place() -> None:
    told = axes_of(
        (Knob("lost", "scientific"), Knob("alpha", "nuisance", low=0.0, high=1.0)),
        [row(0, 0.5, lost="y", alpha=2.0), row(1, 0.4, lost="x", alpha=1.0)],
    )
    assert told[0].places == {0: 0.0, 1: 1.0}
    assert told[1].places == {0: 1.0, 1: 0.5}
