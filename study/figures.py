"""The report's figures of trials: facts to matplotlib drawings, each returned as the text of an SVG.

An arm keeps its colour and marker in every figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from study.facts import Facts, Row, running_best, shown
from study.figure_sheet import GREY, INK, MARKERS, PALETTE, Look, brief, scatter, sheet, svg, thinned
from study.knob import Knob
from study.pruning import Pruning

MOST_RUNGS = 8


def history(facts: Facts) -> str:
    """Score of every finished trial in the order they ended, pruned ones faint, and the running best."""
    figure, axes = sheet(3.1)
    ended = sorted((row for row in facts.rows if row.score is not None), key=lambda row: (row.ended or 0.0, row.number))
    place = {row.number: index for index, row in enumerate(ended, start=1)}
    pruned = thinned([row for row in ended if row.state == "PRUNED"])
    if pruned:
        _dots(axes, [place[row.number] for row in pruned], pruned, Look(GREY, "x", "pruned, when stopped"), len(ended))
    for name, rows in _by_arm(facts).items():
        _dots(axes, [place[row.number] for row in rows], rows, _look(facts, name), len(ended))
    steps = running_best(facts.ranked)
    places = [place[row.number] for row, _best in steps]
    axes.step(places, [best for _row, best in steps], where="post", color=INK, linewidth=1.4, label="best so far")
    _baseline(axes, facts)
    axes.set_xlabel("trials, in the order they ended")
    axes.set_ylabel("score")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return svg(figure, axes)


def trade_off(facts: Facts) -> str:
    """LWLRAP against precision of finished trials, with the Pareto front as a line."""
    figure, axes = sheet(3.7)
    for name, rows in _by_arm(facts).items():
        whole = [row for row in rows if _both(facts, row)]
        x = [row.metric("lwlrap") or 0.0 for row in whole]
        y = [row.metric(facts.precision_form) or 0.0 for row in whole]
        scatter(axes, x, y, _look(facts, name), len(facts.ranked))
    front = facts.pareto
    x = [row.metric("lwlrap") or 0.0 for row in front]
    y = [row.metric(facts.precision_form) or 0.0 for row in front]
    if len(front) == 1:  # no line to see
        axes.scatter(x, y, s=110, marker="s", facecolors="none", edgecolors=INK, linewidths=1.2, label="Pareto front")
    else:
        axes.plot(x, y, color=INK, linewidth=1.2, drawstyle="steps-post", label="Pareto front", zorder=1)
    first = facts.baseline
    if first is not None and _both(facts, first):
        at = (first.metric("lwlrap") or 0.0, first.metric(facts.precision_form) or 0.0)
        axes.scatter(*at, s=130, facecolors="none", edgecolors=INK, linewidths=1.4, label="baseline", zorder=4)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_xlabel("LWLRAP, out of fold")
    axes.set_ylabel(f"{brief(facts.precision_form)}, out of fold")
    return svg(figure, axes)


def sliced(facts: Facts, knob: Knob) -> str:
    """Score against one knob's values: a strip a choice, or a scatter for a numeric knob."""
    figure, axes = sheet(2.9)
    values_of = {name: index for index, name in enumerate(_words(facts, knob))}
    jitter = np.random.default_rng(0)
    for name, rows in _by_arm(facts).items():
        inside = [row for row in rows if row.values.get(knob.name) is not None]
        values = [row.values[knob.name] for row in inside]
        if values_of:
            x = [values_of.get(shown(value), 0) + float(jitter.uniform(-0.18, 0.18)) for value in values]
        else:
            x = [float(value) for value in values]
        _dots(axes, x, inside, _look(facts, name), len(facts.ranked))
    if values_of:
        _medians(axes, facts, knob, values_of)
        _name(axes, list(values_of))
    elif knob.log:
        _decades(axes)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    _baseline(axes, facts)
    axes.set_xlabel(knob.name, parse_math=False)
    axes.set_ylabel("score")
    return svg(figure, axes, legend=False)


def pruning(told: Pruning) -> str:
    """At every rung the scores of stopped trials, and beside them what the finally best had then."""
    rungs = sorted(sorted(told.rungs, key=lambda rung: -len(rung.stopped))[:MOST_RUNGS], key=lambda rung: rung.step)
    figure, axes = sheet(3.0)
    points = sum(len(rung.stopped) + len(rung.best) for rung in rungs)
    jitter = np.random.default_rng(0)
    for side, look in (
        (-0.2, Look(GREY, "x", "stopped here")),
        (0.2, Look(PALETTE[0], MARKERS[0], "the finally best, then")),
    ):
        x, y = [], []
        for place, rung in enumerate(rungs):
            scores = list(rung.stopped.values()) if side < 0 else list(rung.best)
            x += [place + side + float(jitter.uniform(-0.13, 0.13)) for _ in scores]
            y += scores
        scatter(axes, x, y, look, points)
    for place, rung in enumerate(rungs):
        if rung.best:
            name = "" if any(earlier.best for earlier in rungs[:place]) else "the lowest of them"
            dashes = (0, (4, 3))
            axes.hlines(
                min(rung.best), place - 0.4, place + 0.4, color=INK, linewidth=1.2, linestyle=dashes, label=name
            )
    axes.set_xticks(range(len(rungs)), [str(rung.step) for rung in rungs])
    axes.set_xlim(-0.6, len(rungs) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("measured epochs when stopped")
    axes.set_ylabel("score then")
    return svg(figure, axes)


def _by_arm(facts: Facts) -> dict[str, list[Row]]:
    knob = facts.coloured
    if knob is None:
        return {"finished": list(thinned(facts.ranked))}
    groups: dict[str, list[Row]] = {shown(choice): [] for choice in knob.choices}
    for row in thinned(facts.ranked):
        groups.setdefault(shown(row.values.get(knob.name, "not set")), []).append(row)
    return {name: rows for name, rows in groups.items() if rows}


def _look(facts: Facts, arm: str) -> Look:
    knob = facts.coloured
    order = [shown(choice) for choice in knob.choices] if knob else []
    place = order.index(arm) if arm in order else len(order)
    return Look(PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)], brief(arm))


def _words(facts: Facts, knob: Knob) -> list[str]:
    """The knob's choices, or the words seen where none are on record; empty for a numeric knob."""
    seen = [value for value, _row in facts.slice(knob)]
    words = knob.choices or (seen if any(isinstance(value, str | bool) for value in seen) else ())
    return list(dict.fromkeys(map(shown, words)))


def _name(axes: Axes, names: Sequence[str]) -> None:
    """Names under strips; aslant where they would run into each other."""
    crowded = sum(len(brief(name)) + 2 for name in names) > 44
    axes.set_xticks(range(len(names)), [brief(name) for name in names], parse_math=False)
    if crowded:
        for label in axes.get_xticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(visible=False, axis="x")


def _decades(axes: Axes) -> None:
    """A logarithmic axis that names 1, 2 and 5 of few decades, or the decades alone."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 60 * low else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _dots(axes: Axes, x: Sequence[float], rows: Sequence[Row], look: Look, points: int) -> None:
    scatter(axes, x, [row.score if row.score is not None else math.nan for row in rows], look, points)


def _medians(axes: Axes, facts: Facts, knob: Knob, places: Mapping[str, int]) -> None:
    for name, place in places.items():
        scores = [row.score for value, row in facts.slice(knob) if shown(value) == name and row.score is not None]
        if scores:
            axes.hlines(float(np.median(scores)), place - 0.3, place + 0.3, color=INK, linewidth=1.6)


def _baseline(axes: Axes, facts: Facts) -> None:
    first = facts.baseline
    if first is not None and first.state == "COMPLETE" and first.score is not None:
        axes.axhline(first.score, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), label="baseline", zorder=0.5)


def _both(facts: Facts, row: Row) -> bool:
    return row.metric("lwlrap") is not None and row.metric(facts.precision_form) is not None
