"""What the command line orders beside the space: where a study's things are, and how much of it is to run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from rfcx_model.errors import InputError


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

    def __post_init__(self) -> None:
        """Refuse what is no budget.

        Raises:
            InputError: hours without an end.
        """
        if self.hours is not None and not math.isfinite(self.hours):
            raise InputError(f"--hours {self.hours}: a number of hours must be given. Leave it out for no limit.")
