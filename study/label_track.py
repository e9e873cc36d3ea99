"""A label track of Audacity, in which a person answers: a line a window, `start<TAB>end<TAB>12 ?`, seconds.

The answer stands behind the window's number: `y` present, `n` absent, `u` unsure, `?` not judged yet. Windows are known
by their number alone, so times may be moved and lines sorted. Lines that begin with a backslash are frequencies that
Audacity can write below a label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rfcx_model.errors import InputError

YES: Final = "y"
NO: Final = "n"
UNSURE: Final = "u"
OPEN: Final = "?"
ANSWERS: Final = (YES, NO, UNSURE, OPEN)
Spans = Sequence[tuple[float, float]]
_LABEL: Final = re.compile(r"\s*(\d{1,9})\s+(\S+)\s*")


def blank(spans: Spans) -> str:
    """The track of windows 1, 2, ... that lie at these (start, end) in seconds, none judged."""
    return "".join(_line(number, span) + "\n" for number, span in enumerate(spans, start=1))


def read(path: Path, spans: Spans) -> tuple[str, ...]:
    """(window,) the answers to the windows 1, 2, ... that were written at `spans`.

    Raises:
        InputError: the track cannot be read, a label is none of the drawn windows' or none of the four answers, or a
            window has no label or two.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = str(getattr(error, "strerror", "")).lower() or "is not text in UTF-8"
        raise InputError(f"{path}: {reason}. Export the label track from Audacity to this file again.") from None
    found: dict[int, tuple[int, str]] = {}
    for place, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        number, answer = _label(line, f"{path}, line {place}")
        if not 1 <= number <= len(spans):
            rule = f"the windows are numbered 1 to {len(spans)}"
            raise InputError(f"{path}, line {place}: {rule}, but got {number}. Correct the number or delete the label.")
        if number in found:
            raise InputError(
                f"{path}, line {place}: a window has one label, but {number} stands in line {found[number][0]} too. "
                "Delete one of them."
            )
        found[number] = place, answer
    for number, span in enumerate(spans, start=1):
        if number not in found:
            raise InputError(
                f"{path}: every drawn window has a label, but {number} has none. Add this line, its parts divided by "
                f"tabs:\n{_line(number, span)}"
            )
    return tuple(found[number][1] for number in range(1, len(spans) + 1))


def _label(line: str, where: str) -> tuple[int, str]:
    parts = line.split("\t", 2)
    said = parts[2] if len(parts) == 3 else ""
    match = _LABEL.fullmatch(said)
    if match is None or match[2].lower() not in ANSWERS:
        got = f"`{said.strip()}`" if said.strip() else "no label" if len(parts) == 3 else "no tabs"
        rule = "a label is a window's number and y, n, u or ?, such as `12 y`"
        raise InputError(f"{where}: {rule}, but got {got}. Correct the label.")
    return int(match[1]), match[2].lower()


def _line(number: int, span: tuple[float, float]) -> str:
    return f"{span[0]:.6f}\t{span[1]:.6f}\t{number} {OPEN}"
