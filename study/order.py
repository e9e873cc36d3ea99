"""What the command line orders beside the space: where a study's things are, and how much of it is to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Order:
    """Where a study's things are, and what the command line adds to the space."""

    data: Path
    out: Path
    cache: Path
    store: Path | None = None
    address: str | None = None
    trials: int | None = None
    hours: float | None = None
