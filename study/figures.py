"""The report's figures: facts to matplotlib drawings, each returned as the text of an SVG.

Colours are Okabe and Ito's (2008), told apart by colour-blind readers; an arm keeps its colour and marker in every
figure. Above `THIN` points the marks are drawn as pixels inside the SVG, so that 5,000 trials stay small.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from study.facts import Facts, Row, running_best, shown
from study.knob import Knob

PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A6A00", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY: Final = "#767676"
INK: Final = "#222222"
THIN: Final = 1000


def history(facts: Facts) -> str:
    """Score of every finished trial in the order they ended, pruned ones faint, and the running best."""
    figure, axes = _sheet(5.0, 3.2)
    ended = sorted((row for row in facts.rows if row.score is not None), key=lambda row: (row.ended or 0.0, row.number))
    place = {row.number: index for index, row in enumerate(ended, start=1)}
    pruned = [row for row in ended if row.state == "PRUNED"]
    if pruned:
        _dots(axes, [place[row.number] for row in pruned], pruned, (GREY, "x", "pruned, score when stopped"))
    for name, rows in _by_arm(facts).items():
        _dots(axes, [place[row.number] for row in rows], rows, (*_look(facts, name), name))
    steps = running_best(facts.ranked)
    places = [place[row.number] for row, _best in steps]
    axes.step(places, [best for _row, best in steps], where="post", color=INK, linewidth=1.4, label="best so far")
    _baseline(axes, facts)
    axes.set_xlabel("trials, in the order they ended")
    axes.set_ylabel("score")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _svg(figure, axes)


def trade_off(facts: Facts) -> str:
    """LWLRAP against precision of finished trials, with the Pareto front as a line."""
    figure, axes = _sheet(5.0, 3.9)
    for name, rows in _by_arm(facts).items():
        whole = [row for row in rows if _both(facts, row)]
        x = [row.metric("lwlrap") or 0.0 for row in whole]
        y = [row.metric(facts.precision_form) or 0.0 for row in whole]
        colour, marker = _look(facts, name)
        _scatter(axes, x, y, (colour, marker, name))
    front = facts.pareto
    x = [row.metric("lwlrap") or 0.0 for row in front]
    y = [row.metric(facts.precision_form) or 0.0 for row in front]
    axes.plot(x, y, color=INK, linewidth=1.2, drawstyle="steps-pre", label="Pareto front", zorder=1)
    first = facts.baseline
    if first is not None and _both(facts, first):
        at = (first.metric("lwlrap") or 0.0, first.metric(facts.precision_form) or 0.0)
        axes.scatter(*at, s=130, facecolors="none", edgecolors=INK, linewidths=1.4, label="baseline", zorder=4)
    axes.set_xlabel("LWLRAP, out of fold")
    axes.set_ylabel(f"{facts.precision_form}, out of fold")
    return _svg(figure, axes)


def sliced(facts: Facts, knob: Knob) -> str:
    """Score against one knob's values: a strip a choice, or a scatter for a numeric knob."""
    figure, axes = _sheet(4.0, 2.9)
    places = {shown(choice): index for index, choice in enumerate(knob.choices)}
    jitter = np.random.default_rng(0)
    for name, rows in _by_arm(facts).items():
        inside = [row for row in rows if row.values.get(knob.name) is not None]
        values = [row.values[knob.name] for row in inside]
        if places:
            x = [places.get(shown(value), 0) + float(jitter.uniform(-0.18, 0.18)) for value in values]
        else:
            x = [float(value) for value in values]
        _dots(axes, x, inside, (*_look(facts, name), name))
    if places:
        _medians(axes, facts, knob, places)
        axes.set_xticks(range(len(places)), list(places), parse_math=False)
        axes.set_xlim(-0.6, len(places) - 0.4)
        axes.grid(visible=False, axis="x")
    elif knob.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    _baseline(axes, facts)
    axes.set_xlabel(knob.name, parse_math=False)
    axes.set_ylabel("score")
    return _svg(figure, axes, legend=False)


def importances(facts: Facts) -> str:
    """A bar a knob, the most important on top."""
    items = facts.importances[::-1]
    figure, axes = _sheet(5.0, 0.9 + 0.32 * len(items))
    axes.barh(range(len(items)), [item.share for item in items], color=PALETTE[0], height=0.62)
    axes.set_yticks(range(len(items)), [item.knob for item in items], parse_math=False)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the score's variance, explained alone")
    return _svg(figure, axes, legend=False)


def colour_knob(facts: Facts) -> Knob | None:
    """The knob whose arms are coloured: the first scientific one with choices."""
    return next((knob for knob in facts.knobs if knob.role == "scientific" and knob.choices), None)


def _by_arm(facts: Facts) -> dict[str, list[Row]]:
    knob = colour_knob(facts)
    if knob is None:
        return {"finished": list(facts.ranked)}
    groups: dict[str, list[Row]] = {shown(choice): [] for choice in knob.choices}
    for row in facts.ranked:
        groups.setdefault(shown(row.values.get(knob.name, "not set")), []).append(row)
    return {name: rows for name, rows in groups.items() if rows}


def _look(facts: Facts, arm: str) -> tuple[str, str]:
    knob = colour_knob(facts)
    order = [shown(choice) for choice in knob.choices] if knob else []
    place = order.index(arm) if arm in order else len(order)
    return PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)]


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "svg.fonttype": "path",
            "svg.hashsalt": "rfcx-study",
            "text.parse_math": False,  # a `$` in a name is a `$`
            "font.size": 10,
            "text.color": INK,
            "axes.edgecolor": "#999999",
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e6e6e6",
            "legend.frameon": False,
            "legend.fontsize": 9,
            "savefig.dpi": 150,
        }
    )


def _sheet(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    with _style():
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        return figure, figure.subplots()


def _dots(axes: Axes, x: Sequence[float], rows: Sequence[Row], look: tuple[str, str, str]) -> None:
    _scatter(axes, x, [row.score if row.score is not None else math.nan for row in rows], look)


def _scatter(axes: Axes, x: Sequence[float], y: Sequence[float], look: tuple[str, str, str]) -> None:
    colour, marker, label = look
    many = len(x) > THIN
    size, alpha = (8, 0.45) if many else (26, 0.85)
    edge: Mapping[str, Any] = {} if marker == "x" else {"edgecolors": "white"}
    axes.scatter(
        x, y, s=size, c=colour, marker=marker, label=label, alpha=alpha, linewidths=1.0 if marker == "x" else 0.4,
        rasterized=many, **edge,
    )  # fmt: skip


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


def _svg(figure: Figure, axes: Axes, legend: bool = True) -> str:
    text = io.StringIO()
    with _style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name in another script: boxes
        if legend:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=3)
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
