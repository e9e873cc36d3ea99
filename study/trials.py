"""Trials and the ledger: the study's truth, one JSON event a line. Standard library only.

`trials.jsonl` is append-only and written by the driver alone. A last line cut off by a crash is normal:
it is dropped, and cut away before the next event is written. A damaged line elsewhere is refused.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from study.events import VERSION, read_events

BASELINE: Final = 0
"""The number of the baseline. All differences are shown against it, so it is never pruned."""
State = Literal["RUNNING", "COMPLETE", "PRUNED", "FAILED", "STOPPED"]
Origin = Literal["baseline", "search", "confirm"]


class LostLedgerError(RuntimeError):
    """The ledger was removed or replaced while a driver wrote it; what it wrote from then on would be nowhere."""


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of all folds. `step` counts from 1 within the trial; `metrics` hold floats only."""

    stage: int
    cycle: int
    epoch: int
    step: int
    reused: bool
    metrics: Mapping[str, float]
    time: float


@dataclass(frozen=True)
class Trial:
    """One trial as the ledger tells it. A trial without an ended event is RUNNING.

    `troubles` are the causes of attempts that failed and were tried again.
    """

    number: int
    origin: Origin
    replicate: int
    seed: int
    config: Mapping[str, Any]
    proposal: Mapping[str, Any]
    attempt: int
    started: float
    epochs: tuple[EpochRecord, ...] = ()
    state: State = "RUNNING"
    score: float | None = None
    reason: str = ""
    scores: str | None = None
    ended: float | None = None
    name: str = ""
    troubles: tuple[str, ...] = ()

    @property
    def step(self) -> int:
        """Measured epochs on record."""
        return self.epochs[-1].step if self.epochs else 0

    @property
    def spans(self) -> list[int]:
        """Epochs that each record stands for: those since the record before it, in its stage and cycle."""
        before: dict[tuple[int, int], int] = {}
        found = []
        for record in self.epochs:
            found.append(record.epoch - before.get((record.stage, record.cycle), 0))
            before[record.stage, record.cycle] = record.epoch
        return found

    @property
    def metrics(self) -> Mapping[str, float]:
        """The last epoch's metrics; empty before the first epoch."""
        return self.epochs[-1].metrics if self.epochs else {}


@dataclass
class Ledger:
    """The file `trials.jsonl`, open for appending by one writer, the driver; `allowed` raises where it is not."""

    path: Path
    allowed: Callable[[], None] = lambda: None
    _file: Any = field(default=None, repr=False)

    def append(self, event: Literal["started", "epoch", "ended"], trial: int, **facts: Any) -> dict[str, Any]:
        """Write one event, durably (fsync), and return it.

        Raises:
            ValueError: a fact is not JSON (NaN and infinities are written as null).
            OSError: the disk is full or gone.
            LostLedgerError: the file does not stand where it stood.
        """
        self.allowed()
        self._refuse_lost()
        line = {"v": VERSION, "event": event, "trial": trial, "time": time.time(), **_finite(facts)}
        self._write((json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n").encode())
        return line

    def _write(self, line: bytes) -> None:
        """All of it; half a line that a full disk leaves is cut away before the next one."""
        try:
            if self._file is None:
                heal(self.path)
                self._file = self.path.open("ab", buffering=0)
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self.close()
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _refuse_lost(self) -> None:
        """What goes to a file that has no name any more is lost with the process."""
        if self._file is None:
            return
        with suppress(FileNotFoundError):
            if os.path.samestat(self.path.stat(), os.fstat(self._file.fileno())):
                return
        raise LostLedgerError(
            f"{self.path}: was removed or replaced while the study ran, so nothing more is written. Put it back and "
            "call again; without it the study begins anew, and finds in its store what was trained."
        )

    def close(self) -> None:
        """Close the file; a later `append` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def heal(path: Path) -> bool:
    """Cut away a last line that a crash left unfinished. Returns whether there was one."""
    if not path.exists():
        return False
    data = path.read_bytes()
    if not data or data.endswith(b"\n"):
        return False
    with path.open("r+b") as file:
        file.truncate(data.rfind(b"\n") + 1)
    return True


def read_trials(path: Path) -> list[Trial]:
    """The trials of a ledger file, by number."""
    return fold(read_events(path))


def read_trial(path: Path, number: int) -> Trial | None:
    """One trial of a ledger file, by its own lines alone: workers ask at every epoch, beside thousands of others."""
    if not path.exists():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        near = [json.loads(line) for line in file if f'"trial":{number},' in line and line.endswith("\n")]
    return next(iter(fold(event for event in near if event["trial"] == number)), None)


def fold(events: Iterable[Mapping[str, Any]]) -> list[Trial]:
    """Events in order → trials by number. A second `started` raises `attempt` and keeps the epochs."""
    trials: dict[int, Trial] = {}
    for event in events:
        number = event["trial"]
        if event["event"] == "started":
            trials[number] = _started(trials.get(number), event)
        elif event["event"] == "epoch":
            trials[number] = _with_epoch(trials[number], event)
        else:
            trials[number] = replace(
                trials[number],
                state=event["state"],
                score=event.get("score"),
                reason=event.get("reason", ""),
                scores=event.get("scores"),
                ended=event["time"],
            )
    return [trials[number] for number in sorted(trials)]


def _started(known: Trial | None, event: Mapping[str, Any]) -> Trial:
    if known is not None:
        return restarted(known, event["attempt"], event.get("after", ""))
    return Trial(
        number=event["trial"],
        origin=event["origin"],
        replicate=event["replicate"],
        seed=event["seed"],
        config=event["config"],
        proposal=event.get("proposal", {}),
        attempt=event["attempt"],
        started=event["time"],
        name=event.get("name", f"{event['trial']:04d}"),
    )


def restarted(trial: Trial, attempt: int, after: str = "") -> Trial:
    """The trial as another attempt begins: its epochs stay, its end is forgotten; `after` is the last one's trouble."""
    troubles = (*trial.troubles, after) if after else trial.troubles
    return replace(
        trial, attempt=attempt, state="RUNNING", score=None, reason="", scores=None, ended=None, troubles=troubles
    )


def _with_epoch(trial: Trial, event: Mapping[str, Any]) -> Trial:
    record = EpochRecord(
        stage=event["stage"],
        cycle=event["cycle"],
        epoch=event["epoch"],
        step=event["step"],
        reused=event["reused"],
        metrics={name: math.nan if value is None else value for name, value in event["metrics"].items()},
        time=event["time"],
    )
    if record.step <= trial.step:  # written again from a state that was ahead of its event
        return trial
    return replace(trial, epochs=(*trial.epochs, record))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    return value
