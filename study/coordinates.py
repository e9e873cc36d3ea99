"""Parallel coordinates: for every searched knob the places of all finished trials along one axis, 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from study.facts import Facts, Row, shown
from study.knob import Knob

MOST_KNOBS: Final = 12


@dataclass(frozen=True)
class Axis:
    """A knob's or the score's axis. `places` lack the trials in which the knob does not act.

    `apart` lies between neighbouring choices; 0 for numbers.
    """

    name: str
    ticks: tuple[tuple[float, str], ...]
    places: Mapping[int, float]  # trial → place
    apart: float = 0.0


def drawn_knobs(facts: Facts) -> tuple[Knob, ...]:
    """All knobs, or the most important ones where there are too many, in the order of the space."""
    order = {item.knob: place for place, item in enumerate(facts.ranking.items)}
    first = sorted(facts.knobs, key=lambda knob: order.get(knob.name, len(order)))[:MOST_KNOBS]
    return tuple(knob for knob in facts.knobs if knob in first)


def axes_of(knobs: Sequence[Knob], ranked: Sequence[Row]) -> tuple[Axis, ...]:
    """An axis a knob, and the score's last."""
    scores = {row.number: row.score for row in ranked if row.score is not None}
    return (*(_axis(knob, ranked) for knob in knobs), _numbers("score", scores, digits=4))


def _axis(knob: Knob, ranked: Sequence[Row]) -> Axis:
    values = {row.number: row.values[knob.name] for row in ranked if row.values.get(knob.name) is not None}
    if knob.choices or any(isinstance(value, str | bool) for value in values.values()):
        return _words(knob, values)
    bounds = (knob.low, knob.high) if knob.low < knob.high else ()
    return _numbers(knob.name, values, bounds, knob.log)


def _words(knob: Knob, values: Mapping[int, Any]) -> Axis:
    """Choices at even distances."""
    names = list(dict.fromkeys([*map(shown, knob.choices), *map(shown, values.values())]))
    last = len(names) - 1
    at = {name: place / last if last else 0.5 for place, name in enumerate(names)}
    places = {trial: at[shown(value)] for trial, value in values.items()}
    return Axis(knob.name, tuple((place, name) for name, place in at.items()), places, 1 / max(1, last))


def _numbers(
    name: str, values: Mapping[int, float], bounds: Sequence[float] = (), log: bool = False, digits: int | None = None
) -> Axis:
    """Numbers between the ends of the knob's range, or of the values where no range is on record."""
    low, high = min([*bounds, *values.values()], default=0.0), max([*bounds, *values.values()], default=0.0)
    told = [shown(float(end)) if digits is None else f"{end:.{digits}f}" for end in (low, high)]
    if low == high:
        return Axis(name, ((0.5, told[0]),), dict.fromkeys(values, 0.5))
    scale = math.log if log and low > 0 else float
    start, length = scale(low), scale(high) - scale(low)
    places = {trial: (scale(value) - start) / length for trial, value in values.items()}
    return Axis(name, ((0.0, told[0]), (1.0, told[1])), places)
