"""One driver at a time works on a study: a lease kept alive by a heartbeat, since file locks may not hold across nodes.

`STUDY/.lease/` holds one numbered file a driver; the highest number has the lease. Each file is made exclusively,
so of two drivers that want the same number one gets it, and the lower numbers learn from it that they are superseded:
a driver that was taken for dead but lives (a suspended laptop, a paused container) writes nothing more.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import psutil

from rfcx_model.errors import InputError, RunError
from study.whole_file import write_whole

BEAT_S: Final = 5.0
SILENT_S: Final = 20.0
"""A driver on another machine that has not beaten for so long counts as dead."""


@dataclass(frozen=True)
class Driver:
    """Who holds a lease. A process is known by its start as well, since its number is given out again."""

    machine: str
    host: str
    process: int
    born: float
    beat: int = 0
    over: bool = False

    @classmethod
    def me(cls) -> Driver:
        """This process."""
        born = psutil.Process().create_time()
        return cls(f"{platform.node()} {uuid.getnode():x}", platform.node(), os.getpid(), born)

    def is_gone(self) -> bool | None:
        """Whether it has ended; None where that cannot be seen from here."""
        if self.over:
            return True
        if self.machine != Driver.me().machine:
            return None
        try:
            return bool(abs(psutil.Process(self.process).create_time() - self.born) > 1.0)
        except psutil.NoSuchProcess:
            return True


@dataclass(frozen=True)
class DriverLease:
    """This driver's hold on a study."""

    study: Path
    number: int

    def check(self) -> None:
        """Refuse to go on where another driver has taken over, or where the folder is gone.

        Raises:
            RunError: one has, or it is.
        """
        if _file(self.study, self.number + 1).exists():
            raise RunError(f"{self.study}: another `run` has taken this study over; this one writes nothing more.")
        if not _file(self.study, self.number).exists():
            raise RunError(
                f"{self.study}: was moved, deleted or unmounted while the study ran. Bring it back and call `run` "
                "again; it goes on from the last epoch that stands in its trials.jsonl."
            )

    def beat(self, driver: Driver) -> None:
        """Tell that the driver lives, or that it is over."""
        write_whole(_file(self.study, self.number), json.dumps(asdict(driver)))


@contextlib.contextmanager
def driver_lease(study: Path, say: Callable[[str], None]) -> Iterator[DriverLease]:
    """The lease on a study's folder, beating until the work is done.

    Raises:
        InputError: another driver works on the study.
        OSError: the folder cannot be written.
    """
    _folder(study).mkdir(parents=True, exist_ok=True)
    me, lease = Driver.me(), _take(study, say)
    done = threading.Event()
    heart = threading.Thread(target=_beat, args=(lease, me, done), daemon=True)
    heart.start()
    try:
        yield lease
    finally:
        done.set()
        heart.join()
        with contextlib.suppress(OSError, RunError):
            lease.check()
            lease.beat(replace(me, over=True))


def _beat(lease: DriverLease, me: Driver, done: threading.Event) -> None:
    """A disk that is full or away for a while stops no heart: the work itself will say so."""
    beats = 0
    while not done.wait(BEAT_S):
        beats += 1
        with contextlib.suppress(OSError):
            lease.beat(replace(me, beat=beats))


def _take(study: Path, say: Callable[[str], None]) -> DriverLease:
    while True:
        number = max((int(path.stem) for path in _folder(study).glob("[0-9]*.json")), default=0)
        if number:
            _refuse_a_living(study, number, say)
        try:
            with _file(study, number + 1).open("x", encoding="utf-8") as file:
                json.dump(asdict(Driver.me()), file)
        except FileExistsError:
            continue
        for older in _folder(study).glob("[0-9]*.json"):
            if int(older.stem) <= number:
                older.unlink(missing_ok=True)
        return DriverLease(study, number + 1)


def _refuse_a_living(study: Path, number: int, say: Callable[[str], None]) -> None:
    holder = _read(study, number)
    gone = None if holder is None else holder.is_gone()
    if gone is None:
        where = holder.host if holder else "another machine"
        say(f"{study}: held by a `run` on {where}; listening for {SILENT_S:g} s whether it still lives")
        gone = _is_silent(study, number, holder)
    if not gone:
        who = f" (process {holder.process} on {holder.host})" if holder else ""
        raise InputError(f"{study}: another `run` works on this study{who}. Wait for it, or stop it.")


def _is_silent(study: Path, number: int, before: Driver | None) -> bool:
    until = time.monotonic() + SILENT_S
    while time.monotonic() < until:
        time.sleep(min(1.0, SILENT_S / 10))
        now = _read(study, number)
        if now is not None and now.over:
            return True
        if now != before:
            return False
    return True


def _read(study: Path, number: int) -> Driver | None:
    """Who holds the lease of this number; None where its file cannot be read."""
    try:
        return Driver(**json.loads(_file(study, number).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _folder(study: Path) -> Path:
    return study / ".lease"


def _file(study: Path, number: int) -> Path:
    return _folder(study) / f"{number}.json"
