"""Where a trial's worker and the driver meet: what the worker has to show beside numbers, as finished records.

Only the driver writes event files, on whatever disk; but it has no time to make pictures for hundreds of trials: the
checksum of a record of 70 kB alone takes plain Python 10 ms. So the worker writes one finished record for a measured
epoch, whole or not at all, into a file beside the trial; the driver appends it as it is, and removes the file.

Shown are the epochs 1, 2, 4, 8, … and the last one that is planned: a long trial shows little more than a short one,
and with ASHA's default grace and factor these are the rungs at which a trial may be pruned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

GROUPS: Final = ("pr/", "species/", "heard/")
"""How the tags begin of all that a worker makes."""


def shown_path(folder: Path, step: int) -> Path:
    """The record of a step, in the trial's folder. It is asked for by name: listings may be stale on a shared disk."""
    return folder / f"shown-{step:04d}.record"


def due(step: int, planned: int = 0) -> bool:
    """Whether a step is shown: powers of two, and the last that is planned."""
    return step & (step - 1) == 0 or step == planned


def write_shown(folder: Path, step: int, made: bytes) -> None:
    """Write a step's record, whole or not at all."""
    path = shown_path(folder, step)
    partial = path.with_name(f".{path.name}")
    folder.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(made)
    partial.replace(path)
