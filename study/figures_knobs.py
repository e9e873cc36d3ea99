"""The report's figures of knobs and species: importances, parallel coordinates, precision by species."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from study.coordinates import Axis
from study.facts import Facts, Row
from study.figure_sheet import FAINT, GREY, INK, PALETTE, brief, sheet, svg, thinned
from study.species_precision import SpeciesPrecision

MOST_LINES: Final = 200
BEST_LINES: Final = 40
MANY: Final = 100
LETTERS: Final = 50
OFF: Final = -0.12
"""Where a line passes a knob that does not act in its trial."""


def importances(facts: Facts) -> str:
    """A share and its interval a knob, the most important on top; hollow where it may be nothing."""
    items = facts.ranking.items[::-1]
    figure, axes = sheet(0.95 + 0.3 * len(items))
    for place, item in enumerate(items):
        colour = PALETTE[0] if item.stands_out else GREY
        axes.hlines(place, item.low, item.high, color=colour, linewidth=2.0)
        axes.plot(
            item.share, place, "o", markersize=6.5, markeredgewidth=1.6, color=colour,
            markerfacecolor=colour if item.stands_out else "white",
        )  # fmt: skip
    axes.set_yticks(range(len(items)), [brief(item.knob) for item in items], parse_math=False)
    axes.set_ylim(-0.6, len(items) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of the score's variance")
    return svg(figure, axes, legend=False)


def coordinates(ranked: Sequence[Row], axes_of: Sequence[Axis]) -> str:
    """Parallel coordinates: an axis a knob, one under the other, the score lowest; a line a finished trial.

    Args:
        ranked: finished trials, best first
        axes_of: study.coordinates' axes of these trials
    """
    figure, axes = sheet(0.3 + 0.66 * len(axes_of))
    jitter = np.random.default_rng(0)
    lines = {row.number: [_point(axis, depth, row, jitter) for depth, axis in enumerate(axes_of)] for row in ranked}
    tenth = max(1, len(ranked) // 10)
    for rows, colour, width, alpha in (
        (thinned(ranked[tenth:], MOST_LINES), FAINT, 0.6, 1.0),
        (thinned(ranked[1:tenth], BEST_LINES), PALETTE[0], 0.8, 1.0),
        (ranked[:1], INK, 2.0, 1.0),
    ):
        paths = [lines[row.number] for row in rows]
        axes.add_collection(
            LineCollection(paths, colors=colour, linewidths=width, alpha=alpha, rasterized=len(rows) > MANY)
        )
    for depth, axis in enumerate(axes_of):
        _rail(axes, depth, axis, passed=len(axis.places) < len(ranked))
    axes.set_xlim(OFF - 0.06, 1.06)
    axes.set_ylim(0.6 - len(axes_of), 0.4)
    axes.set_axis_off()
    return svg(figure, axes, legend=False)


def species(told: SpeciesPrecision) -> str:
    """Average precision of the best trial and the baseline, a species a line."""
    rows = [one for one in told.species if one.best is not None or one.baseline is not None][::-1]
    figure, axes = sheet(1.1 + 0.21 * len(rows))
    for place, one in enumerate(rows):
        if one.best is not None and one.baseline is not None:
            axes.hlines(place, one.baseline, one.best, color=FAINT, linewidth=2.0, zorder=1)
    for there, values, colour, face, label in (
        (told.baseline, [one.baseline for one in rows], PALETTE[1], "white", "baseline"),
        (told.best, [one.best for one in rows], PALETTE[0], PALETTE[0], f"trial {told.best}"),
    ):
        if there is not None:
            x = [math.nan if value is None else value for value in values]
            axes.plot(x, range(len(rows)), "o", color=colour, markerfacecolor=face, markersize=5.5, label=label)
    axes.axvline(0.5, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), label="chance", zorder=0.5)
    axes.set_yticks(range(len(rows)), [str(one.number) for one in rows])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel("average precision of boxes, out of fold")
    axes.set_ylabel("species")
    return svg(figure, axes)


_PAPER: Final = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.6}


def _point(axis: Axis, depth: int, row: Row, jitter: np.random.Generator) -> tuple[float, float]:
    """Where a line crosses an axis; words are spread a little, so that lines through the same one can be told apart."""
    place = axis.places.get(row.number, OFF)
    spread = 0.03 if place == OFF else min(0.05, axis.apart / 4)
    return place + float(jitter.uniform(-spread, spread)), -float(depth)


def _rail(axes: Axes, depth: int, axis: Axis, passed: bool) -> None:
    """The axis, its name above and its ticks below."""
    axes.hlines(-depth, 0.0, 1.0, color="#999999", linewidth=1.0, zorder=1.5)
    axes.text(0.0, 0.1 - depth, brief(axis.name), va="bottom", fontsize=9, bbox=_PAPER, parse_math=False)
    room = len(axis.ticks) <= 2 or sum(len(text) + 2 for _place, text in axis.ticks) <= LETTERS
    for place, text in axis.ticks if room else (axis.ticks[0], axis.ticks[-1]):
        side = "left" if place == 0 else "right" if place == 1 else "center"
        axes.text(
            place, -0.1 - depth, brief(text), ha=side, va="top", fontsize=8, color=INK, bbox=_PAPER, parse_math=False
        )
    if passed:
        axes.text(OFF, -0.1 - depth, "off", ha="center", va="top", fontsize=8, color=GREY, bbox=_PAPER)
