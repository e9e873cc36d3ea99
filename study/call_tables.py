r"""Detected calls as tables that other programs open, written and read back.

Raven       a selection table of Raven Pro: tab-separated with a header; the columns that place a selection, then ours
            (Raven Pro 1.4 User's Manual, "Selection tables"; Raven keeps columns that it does not know)
Audacity    a label track: start, end and text, tab-separated, in seconds
            (manual.audacityteam.org/man/importing_and_exporting_labels.html, "Standard (default) format");
            `study.label_track` reads one back
CSV         one row a call of any recording

A recording's name may hold anything that a file name may. In a table it stands with tabs and line breaks replaced by
spaces, and with a question mark for bytes that are no text; in CSV, where it begins with = + - or @, behind an
apostrophe, so that no spreadsheet takes it for a formula.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from rfcx_model.errors import InputError

RAVEN: Final = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Species",
    "Score",
)
CSV: Final = ("recording", "start_s", "end_s", "species_id", "score")
_FORMULA: Final = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Call:
    """One detected call of a recording."""

    start_s: float
    end_s: float
    species: int  # its id
    score: float


def raven(calls: Iterable[Call], band_hz: tuple[float, float]) -> str:
    """A selection table; every call is given one band in Hz, for the model knows none of its own.

    Raven refuses a table whose band does not lie within the recording's.
    """
    lines = ["\t".join(RAVEN)]
    for number, call in enumerate(calls, start=1):
        times = f"{call.start_s:.6f}\t{call.end_s:.6f}"
        band = f"{band_hz[0]:.1f}\t{band_hz[1]:.1f}"
        lines.append(f"{number}\tSpectrogram 1\t1\t{times}\t{band}\ts{call.species}\t{call.score:.6f}")
    return "\n".join(lines) + "\n"


def read_raven(path: Path) -> list[Call]:
    """A selection table back; columns may stand in any order, and others beside them.

    Raises:
        InputError: a column is missing, or a cell is no number.
    """
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return [
                Call(
                    float(row["Begin Time (s)"]),
                    float(row["End Time (s)"]),
                    int(row["Species"].removeprefix("s")),
                    float(row["Score"]),
                )
                for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            ]
        except (KeyError, ValueError, AttributeError, TypeError) as error:
            raise InputError(f"{path}: must be a selection table with {', '.join(RAVEN)}, but {error}.") from None


def audacity(calls: Iterable[Call]) -> str:
    """A label track; a label is the species and its score."""
    return "".join(f"{one.start_s:.6f}\t{one.end_s:.6f}\ts{one.species} {one.score:.3f}\n" for one in calls)


def write_rows(file: TextIO, recording: str, calls: Iterable[Call]) -> None:
    """Rows of a recording, by the columns of `CSV`."""
    name = harmless(recording)
    csv.writer(file, lineterminator="\n").writerows(
        (name, f"{one.start_s:.6f}", f"{one.end_s:.6f}", one.species, f"{one.score:.6f}") for one in calls
    )


def harmless(name: str) -> str:
    """A name as a cell of a table."""
    text = name.encode("utf-8", "replace").decode()
    plain = " ".join(text.split("\t")).replace("\r", " ").replace("\n", " ")
    return f"'{plain}" if plain.startswith(_FORMULA) else plain
