"""Made-up response surfaces over the knobs of a space. The best value of each is known by construction: it is 0.

Notations
    position    (point, knob): 0..1 along a range, on its log scale where it has one; the index of a choice;
                NaN where the knob is not asked for
    lead        the column of the choice that conditional knobs wait for (the mixup site); None where there is none
    best        (lead choice, knob): the best position; it moves with the lead for conditional ranges alone
    loss        (point, knob): squared distance from the best of a range, a drawn figure of a choice
    spread      standard deviation of a surface over points drawn at random from the space

Every repetition draws a surface of each kind anew, so no sampler is favoured by where the best happens to lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from study.knob import Knob

Floats = NDArray[np.float64]
Raw = Callable[[Floats], Floats]
"""Positions → values, not yet in units of the spread."""

_FOR_SPREAD: Final = 4096  # points
_FADING: Final = 0.8  # of importance, from one knob to the next


@dataclass(frozen=True, eq=False)
class Surface:
    """What a trial would score without noise, in units of the spread: 0 at best, negative elsewhere."""

    knobs: tuple[Knob, ...]
    raw: Raw
    spread: float

    def value(self, params: Mapping[str, Any]) -> float:
        """Of one setting, by its active knobs."""
        position = [_along(knob, params[knob.name]) if knob.name in params else math.nan for knob in self.knobs]
        return float(self.raw(np.array([position]))[0]) / self.spread


def draw(kind: str, knobs: tuple[Knob, ...], generator: Generator) -> Surface:
    """A surface of one of the `KINDS`."""
    raw = KINDS[kind](knobs, generator)
    return Surface(knobs, raw, float(raw(_anywhere(knobs, generator)).std()))


def kinds(knobs: Sequence[Knob]) -> list[str]:
    """Those that make sense over these knobs: "one site" needs conditional knobs."""
    return [kind for kind in KINDS if kind != "one site" or _lead(knobs) is not None]


def _bowl(knobs: tuple[Knob, ...], generator: Generator) -> Raw:
    """One best point; where it lies along a conditional knob depends on the lead."""
    losses, weights = _losses(knobs, generator), _FADING ** generator.permutation(len(knobs))
    return lambda position: np.asarray(-losses(position) @ weights)


def _one_site(knobs: tuple[Knob, ...], generator: Generator) -> Raw:
    """Conditional ranges count at one choice of the lead: on average it is no better than the others, at best it is."""
    lead = _lead(knobs)
    assert lead is not None
    losses, star = _losses(knobs, generator), _waited_for(knobs, generator)
    weights = np.array([0.0 if knob.when else 0.5 for knob in knobs])
    weights[lead] = 0.0
    conditional = np.array([bool(knob.when and not knob.choices) for knob in knobs])
    elsewhere = generator.uniform(0.15, 0.3, len(knobs[lead].choices))

    def raw(position: Floats) -> Floats:
        loss, site = losses(position), position[:, lead].astype(int)
        return np.asarray(-loss @ weights - np.where(site == star, 2.0 * loss @ conditional, elsewhere[site]))

    return raw


def _flat(knobs: tuple[Knob, ...], generator: Generator) -> Raw:
    """A plateau with hardly a slope, that breaks off far from the best of two ranges."""
    losses, weights = _losses(knobs, generator), 0.1 * _FADING ** generator.permutation(len(knobs))
    free = [column for column, knob in enumerate(knobs) if not knob.choices and not knob.when]
    edge = generator.choice(free, 2, replace=False)

    def raw(position: Floats) -> Floats:
        loss = losses(position)
        beyond = np.sqrt(loss[:, edge]).sum(axis=1) - 0.7
        return np.asarray(-loss @ weights - np.clip(4.0 * beyond, 0.0, 1.0))

    return raw


def _peaks(knobs: tuple[Knob, ...], generator: Generator) -> Raw:
    """Six peaks of different heights over four knobs, or as many as there are; the others do nothing."""
    peaks = [_losses(knobs, generator) for _ in range(6)]
    heights = np.array([1.0, *generator.uniform(0.5, 0.9, 5)])
    felt = generator.permutation(len(knobs)) < 4

    def raw(position: Floats) -> Floats:
        far = np.stack([losses(position) @ felt for losses in peaks])
        return np.asarray((heights[:, None] * np.exp(-far / 0.3)).max(axis=0) - 1.0)

    return raw


KINDS: Final[dict[str, Callable[[tuple[Knob, ...], Generator], Raw]]] = {
    "bowl": _bowl,
    "one site": _one_site,
    "flat": _flat,
    "peaks": _peaks,
}


def _losses(knobs: tuple[Knob, ...], generator: Generator) -> Raw:
    """A draw of the best point, as positions → loss (point, knob). A knob that is not asked for loses nothing."""
    lead = _lead(knobs)
    best = np.zeros((1 if lead is None else len(knobs[lead].choices), len(knobs)))
    dealt: dict[int, Floats] = {}
    for column, knob in enumerate(knobs):
        if knob.choices:
            dealt[column] = generator.uniform(0.05, 0.4, len(knob.choices))
            dealt[column][generator.integers(len(knob.choices))] = 0.0
        else:
            best[:, column] = _reachable(knob, generator.random(len(best) if knob.when else 1))

    def losses(position: Floats) -> Floats:
        site = 0 if lead is None else position[:, lead].astype(int)
        loss: Floats = np.nan_to_num((position - best[site]) ** 2)
        for column, figures in dealt.items():
            index = np.nan_to_num(position[:, column]).astype(int)
            loss[:, column] = np.where(np.isnan(position[:, column]), 0.0, figures[index])
        return loss

    return losses


def _lead(knobs: Sequence[Knob]) -> int | None:
    names = [knob.name for knob in knobs]
    return next((names.index(name) for knob in knobs for name, _ in knob.when if name in names), None)


def _waited_for(knobs: Sequence[Knob], generator: Generator) -> int:
    """A choice of the lead for which the conditional knobs wait."""
    _, values = next(knob.when[0] for knob in knobs if knob.when)
    lead = _lead(knobs)
    assert lead is not None
    return knobs[lead].choices.index(values[generator.integers(len(values))])


def _reachable(knob: Knob, position: Floats) -> Floats:
    """The nearest position that the knob can take."""
    if knob.step is None:
        return position
    steps = round((knob.high - knob.low) / knob.step)
    return np.round(position * steps) / steps


def _along(knob: Knob, value: Any) -> float:
    if knob.choices:
        return float(knob.choices.index(value))
    scale = math.log if knob.log else float
    return (scale(value) - scale(knob.low)) / (scale(knob.high) - scale(knob.low))


def _anywhere(knobs: Sequence[Knob], generator: Generator) -> Floats:
    """Positions drawn at random, as the random sampler would."""
    position = np.empty((_FOR_SPREAD, len(knobs)))
    column = {knob.name: index for index, knob in enumerate(knobs)}
    for index, knob in enumerate(knobs):
        count = len(knob.choices)
        drawn = generator.integers(count, size=_FOR_SPREAD) if count else generator.random(_FOR_SPREAD)
        position[:, index] = drawn if count else _reachable(knob, np.asarray(drawn))
        for name, values in knob.when:
            if name in column:
                asked = [knobs[column[name]].choices.index(value) for value in values]
                position[~np.isin(position[:, column[name]], asked), index] = math.nan
    return position
