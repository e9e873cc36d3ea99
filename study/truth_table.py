"""truth.csv: what each trial scores against a known truth. Standard library only; `study.truth` makes it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final

from rfcx_model.errors import InputError
from study.whole_file import write_whole

TRUTH_CSV: Final = "truth.csv"


@dataclass(frozen=True)
class Judged:
    """LWLRAP of one trial against the true species of the test recordings, and of its own out-of-fold recordings."""

    trial: int
    test_lwlrap: float | None  # None: its weights are not to be had
    train_truth_lwlrap: float | None  # None: no truth of the training recordings, or no out-of-fold scores

    def __str__(self) -> str:
        told = {"test LWLRAP": self.test_lwlrap, "out of fold against the truth": self.train_truth_lwlrap}
        return ", ".join(f"{name} {'unknown' if value is None else f'{value:.4f}'}" for name, value in told.items())


def read(folder: Path) -> dict[int, Judged]:
    """By trial; empty where nothing has been judged.

    Raises:
        InputError: the table is damaged.
    """
    path = folder / TRUTH_CSV
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [
                Judged(int(row["trial"]), *(_number(row[name]) for name in COLUMNS[1:])) for row in csv.DictReader(file)
            ]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: damaged. Remove it, and call `rfcx-study truth` again.") from None
    return {row.trial: row for row in rows}


def write(folder: Path, rows: Iterable[Judged]) -> Path:
    """Replace the table in one step."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(astuple(row) for row in sorted(rows, key=lambda row: row.trial))
    return write_whole(folder / TRUTH_CSV, text.getvalue())


def _number(text: str) -> float | None:
    return float(text) if text else None


COLUMNS: Final = tuple(field.name for field in fields(Judged))
