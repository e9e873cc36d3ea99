"""Text, sentences and tables as Markdown that shows every name as it stands: no markup of anybody else's, no links."""

from __future__ import annotations

import re

from study.prose import parts
from study.tables import Table


def cell(text: str) -> str:
    """Text that Markdown shows as it stands, in a table or outside."""
    # Marks are made dumb where they could begin something: a star that nothing follows opens no emphasis, and brackets
    # are an interval unless an address can follow.
    safe = re.sub(r"([\\`~$|]|\*(?=\**[^\s*])|\](?=[(\[:]))", r"\\\1", text)
    safe = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", safe)  # within a word it is no emphasis
    safe = safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(safe.split())


def line(text: str) -> str:
    """Text that stands at the start of a line, where a few more characters mean something."""
    return re.sub(r"^([#+=-]|\d+(?=[.)]))", lambda found: _mute(found[0]), cell(text))


def sentence(text: str) -> str:
    """A sentence of the report; what is code in it stays code."""
    first, *others = parts(text) or [(False, "")]
    told = [_code(first[1]) if first[0] else line(first[1]) + " " * first[1].endswith(" ")]
    for is_code, part in others:
        told.append(_code(part) if is_code else f"{' ' * part.startswith(' ')}{cell(part)}{' ' * part.endswith(' ')}")
    return "".join(told).strip()


def table(it: Table) -> str:
    """A table whose columns from `numbers_from` on are flush right."""
    rule = ["---:" if place >= it.numbers_from else "---" for place in range(len(it.headers))]
    rows = [map(cell, it.headers), rule, *(map(cell, row) for row in it.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _mute(mark: str) -> str:
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"


def _code(text: str) -> str:
    """As code where it can be; a name with markup in it as the text that it is, which every reader shows alike."""
    return cell(text) if set(text) & set("`<>&|") else f"`{' '.join(text.split())}`"
