"""Does the competition accept a submission? Checked by its rules alone, and with nothing but the standard library.

The rules: the columns of sample_submission.csv in their order; its ids, each once, in their order; in every other cell
a number from 0 to 1.
"""

from __future__ import annotations

import csv
import math
from itertools import zip_longest
from pathlib import Path


def first_fault(submission: Path, sample: Path) -> str | None:
    """The first line of a submission that breaks a rule, in words; None where it keeps them all."""
    with submission.open(encoding="utf-8", newline="") as mine, sample.open(encoding="utf-8-sig", newline="") as theirs:
        rows = (row for row in csv.reader(theirs) if any(row))
        for line, (got, wanted) in enumerate(zip_longest(csv.reader(mine), rows), start=1):
            if fault := _fault(got, wanted, head=line == 1):
                return f"row {line}: {fault}"
    return None


def _fault(got: list[str] | None, wanted: list[str] | None, *, head: bool) -> str | None:
    if wanted is None:
        return "the submission must end where the sample does, but it goes on"
    if got is None:
        return f"a row for {wanted[0].strip()} must stand, but the submission ends"
    wanted = [cell.strip() for cell in wanted]
    if head:
        return None if got == wanted else f"the columns must be {', '.join(wanted)}, but got {', '.join(got)}"
    if got[:1] != wanted[:1]:
        return f"recording_id must be {wanted[0]}, but got {(got or ['nothing'])[0]}"
    if len(got) != len(wanted):
        return f"{len(wanted)} cells must stand, but got {len(got)}"
    bad = next((cell for cell in got[1:] if not _is_probability(cell)), None)
    return None if bad is None else f"a cell must be a number from 0 to 1, but got {bad!r}"


def _is_probability(cell: str) -> bool:
    try:
        number = float(cell)
    except ValueError:
        return False
    return math.isfinite(number) and 0.0 <= number <= 1.0
