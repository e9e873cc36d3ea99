"""The report's parts: sections of plain sentences and exhibits, the same for HTML and Markdown."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from study.tables import Table


@dataclass(frozen=True)
class Exhibit:
    """A table, with the figure drawn from it where there is one. `figure` is a data URI of an SVG."""

    title: str
    table: Table
    figure: str | None = None


@dataclass(frozen=True)
class Section:
    """A heading, plain sentences, exhibits. In `grid` sections figures stand side by side where there is room."""

    title: str
    sentences: Sequence[str]
    exhibits: Sequence[Exhibit] = ()
    grid: bool = False

    @property
    def anchor(self) -> str:
        """The title as a link's target."""
        return self.title.lower().replace(" ", "-")


def exhibit(title: str, table: Table, draw: Callable[[], str]) -> Exhibit:
    """A table and the figure of its numbers; `draw` gives the text of an SVG."""
    return Exhibit(title, table, "data:image/svg+xml;base64," + base64.b64encode(draw().encode()).decode())


def confirmation_section(
    sentences: Sequence[str], tables: Sequence[tuple[str, Table]] = (), confirmations: int = 0
) -> Section:
    """What fresh replicates say, right after the answer; without sentences, that nothing has been said.

    Args:
        sentences: the verdict in words
        tables: each with its title
        confirmations: trials on record that were run to confirm
    """
    if not sentences:
        sentences = [_unconfirmed(confirmations)]
    return Section("Confirmation", sentences, [Exhibit(title, table) for title, table in tables])


def _unconfirmed(confirmations: int) -> str:
    if confirmations:
        one = confirmations == 1
        return (
            f"{confirmations} confirmation {'trial is' if one else 'trials are'} on record; "
            f"{'it is' if one else 'they are'} counted, and not ranked among the trials of the search."
        )
    return (
        "Nothing is confirmed yet: every score in this report is one that the search itself chose by, "
        "and a winner tends to fall when it is trained again on fresh partitions and seeds."
    )
