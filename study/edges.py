"""Searched knobs whose best value lies at the edge of the space: a wider range might hold a better one.

Numeric knobs only: choices that are words have no edge. A place is the share of the way from the low to the high end,
along the logarithm where the knob is searched so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from study.facts import Row, shown
from study.knob import Knob
from study.prose import code
from study.pruning import finally_best
from study.tables import UNKNOWN, Table

CLOSE: Final = 0.05
NEAR: Final = 0.1


@dataclass(frozen=True)
class Place:
    """Where the best trial's value of a knob lies; `near` of the `best` best trials lie near the same end."""

    knob: str
    value: float
    low: float
    high: float
    place: float
    edge: Literal["low", "high"] | None
    near: int
    best: int


def places(knobs: Sequence[Knob], ranked: Sequence[Row]) -> tuple[Place, ...]:
    """Every numeric knob that acts in the best trial and whose range is on record.

    Args:
        knobs: the searched ones
        ranked: finished trials, best first
    """
    if not ranked:
        return ()
    best = finally_best(ranked)
    found = [_place(knob, best[0].values, best) for knob in knobs]
    return tuple(place for place in found if place is not None)


def sentences(told: Sequence[Place]) -> list[str]:
    """Which knobs are best at an end of their range."""
    if not told:
        return ["No numeric knob with a range on record acts in the best trial."]
    edges = [place for place in told if place.edge]
    if not edges:
        return ["In the best trial no numeric knob lies at an end of its range."]
    lines = [_edge(place) for place in edges]
    return [*lines, "A range that goes on there might hold a better value; one trial at an end may also be chance."]


def table(told: Sequence[Place]) -> Table:
    """A row a numeric knob."""
    rows = tuple(
        (
            place.knob,
            shown(place.value),
            f"{shown(place.low)} to {shown(place.high)}",
            f"{100 * place.place:.0f} %",
            place.edge or UNKNOWN,
            f"{place.near} of {place.best}" if place.edge else UNKNOWN,
        )
        for place in told
    )
    return Table(("knob", "best trial", "range", "way along it", "edge", "best trials near it"), rows)


def _edge(place: Place) -> str:
    lie = "lies" if place.near == 1 else "lie"
    return (
        f"{code(place.knob)} is {shown(place.value)} in the best trial, at the {place.edge} end of "
        f"{shown(place.low)} to {shown(place.high)}; {place.near} of the {place.best} best trials {lie} near that end."
    )


def _place(knob: Knob, values: Mapping[str, Any], best: Sequence[Row]) -> Place | None:
    ends = _ends(knob)
    value = _number(values.get(knob.name))
    if ends is None or value is None:
        return None
    along = {row.number: _along(knob, ends, _number(row.values.get(knob.name))) for row in best}
    place = along[best[0].number]
    if place is None:
        return None
    edge: Literal["low", "high"] | None = "low" if place <= CLOSE else "high" if place >= 1 - CLOSE else None
    near = [
        other
        for other in along.values()
        if other is not None and (other <= NEAR if edge == "low" else other >= 1 - NEAR)
    ]
    return Place(knob.name, value, *ends, place, edge, len(near) if edge else 0, len(best))


def _ends(knob: Knob) -> tuple[float, float] | None:
    """Both ends of a numeric knob; None for words, for fewer than three numbers to choose from, and for no range."""
    if knob.choices:
        known = [number for choice in knob.choices if (number := _number(choice)) is not None]
        return (min(known), max(known)) if len(known) == len(knob.choices) and len(set(known)) > 2 else None
    return (knob.low, knob.high) if knob.low < knob.high else None


def _along(knob: Knob, ends: tuple[float, float], value: float | None) -> float | None:
    """The share of the way; numbers to choose from lie evenly, in their order."""
    if value is None:
        return None
    if knob.choices:
        order = sorted(float(choice) for choice in knob.choices)
        return order.index(value) / (len(order) - 1) if value in order else None
    if knob.log and min(*ends, value) > 0:
        return math.log(value / ends[0]) / math.log(ends[1] / ends[0])
    return (value - ends[0]) / (ends[1] - ends[0])


def _number(value: Any) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
