"""Looks at a study's replicates, one a line in `looks.jsonl`: how many were declared, how many seen, and α spent.

The declared number is the final look. A look before spends part of α, so that the final one has less left; the same
replicates again spend nothing. Where more were declared after a final look, α is spent anew, and what all looks
together spend is told.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rfcx_model.errors import InputError
from study.spending import level, total
from study.trials import heal

LOOKS: Final = "looks.jsonl"
_VERSION: Final = 1
DIGITS: Final = 12  # on record; what lies beyond is how the spending is searched for


@dataclass(frozen=True)
class Look:
    """`alpha` is what the look spends, `level` what its p-values are judged by.

    `first` is the number of the first declared replicate: a grid's and a confirmation's are looked at apart.
    """

    first: int
    declared: int
    seen: int
    alpha: float
    level: float

    @property
    def final(self) -> bool:
        """Whether all declared replicates were there."""
        return self.seen >= self.declared


def look(folder: Path, replicates: Sequence[int], seen: int) -> tuple[Look, float]:
    """A look at so many of the declared replicates, put on record where it spends; and what all of these looks spend.

    Raises:
        InputError: looks.jsonl is damaged.
        OSError: it cannot be written; what cannot go on record is not told.
    """
    first = min(replicates)
    before = [one for one in read_looks(folder) if one.first == first]
    now = judged_by(before, first, len(replicates), seen)
    if now not in before:
        heal(folder / LOOKS)
        with (folder / LOOKS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"v": _VERSION, **asdict(now)}) + "\n")
        before = [*before, now]
    return now, _together(before)


def read_looks(folder: Path) -> list[Look]:
    """All looks so far. An unfinished last line was never told, and is left out.

    Raises:
        InputError: a line is not a look.
    """
    path = folder / LOOKS
    if not path.exists():
        return []
    looks = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1], start=1):
        try:
            told = json.loads(line)
            first, declared, seen = (int(told[name]) for name in ("first", "declared", "seen"))
            looks.append(Look(first, declared, seen, float(told["alpha"]), float(told["level"])))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise InputError(
                f"{path}, line {number}: must tell first, declared, seen, alpha and level of a look, but got "
                f"{line[:60]!r}. Restore the file from a copy."
            ) from None
    return looks


def judged_by(before: Sequence[Look], first: int, declared: int, seen: int) -> Look:
    """The look at so many replicates: the one on record where as many were seen before, else a new one."""
    known = next((one for one in before if one.seen >= seen), None)
    if known is not None:
        return known
    last = max((place for place, one in enumerate(before) if one.final), default=-1)
    since = [(min(one.seen / declared, 1.0), one.level) for one in before[last + 1 :]]
    at = round(level(since, min(seen / declared, 1.0)), DIGITS)
    spent = total([*since, (min(seen / declared, 1.0), at)]) - total(since)
    return Look(first, declared, seen, round(spent, DIGITS), at)


def _together(looks: Sequence[Look]) -> float:
    rising: list[Look] = []
    for one in looks:
        if not rising or one.seen > rising[-1].seen:
            rising.append(one)
    return total([(one.seen, one.level) for one in rising])
