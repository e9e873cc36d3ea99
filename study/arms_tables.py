"""The tables of a study that lists its arms, for the report, the terminal and a README."""

from __future__ import annotations

from collections.abc import Callable

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from study import arms_sentences, markdown, tables
from study.arms import Arm, Comparison, Difference, Estimate, Pair
from study.arms_sentences import RULERS, signed
from study.tables import UNKNOWN, Table

WIDTH = 120
PUBLISHED = {"cv": "CV", "precision": "prec.", "leaderboard": "LB"}


def results(told: Comparison) -> Table:
    """Every arm: its figures over replicates, and beside them what was published."""
    figures = {"lwlrap": "LWLRAP", "precision": "precision", "recall": "recall", "test_lwlrap": "test LWLRAP"}
    if not told.has("test_lwlrap"):
        del figures["test_lwlrap"]
    rows = tuple(
        (
            *_named(arm),
            *(_over(arm.estimate(name), arm.finished) for name in figures),
            *(_figure(arm.published.get(name)) for name in PUBLISHED),
        )
        for arm in told.arms
    )
    headers = ("regime", "site", "n", *figures.values(), *(f"publ. {name}" for name in PUBLISHED.values()))
    return Table(headers, rows, 2)


def ruler(told: Comparison) -> Table:
    """The same out-of-fold scores against labels that the run made, labels that it was given, and the truth."""
    figures = {"diary_lwlrap": "own labels (the diary's ruler)", "lwlrap": "listed labels"}
    if told.has("train_truth_lwlrap"):
        figures["train_truth_lwlrap"] = "truth"
    rows = tuple(
        (
            *_named(arm),
            *(_over(arm.estimate(name, beside=RULERS), arm.finished) for name in figures),
            _figure(arm.published.get("cv")),
        )
        for arm in told.arms
    )
    return Table(("regime", "site", "n", *figures.values(), "publ. CV"), rows, 2)


def differences(told: Comparison) -> Table:
    """Every pair: the paired differences, and beside them what was published."""
    figures = {"lwlrap": "LWLRAP", "precision": "precision", "test_lwlrap": "test LWLRAP"}
    if not told.has("test_lwlrap"):
        del figures["test_lwlrap"]
    rows = tuple(
        (
            pair.regime,
            f"{pair.second.site}−{pair.first.site}",
            str(pair.differences["lwlrap"].estimate.n),
            *(_marked(pair.differences[name], pair.differences["lwlrap"].estimate.n) for name in figures),
            *(_published(pair, name) for name in PUBLISHED),
        )
        for pair in told.pairs
    )
    headers = ("regime", "sites", "n", *figures.values(), *(f"publ. {name}" for name in PUBLISHED.values()))
    return Table(headers, rows, 2, "* the interval leaves out 0; ** also after Holm's correction" if rows else "")


def interval(told: Estimate, shown: Callable[[float], str] = "{:.3f}".format) -> str:
    """`0.612 ± 0.022`: the mean and half its interval."""
    if told.mean is None:
        return UNKNOWN
    return shown(told.mean) if told.half is None else f"{shown(told.mean)} ± {told.half:.3f}"


def _over(told: Estimate, replicates: int) -> str:
    """The interval; where it is over fewer replicates than its row, that is said."""
    return interval(told) if told.n in (0, replicates) else f"{interval(told)} (n {told.n})"


def show(told: Comparison, console: Console) -> None:
    """Tables and sentences on a terminal."""
    console.print(grid(results(told), "Arms: mean over replicates ± half its 95 % interval"))
    if told.pairs:
        console.print(grid(differences(told), "Paired differences"))
    console.print(grid(ruler(told), "LWLRAP of the same out-of-fold scores, against"))
    for sentence in arms_sentences.all_of(told):
        console.print(Text(f"- {sentence}"))


def as_markdown(told: Comparison) -> str:
    """The same, to be pasted into a README."""
    shown = [results(told), *([differences(told)] if told.pairs else []), ruler(told)]
    parts = [part for one in shown for part in (markdown.table(one), markdown.cell(one.note)) if part]
    return "\n\n".join([*parts, "\n".join(f"- {markdown.cell(line)}" for line in arms_sentences.all_of(told))])


def console() -> Console:
    """Standard output: as wide as the terminal, else 120 columns."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=WIDTH)


def grid(table: Table, title: str) -> Grid:
    """A table as a terminal shows it."""
    grid = Grid(title=title, title_justify="left", title_style="bold", caption=table.note or None, box=SIMPLE)
    grid.caption_justify, grid.padding, grid.show_edge = "left", (0, 1, 0, 0), False
    for place, header in enumerate(table.headers):
        numbers = place >= table.numbers_from
        width = max((len(row[place]) for row in table.rows), default=0) if place else None  # the regime alone wraps
        grid.add_column(Text(header), justify="right" if numbers else "left", min_width=width)
    for before, row in zip([(), *table.rows], table.rows, strict=False):
        grid.add_row(*map(Text, ("" if row[:1] == before[:1] else row[0], *row[1:])))
    return grid


def _named(arm: Arm) -> tuple[str, str, str]:
    return f"{arm.regime} (leaky)" if arm.leaky else arm.regime, arm.site, str(arm.finished)


def _figure(value: float | None) -> str:
    """As published, or an empty cell."""
    return "" if value is None else f"{value:.4g}"


def _marked(told: Difference, replicates: int) -> str:
    mark = "**" if told.stands else "*" if told.told_apart else ""
    fewer = "" if told.estimate.n in (0, replicates) else f" (n {told.estimate.n})"
    return f"{interval(told.estimate, signed)}{mark}{fewer}"


def _published(pair: Pair, name: str) -> str:
    first, second = pair.first.published.get(name), pair.second.published.get(name)
    return "" if first is None or second is None else tables.signed(second - first)
