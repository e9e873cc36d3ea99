"""The sheet that the report's figures are drawn on: one style, colours, marks, and the way to an SVG.

Colours are Okabe and Ito's (2008), told apart by colour-blind readers. Figures are as wide as a phone shows them
without shrinking their text. So that 5,000 trials of 20 knobs stay small, more than `THIN` marks are drawn as pixels
inside the SVG, and of more than `MOST_POINTS` trials some, evenly over their ranks.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A6A00", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY: Final = "#767676"
FAINT: Final = "#c4c4c4"
INK: Final = "#222222"
THIN: Final = 600
MOST_POINTS: Final = 2000
WIDTH_IN: Final = 4.2
MOST_LETTERS: Final = 28

T = TypeVar("T")


@dataclass(frozen=True)
class Look:
    """How marks look, and their name in the legend."""

    colour: str
    marker: str
    label: str | None = None


def sheet(height_in: float) -> tuple[Figure, Axes]:
    """An empty figure."""
    with _style():
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        return figure, figure.subplots()


def scatter(axes: Axes, x: Sequence[float], y: Sequence[float], look: Look, points: int) -> None:
    """Marks, some of the `points` of the drawing; where those are many, smaller, fainter and as pixels."""
    many = points > THIN
    size, alpha = (8, 0.6) if many else (24, 0.85)
    cross = look.marker == "x"
    edge: Mapping[str, Any] = {} if cross else {"edgecolors": "white"}
    axes.scatter(
        x, y, s=size, c=look.colour, marker=look.marker, label=look.label, alpha=alpha,
        linewidths=1.0 if cross else 0.4, rasterized=many, **edge,
    )  # fmt: skip


def thinned(rows: Sequence[T], most: int = MOST_POINTS) -> Sequence[T]:
    """At most so many, evenly over their order; the first is among them."""
    return rows[:: max(1, -(-len(rows) // most))]


def brief(name: str) -> str:
    """A name cut to what an axis has room for; the table has it whole."""
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


def svg(figure: Figure, axes: Axes, legend: bool = True) -> str:
    """The text of the drawing."""
    text = io.StringIO()
    with _style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name in another script: boxes
        handles, labels = axes.get_legend_handles_labels()
        if legend and handles:
            wide = max(len(label) for label in labels) > 16
            figure.legend(handles, labels, loc="outside lower left", ncols=2 if wide else 3)
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


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
            "legend.columnspacing": 1.2,
            "legend.handletextpad": 0.5,
            "savefig.dpi": 130,
        }
    )
