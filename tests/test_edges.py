"""Best values at the edge of the space."""

from __future__ import annotations

from typing import Any

import pytest

from study import edges
from study.facts import Row
from study.knob import Knob

RATE = Knob("rate", "nuisance", low=1e-4, high=1.0, log=True)
ALPHA = Knob("alpha", "nuisance", low=0.0, high=2.0)
MELS = Knob("mels", "nuisance", choices=(32, 64, 128, 256))
WORD = Knob("word", "scientific", choices=("a", "b", "c"))


def ranked(*values: dict[str, Any]) -> list[Row]:
    return [
        Row(n, "search", "COMPLETE", 1.0 - n / 100, None, {}, told, "", 1, "", 0.0) for n, told in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("knob", "value", "place", "edge"),
    [
        (ALPHA, 0.04, 0.02, "low"),
        (ALPHA, 1.0, 0.5, None),
        (ALPHA, 2.0, 1.0, "high"),
        (RATE, 1e-2, 0.5, None),
        (RATE, 1e-4, 0.0, "low"),
        (MELS, 64, 1 / 3, None),
        (MELS, 256, 1.0, "high"),
    ],
)
def test_a_value_has_a_place_and_at_an_end_an_edge(knob: Knob, value: float, place: float, edge: str | None) -> None:
    (told,) = edges.places((knob,), ranked({knob.name: value}))
    assert told.place == pytest.approx(place)
    assert told.edge == edge


def test_the_best_trials_near_the_same_end_are_counted() -> None:
    told = edges.places((ALPHA,), ranked({"alpha": 0.01}, {"alpha": 0.15}, {"alpha": 1.99}, {"alpha": 0.0}))
    assert (told[0].near, told[0].best) == (2, 3)
    assert "`alpha` is 0.01 in the best trial, at the low end of 0 to 2; 2 of the 3 best trials lie near" in " ".join(
        edges.sentences(told)
    )
    assert edges.table(told).rows == (("alpha", "0.01", "0 to 2", "0 %", "low", "2 of 3"),)


def test_words_unknown_ranges_and_knobs_that_do_not_act_have_no_edge() -> None:
    unknown = Knob("unknown", "nuisance")
    pair = Knob("pair", "nuisance", choices=(1, 2))
    told = edges.places((WORD, unknown, pair, ALPHA), ranked({"word": "a", "unknown": 0.0, "pair": 1}))
    assert told == ()
    assert "No numeric knob" in edges.sentences(told)[0]
    assert edges.places((ALPHA,), []) == ()


def test_a_best_value_inside_is_said_to_be() -> None:
    assert edges.sentences(edges.places((ALPHA,), ranked({"alpha": 1.0}))) == [
        "In the best trial no numeric knob lies at an end of its range."
    ]
