"""What a person sees while work goes on: bars on a terminal, plain lines elsewhere. All on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeft

from rfcx_model.errors import printable

LINE_EVERY_S = 10.0
FEW, EARLY_S = 3, 20.0
"""With fewer pieces done, in less time, it is not told how much longer: the first take longer than the rest."""


@dataclass
class Display:
    """One bar a phase. `status` stands behind the bar; `say` leaves a line that stays."""

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    _progress: Progress | None = None
    _bar: TaskID | None = None
    _phase: str = ""
    _done: int = 0
    _total: int = 0
    _unit: str = ""
    _status: str = ""
    _last_line: float = 0.0
    _begun: float = 0.0
    _first: int | None = None  # what was done already when the phase began

    @contextmanager
    def phase(self, name: str, total: int, unit: str = "") -> Iterator[Display]:
        """A bar for one piece of work; `total` counts what `at` counts, which `unit` names where it is no `name`."""
        self._phase, self._done, self._total, self._status, self._last_line = name, 0, total, "", time.monotonic()
        self._begun, self._first, self._unit = self._last_line, None, unit
        if self.console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description:<20}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                *([TextColumn(unit)] if unit else []),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeLeft(),
                TextColumn("{task.fields[status]}"),
                console=self.console,
            )
            self._progress.start()
            self._bar = self._progress.add_task(name, total=total, status="")
        refused = True
        try:
            yield self
            refused = False
        finally:
            if self._progress is not None:
                self._progress.stop()
            elif self._done or not refused:
                self._line()
            self._progress, self._bar = None, None

    def at(self, done: int, total: int | None = None) -> None:
        """So much is done; `total` where it has become known."""
        self._first = done if self._first is None else self._first
        self._done, self._total = done, self._total if total is None else total
        self._show()

    def status(self, text: str) -> None:
        """What stands behind the bar."""
        self._status = text
        self._show()

    def say(self, text: str) -> None:
        """A line that stays."""
        console = self._progress.console if self._progress is not None else self.console
        console.print(printable(text), markup=False, soft_wrap=True)

    def _left(self) -> str:
        """As long again for what is left as what was done since the phase began; what stood there before is no part."""
        done, passed_s = self._done - (self._first or 0), time.monotonic() - self._begun
        if done <= 0 or (done < FEW and passed_s < EARLY_S) or self._done >= self._total:
            return ""
        seconds = passed_s / done * (self._total - self._done)
        return f"  about {timedelta(seconds=round(seconds))} left"

    def _show(self) -> None:
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, completed=self._done, total=self._total, status=self._status)
        elif time.monotonic() - self._last_line > LINE_EVERY_S:
            self._line()

    def _line(self) -> None:
        self._last_line = time.monotonic()
        left = self._left()
        status = f"  {self._status}" if self._status else ""
        unit = f" {self._unit}" if self._unit else ""
        told = f"{self._phase}: {self._done}/{self._total}{unit}{left}{status}"
        self.console.print(told, markup=False, soft_wrap=True)
