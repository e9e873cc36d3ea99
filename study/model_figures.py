"""The figures of a model's card, each returned as the text of an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rfcx_model.calibration import Calibration
from study.figure_sheet import GREY, INK, PALETTE, sheet, svg

if TYPE_CHECKING:
    from study.model_card import Floats, Species


def by_species(found: Sequence[Species]) -> str:
    """Average precision of each species with its interval, the best on top."""
    order = sorted(found, key=lambda one: (one.precision.value or 0.0, -one.number))
    figure, axes = sheet(0.9 + 0.22 * len(order))
    for place, one in enumerate(order):
        if one.precision.low is not None and one.precision.high is not None:
            axes.plot([one.precision.low, one.precision.high], [place, place], color=GREY, linewidth=1.4)
    axes.plot([one.precision.value or 0.0 for one in order], range(len(order)), "o", color=PALETTE[0])
    axes.set_yticks(range(len(order)), [str(one.number) for one in order])
    axes.set_ylabel("species")
    axes.set_xlabel("average precision, with its 95 % interval")
    axes.set_xlim(0, 1.02)
    return svg(figure, axes)


def curve(recall: Floats, precision: Floats) -> str:
    """Precision over recall at 101 thresholds; the dot is the middle one."""
    figure, axes = sheet(3.4)
    shown = (recall + precision) > 0
    axes.plot(recall[shown], precision[shown], color=PALETTE[0])
    axes.plot([recall[50]], [precision[50]], "o", color=PALETTE[1], label="threshold 0.5")
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=":", label="chance")
    axes.set_xlabel("recall of confirmed boxes")
    axes.set_ylabel("precision, priors equalised")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    return svg(figure, axes)


def reliability(told: Calibration) -> str:
    """The share that is confirmed over what is said, with intervals; on the diagonal a score means what it says."""
    figure, axes = sheet(3.4)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="a score means what it says")
    for one in told.bins:
        axes.plot([one.said, one.said], one.interval, color=GREY, linewidth=1.4)
    axes.plot([one.said for one in told.bins], [one.confirmed for one in told.bins], "o-", color=PALETTE[0])
    most = max(one.boxes for one in told.bins)
    for one in told.bins:
        axes.plot([one.low, one.high], [0, 0], color=INK, linewidth=4 * one.boxes / most, solid_capstyle="butt")
    axes.set_xlabel("score; the bar is as thick as it has boxes")
    axes.set_ylabel("confirmed")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    return svg(figure, axes)
