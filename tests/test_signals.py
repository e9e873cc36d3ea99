"""Runs that are told to end: once, in haste, by a job queue, or while their disk hangs."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import LITTLE, Place, a_place, sweep, tamper, wait_until

EPOCHS = 40
HANGS = """
# While a file stands there, no process of the run gets an answer of the disk.
def change(module):
    import time
    sync = os.fsync
    def hung(descriptor):
        while os.path.exists({mark!r}):
            time.sleep(3600.0)
        return sync(descriptor)
    os.fsync = hung
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as made:
        (made.folder / "little.toml").write_text(
            LITTLE.replace("EPOCHS", str(EPOCHS)).replace("trials = 3", "trials = 2")
        )
        tamper(made, "study.store", HANGS.format(mark=str(made.folder / "hangs")))
        yield made


def told_to_end(place: Place, signals: list[signal.Signals], *, hangs: bool = False) -> None:
    """A run that gets these signals, 0.3 s apart, after an epoch of its own: it ends as by Ctrl-C, soon, tidily."""
    known, mark = place.epochs(), place.folder / "hangs"
    process = place.start()
    try:
        wait_until(lambda: place.epochs() > known, process)
        if hangs:
            mark.touch()
            time.sleep(2.0)
        for one in signals:
            os.kill(process.pid, one)
            time.sleep(0.3)
        begun = time.monotonic()
        _, err = process.communicate(timeout=60.0)
        took_s = time.monotonic() - begun
    finally:
        sweep(process)
        mark.unlink(missing_ok=True)
    assert process.returncode == 130, err
    assert re.search(r"interrupted; the same call goes on where it was: (uv run )?rfcx-study run ", err), err
    for unwanted in ("Traceback", "SIGTERM", "Error"):
        assert unwanted not in err
    assert took_s < 30.0
    assert place.left_behind() == ([], [])


@pytest.mark.slow
def test_however_a_run_is_told_to_end_it_says_how_to_go_on_and_loses_nothing(place: Place) -> None:
    told_to_end(place, [signal.SIGTERM])
    told_to_end(place, [signal.SIGINT, signal.SIGINT])
    told_to_end(place, [signal.SIGINT], hangs=True)
    assert {trial.state for trial in place.trials()} == {"RUNNING"}
    code, _, err = place.run()
    assert code == 0, err
    place.check_once_each(2, EPOCHS)
