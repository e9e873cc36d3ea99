"""How much each knob matters, how sure that is, and what a knob that does nothing would get.

Forests are fitted to bootstrap resamples of the finished trials. A knob's share is what it explains alone in the
forest (study.fanova), times the share of the variance of the trials outside the resample that the forest predicts: a
forest that has learnt nothing but noise explains nothing. Beside each knob stands a copy of it, shuffled among the
trials, after the shadows of Boruta (Kursa and Rudnicki 2010): what the copies get, nothing gets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from study import fanova
from study.fanova import Floats
from study.knob import Knob

FEWEST: Final = 8
MOST: Final = 300  # a tree's time grows faster than its trials; every n-th in rank stands for its neighbours
RESAMPLES: Final = 40
TREES: Final = 6
CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Importance:
    """The share, 0 to 1, of the score's variance that a knob explains alone, among `trials` trials in which it acts.

    `share` is the median over resamples, `low` to `high` their 95 % interval; `above` is the share of the resamples in
    which the knob got more than any shuffled copy did.
    """

    knob: str
    share: float
    low: float
    high: float
    above: float
    trials: int

    @property
    def stands_out(self) -> bool:
        """Whether it does better than a knob that does nothing in so many resamples that chance is a poor reason."""
        return self.above >= CONFIDENCE


@dataclass(frozen=True)
class Scored:
    """A finished trial: the values of the knobs that act in it, and its score."""

    values: dict[str, Any]
    score: float


@dataclass(frozen=True)
class Ranking:
    """The knobs by falling share, or why there is none; `silent` names each knob that is not in it, with the reason."""

    items: tuple[Importance, ...] = ()
    gap: str | None = None
    silent: tuple[tuple[str, str], ...] = ()


def ranking(knobs: Sequence[Knob], trials: Sequence[Scored]) -> Ranking:
    """All knobs; one that does not act in every trial is judged among those in which it acts."""
    if len(trials) < FEWEST:
        return Ranking(gap=f"Too few finished trials to rank the knobs: {len(trials)}, at least {FEWEST} needed.")
    if len({trial.score for trial in trials}) == 1:
        return Ranking(gap="All finished trials have the same score, so no knob can be ranked.")
    groups: dict[tuple[int, ...], list[Knob]] = {}
    for knob in knobs:
        members = tuple(place for place, trial in enumerate(trials) if knob.name in trial.values)
        groups.setdefault(members, []).append(knob)
    found: list[Importance] = []
    silent: list[tuple[str, str]] = []
    for places, group in groups.items():
        among = [trials[place] for place in places]
        why = {knob.name: _silence(knob, among) for knob in group}
        silent += [(name, reason) for name, reason in why.items() if reason]
        if any(not reason for reason in why.values()):
            beside = [knob for knob in knobs if all(knob.name in trial.values for trial in among)]
            told = _among([knob for knob in beside if not _silence(knob, among)], among)
            found += [told[knob.name] for knob in group if not why[knob.name]]
    gap = None if found else "No searched knob took two values in enough finished trials, so none can be ranked."
    return Ranking(tuple(sorted(found, key=lambda item: -item.share)), gap, tuple(silent))


def _silence(knob: Knob, among: Sequence[Scored]) -> str:
    """Why nothing can be said of a knob; empty where something can."""
    if len(among) < FEWEST:
        return f"acts in {len(among)} finished trials only"
    if len({trial.values[knob.name] for trial in among}) < 2:
        return "took one value only"
    return "" if len({trial.score for trial in among}) > 1 else "acts only where all scores are the same"


def _among(knobs: Sequence[Knob], trials: Sequence[Scored]) -> dict[str, Importance]:
    ordered = sorted(trials, key=lambda trial: -trial.score)
    kept = ordered[:: -(-len(ordered) // MOST)]
    columns = [_column(knob, [trial.values[knob.name] for trial in kept]) for knob in knobs]
    own, shadow = _resampled(columns, np.array([trial.score for trial in kept]))
    tail = (1 - CONFIDENCE) / 2
    above = (own > shadow.max(axis=1, keepdims=True)).mean(axis=0)
    low, middle, high = np.quantile(own, [tail, 0.5, 1 - tail], axis=0)
    return {
        knob.name: Importance(knob.name, float(middle[k]), float(low[k]), float(high[k]), float(above[k]), len(trials))
        for k, knob in enumerate(knobs)
    }


@dataclass(frozen=True, eq=False)
class _Column:
    """A knob's values, 0 to 1; of choices, the place of each among `choices` choices, which have no order."""

    value: Floats  # (trial,)
    choices: int = 0


def _column(knob: Knob, values: Sequence[Any]) -> _Column:
    if knob.choices or any(isinstance(value, str | bool) for value in values):
        order = list(dict.fromkeys([*map(repr, knob.choices), *map(repr, values)]))
        return _Column(np.array([order.index(repr(value)) for value in values], float), len(order))
    scale = math.log if knob.log and min(values) > 0 else float
    ends = [knob.low, knob.high] if knob.low < knob.high and not (scale is math.log and knob.low <= 0) else []
    at = np.array([scale(value) for value in values])
    low, high = min([*map(scale, ends), at.min()]), max([*map(scale, ends), at.max()])
    return _Column((at - low) / (high - low))


def _resampled(columns: Sequence[_Column], scores: Floats) -> tuple[Floats, Floats]:
    """(resample, knob) shares of the knobs and of their shuffled copies."""
    generator = np.random.default_rng(0)
    own: list[Floats] = []
    shadow: list[Floats] = []
    while len(own) < RESAMPLES:
        inside = generator.integers(len(scores), size=len(scores))
        outside = np.setdiff1d(np.arange(len(scores)), inside)
        if len(outside) < 2 or np.ptp(scores[inside]) == 0:
            continue
        copies = [_Column(generator.permutation(column.value), column.choices) for column in columns]
        x = np.stack([_ordered(column, scores, inside) for column in (*columns, *copies)], axis=1).astype(np.float32)
        told = _alone(x, scores, inside, outside, generator.integers(2**31, size=TREES).tolist())
        own.append(told[: len(columns)])
        shadow.append(told[len(columns) :])
    return np.array(own), np.array(shadow)


def _ordered(column: _Column, scores: Floats, inside: NDArray[np.int64]) -> Floats:
    """(trial,) choices in the order of their mean score inside the resample, each in the middle of its own part."""
    if not column.choices:
        return column.value
    code = column.value.astype(int)
    counts = np.bincount(code[inside], minlength=column.choices)
    sums = np.bincount(code[inside], weights=scores[inside], minlength=column.choices)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), scores[inside].mean())
    rank: Floats = np.argsort(np.argsort(means, kind="stable"))[code] + 0.5
    return rank / column.choices


def _alone(
    x: NDArray[np.float32], scores: Floats, inside: NDArray[np.int64], outside: NDArray[np.int64], seeds: Sequence[int]
) -> Floats:
    """(column,) what a column's main effect in a forest of the resample predicts of the trials outside of it."""
    from sklearn.tree import DecisionTreeRegressor

    effects = np.zeros((x.shape[1], len(scores)))
    for seed in seeds:
        chosen = np.random.default_rng(seed).choice(inside, size=len(inside))
        tree = DecisionTreeRegressor(min_samples_leaf=max(3, len(inside) // 20), random_state=seed)
        nodes = tree.fit(x[chosen], scores[chosen], check_input=False).tree_
        children = (nodes.children_left, nodes.children_right)
        boxes = fanova.leaves(children, nodes.feature, nodes.threshold, nodes.value[:, 0, 0], x.shape[1])
        effects += [
            fanova.effect(boxes, axis, x[:, axis].astype(np.float64)) / len(seeds) for axis in range(x.shape[1])
        ]
    effects -= effects[:, inside].mean(axis=1, keepdims=True)
    rest = scores[outside] - scores[inside].mean()
    spread = float((rest**2).sum())
    missed = ((rest - effects[:, outside]) ** 2).sum(axis=1)
    return np.maximum(0.0, 1.0 - missed / spread) if spread > 0 else np.zeros(x.shape[1])
