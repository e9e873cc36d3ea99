"""A disk that does not answer lets all wait without an error: after a while that is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

LONG_S: Final = 600.0  # without any news of a trial; assumption


class Silence:
    """How long there has been no news of any trial; said once for each so long."""

    def __init__(self, folder: Path, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._say, self._clock = folder, say, clock
        self._since = clock()

    def end(self) -> None:
        """There is news."""
        self._since = self._clock()

    def look(self) -> None:
        """Say how long it has been, where that is long."""
        if self._clock() - self._since < LONG_S:
            return
        self._since = self._clock()
        self._say(
            f"no trial has told of an epoch for {LONG_S / 60:g} minutes: its epochs may take that long, or "
            f"{self._folder} does not answer. Ctrl-C ends the run, and calling it again carries it on"
        )
