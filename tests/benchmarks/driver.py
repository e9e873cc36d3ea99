"""What does the driver of a large study cost? Thousands of trials on hundreds of slots, without Ray or training.

A queue of events stands in for Tune and its workers; searcher, scheduler, recorder, ledger and TensorBoard boards are
the real ones. A row is printed whenever so many trials have ended, with as many running as there are slots: CPU time
of the driver for each result and for each proposal, both over the last `--window` trials; resident memory; size of the
ledger; open files; and the CPU time of a restart, from the ledger to a searcher that can go on. Needs Linux's /proc.

Example: python tests/benchmarks/driver.py --samplers tpe qmc random --trials 100 1000 3000 10000
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import torch
from driver_queue import Driver, Meter, Place
from rich.console import Console

from study import recorder, tune_events
from study.display import Display
from study.space import Study, load
from study.trials import EpochRecord

SPACE: Final = Path(__file__).parents[2] / "search_spaces" / "mixup.toml"
SAMPLERS: Final = ("tpe", "gp", "qmc", "random", "nsga2")
HEAD: Final = """
| sampler | trials | ms a result | ms a proposal, median | p95 | memory, MB | ledger, MB | open files | restart, s |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


@dataclass(frozen=True)
class Row:
    """The driver at one size of a study; seconds of CPU time. The peak is that of resident memory."""

    sampler: str
    trials: int
    result_s: float
    asked_s: Sequence[float]
    peak_bytes: int
    ledger_bytes: int
    open_files: int
    restart_s: float

    def __str__(self) -> str:
        median, p95 = (1000 * float(np.quantile(self.asked_s, q)) for q in (0.5, 0.95))
        return (
            f"| {self.sampler} | {self.trials} | {1000 * self.result_s:.2f} | {median:.1f} | {p95:.1f} "
            f"| {self.peak_bytes / 1e6:.0f} | {self.ledger_bytes / 1e6:.1f} | {self.open_files} "
            f"| {self.restart_s:.2f} |"
        )


class NoBoard:
    """A TensorBoard board that is not written: what the rest costs."""

    def __init__(self, *facts: Any) -> None:
        pass

    def epoch(self, record: EpochRecord) -> None:
        """Nothing."""

    def end(self, state: str, score: float | None) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def main(words: Sequence[str] | None = None) -> None:
    """Measure each sampler in a process of its own, and print."""
    asked = _parser().parse_args(words)
    print(HEAD, flush=True)
    for sampler in asked.samplers:
        process = get_context("spawn").Process(target=measure, args=(sampler, asked))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(process.exitcode)


def measure(sampler: str, asked: argparse.Namespace) -> None:
    """All rows of one sampler."""
    study = load(asked.space, {"search.sampler": sampler, "search.scheduler": asked.scheduler})
    torch.set_num_threads(1)
    with ExitStack() as stack:
        stack.enter_context(patch.object(tune_events, "pass_on", lambda desk, display: None))  # a question to an actor
        if asked.no_fsync:
            stack.enter_context(patch.object(os, "fsync", lambda file: None))
        if asked.no_boards:
            stack.enter_context(patch.object(recorder, "TrialBoard", NoBoard))
        silent = Display(Console(file=stack.enter_context(Path(os.devnull).open("w"))))
        folder = Path(stack.enter_context(TemporaryDirectory(dir=asked.folder, prefix="driver-")))
        place = Place(folder, asked.slots, max(asked.trials) + asked.slots, not asked.no_journal, silent)
        for row in _rows(study, place, asked):
            print(row, flush=True)


def _rows(study: Study, place: Place, asked: argparse.Namespace) -> Iterator[Row]:
    first = replace(study, search=replace(study.search, sampler="random")) if asked.grown else study
    driver = Driver(first, place)
    for trials in sorted(asked.trials):
        window = min(asked.window, trials // 2)
        driver.run(trials - window)
        if asked.grown:
            driver.close()
            driver = Driver(study, place)
            driver.fill()
        _forget_peak()
        driver.meter = Meter()
        driver.run(trials)
        yield Row(
            sampler=study.search.sampler,
            trials=trials,
            result_s=driver.meter.result_s(),
            asked_s=driver.meter.asked_s,
            peak_bytes=_peak_bytes(),
            ledger_bytes=(place.folder / "trials.jsonl").stat().st_size,
            open_files=len(list(Path("/proc/self/fd").iterdir())),
            restart_s=_restart_s(study, place),
        )
        if asked.grown:
            driver.close()
            driver = Driver(first, place)
    driver.close()


def _restart_s(study: Study, place: Place) -> float:
    """On a copy of the ledger, since a restart writes the journal anew."""
    with TemporaryDirectory(dir=place.folder) as folder:
        shutil.copy(place.folder / "trials.jsonl", folder)
        before = time.process_time()
        Driver(study, replace(place, folder=Path(folder)))
        return time.process_time() - before


def _forget_peak() -> None:
    """From here on the peak of resident memory counts anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def _parser() -> argparse.ArgumentParser:
    about, _, example = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS), help="which samplers, one after another")
    add("--scheduler", choices=("asha", "median", "none"), default="asha", help="which scheduler")
    add("--trials", type=int, nargs="+", default=[100, 1000, 3000, 10000], help="sizes at which a row is printed")
    add("--slots", type=int, default=256, help="trials that run at once")
    add("--window", type=int, default=200, help="a row tells of so many trials before it, of half of all at most")
    add("--grown", action="store_true", help="propose at random between the windows: for samplers that are slow")
    add("--no-fsync", action="store_true", help="do not wait for the disk")
    add("--no-journal", action="store_true", help="write no journal for Optuna's tools")
    add("--no-boards", action="store_true", help="write no TensorBoard files")
    add("--space", type=Path, default=SPACE, help="the space file")
    add("--folder", type=Path, help="where the study is written for as long as it takes; None: the system's own")
    return parser


if __name__ == "__main__":
    main()
