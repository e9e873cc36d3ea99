"""Text and tables as Markdown."""

from __future__ import annotations

from study.tables import Table


def cell(text: str) -> str:
    """Text that Markdown shows as it stands, in a table or outside."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")
    return " ".join(safe.split())


def table(it: Table) -> str:
    """A table whose columns from `numbers_from` on are flush right."""
    rule = ["---:" if place >= it.numbers_from else "---" for place in range(len(it.headers))]
    rows = [map(cell, it.headers), rule, *(map(cell, row) for row in it.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
