"""Does a long study stay whole and its driver small? Hundreds of tiny trials, with faults, ended and begun again.

Of every 25 trials one raises at each attempt, one has no score at each, one finds no memory once, and one's process is
killed once. The driver is killed or told to end several times among the first trials, and `run` again carries on; its
last run is watched to its end, and then `run` is called once more, which has nothing left to do. Trials are real, of a
tiny network on seconds of sound; shared stages stand in the store. Told is what became of all trials and epochs, what
is left behind, and how memory and open files of driver and workers grew.

Example: python tests/benchmarks/soak.py --trials 500
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from place import LITTLE, Place, a_place, sweep, tamper, told

from study.events import read_events
from study.trials import Trial

EPOCHS: Final = 2
EARLY: Final = 50
"""Trials after which a driver has done everything at least once."""

FAULTS: Final = """
# Faults by a trial's number, each noted; and every epoch that reaches the store.
def change(module):
    from study import store
    floor, save = module._floor, store.Store.save
    def faulty(study, ledger, number, step, metrics):
        kind = {5: "raises", 10: "no score", 15: "no memory", 20: "killed"}.get(number % 25)
        mark = f"FOLDER/{kind}-{number}"
        if kind and step == 1 and not (kind in ("no memory", "killed") and os.path.exists(mark)):
            with open(mark, "a") as file:
                file.write(".")
            if kind == "raises":
                raise RuntimeError("made to fail")
            if kind == "no memory":
                raise MemoryError
            if kind == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            metrics["lwlrap"] = float("nan")
        return floor(study, ledger, number, step, metrics)
    def noted(self, name, state, *rest, **facts):
        save(self, name, state, *rest, **facts)
        with open("FOLDER/written", "a") as file:
            print(name, state.facts["epoch"], file=file)
    module._floor, store.Store.save = faulty, noted
"""
ENDS: Final = (signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)


@dataclass(frozen=True)
class Look:
    """A run at one moment; `worker_mb` is its largest worker's."""

    done: int
    driver_mb: float
    handles: int
    worker_mb: float


@dataclass(frozen=True)
class Soaked:
    """What became of it all."""

    asked: int
    trials: Sequence[Trial]
    faults: Mapping[str, int]
    starts: int
    lost: int
    doubled: int
    trained_twice: int
    looks: Sequence[Look]
    seconds: float
    processes: Sequence[str]
    folders: Sequence[Path]
    halves: Sequence[Path]

    @property
    def states(self) -> Counter[str]:
        """Trials by state."""
        return Counter(trial.state for trial in self.trials)

    @property
    def early(self) -> Look:
        """The last run's driver once `EARLY` trials were over, or half of them."""
        return next(look for look in self.looks if look.done >= min(EARLY, self.asked // 2) and look.worker_mb)

    @property
    def late(self) -> Look:
        """The same driver when the last trial was all but over, before it draws the report."""
        return [look for look in self.looks if look.worker_mb][-1]

    def unexplained(self) -> list[Trial]:
        """Failed trials that no fault explains, and those that a fault should have failed and has not."""
        doomed = {trial.number for trial in self.trials if trial.number % 25 in (5, 10)}
        return [trial for trial in self.trials if (trial.state == "FAILED") != (trial.number in doomed)]


def soak(place: Place, trials: int, ends: Sequence[signal.Signals] = ENDS, every: int = 8) -> Soaked:
    """A study of so many trials whose driver is ended after each `every` of the first ones."""
    text = LITTLE.replace("EPOCHS", str(EPOCHS)).replace("trials = 3", f"trials = {trials}")
    text = text.replace('"random"', '"tpe"').replace('scheduler = "none"', 'scheduler = "asha"\ngrace = 1')
    (place.folder / "little.toml").write_text(text)
    (place.folder / "faults").mkdir()
    tamper(place, "study.outcome", FAULTS.replace("FOLDER", str(place.folder / "faults")))
    lost, begun = 0, time.monotonic()
    for turn, end in enumerate(ends, start=1):
        before = known(place)
        watched(place, turn * every, end)
        lost += len(before - known(place))
    before = known(place)
    looks = watched(place)
    watched(place)
    lost += len(before - known(place)) + len(set(missing(place.trials())))
    told_of = [(event["trial"], event["step"]) for event in read_events(place.ledger) if event["event"] == "epoch"]
    written = (place.folder / "faults" / "written").read_text().splitlines()
    processes, folders = place.left_behind()
    return Soaked(
        asked=trials,
        trials=place.trials(),
        faults=injected(place.folder / "faults") | Counter(f"driver: {end.name}" for end in ends),
        starts=len(ends) + 2,
        lost=lost,
        doubled=len(told_of) - len(set(told_of)),
        trained_twice=len(written) - len(set(written)),
        looks=looks,
        seconds=time.monotonic() - begun,
        processes=processes,
        folders=folders,
        halves=[path for path in (place.study / "stages").rglob(".*") if path.is_file()],
    )


def watched(place: Place, at: int = 0, end: signal.Signals | None = None) -> list[Look]:
    """One run, looked at twice a second; told to end once so many trials are over.

    Raises:
        RuntimeError: it ended otherwise than it should.
    """
    process, looks = place.start(), []
    waiting = end
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(process.communicate)
        try:
            while not said.done():
                looks.append(look(place, process.pid))
                if waiting is not None and looks[-1].done >= at:
                    process.send_signal(waiting)
                    waiting = None
                time.sleep(0.5)
        finally:
            sweep(process)
    wanted = {None: 0, signal.SIGKILL: -signal.SIGKILL}.get(end, 130)
    if process.returncode != wanted or waiting is not None or "Traceback" in said.result()[1]:
        raise RuntimeError(f"exit code {process.returncode} after {end}: {said.result()[1]}")
    return looks


def look(place: Place, driver: int) -> Look:
    """The run as it is now; no handles where the driver is gone."""
    found = list((place.folder / "studies").glob("little-*/trials.jsonl"))
    done = found[0].read_bytes().count(b'"event":"ended"') if found else 0
    workers = [one for one in place.processes() if told(one, "cmdline").startswith((b"ray::Impl", b"ray::train"))]
    try:
        handles = len(list((Path("/proc") / str(driver) / "fd").iterdir()))
    except OSError:
        handles = 0
    return Look(done, resident_mb(driver), handles, max(map(resident_mb, workers), default=0.0))


def resident_mb(process: int) -> float:
    """Memory of a process, in MB."""
    lines = told(process, "status").decode().splitlines()
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmRSS")), 0.0)


def known(place: Place) -> set[tuple[int, int]]:
    """Epochs on record."""
    found = list((place.folder / "studies").glob("little-*/trials.jsonl"))
    events = read_events(found[0]) if found else []
    return {(event["trial"], event["step"]) for event in events if event["event"] == "epoch"}


def missing(trials: Sequence[Trial]) -> Iterator[tuple[int, int]]:
    """Epochs that a trial must have had, and that are not on record."""
    for trial in trials:
        last = EPOCHS if trial.state == "COMPLETE" else trial.step
        steps = {epoch.step for epoch in trial.epochs}
        yield from ((trial.number, step) for step in range(1, last + 1) if step not in steps)


def injected(folder: Path) -> Counter[str]:
    """How often each fault struck."""
    struck: Counter[str] = Counter()
    for mark in folder.glob("*-*"):
        struck[f"trial: {mark.name.rpartition('-')[0]}"] += len(mark.read_text())
    return struck


def table(soaked: Soaked) -> str:
    """All of it, as Markdown."""
    early, late = soaked.early, soaked.late
    done, span = late.done - soaked.looks[0].done, f"after {early.done} and {late.done} trials"
    rows = {
        "trials asked": soaked.asked,
        **{f"trials {state}": count for state, count in sorted(soaked.states.items())},
        "trials whose end no fault explains": len(soaked.unexplained()),
        **{f"faults, {name}": count for name, count in sorted(soaked.faults.items())},
        "starts of the driver": soaked.starts,
        "epochs on record": sum(len(trial.epochs) for trial in soaked.trials),
        "epochs lost": soaked.lost,
        "epochs twice on record": soaked.doubled,
        "epochs trained twice": soaked.trained_twice,
        f"driver's memory {span}, MB": f"{early.driver_mb:.0f}, {late.driver_mb:.0f}",
        f"driver's open handles {span}": f"{early.handles}, {late.handles}",
        "largest worker's memory then, MB": f"{early.worker_mb:.0f}, {late.worker_mb:.0f}",
        "processes left": len(soaked.processes),
        "temporary folders left": len(soaked.folders),
        "half-written files left in the store": len(soaked.halves),
        "seconds in all": round(soaked.seconds),
        "trials in the last run": done,
    }
    return "\n".join(
        ["| what | how much |", "| --- | ---: |", *(f"| {name} | {told} |" for name, told in rows.items())]
    )


def main() -> None:
    """Soak and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--looks", action="store_true", help="also how the driver grew, every 50 trials")
    asked = parser.parse_args()
    with TemporaryDirectory() as temporary, a_place(Path(temporary)) as place:
        soaked = soak(place, asked.trials)
    print(table(soaked))
    if asked.looks:
        print("\n| trials | driver MB | handles | worker MB |\n| ---: | ---: | ---: | ---: |")
        firsts = {one.done // 50: one for one in reversed(soaked.looks) if one.handles}
        for one in (firsts[key] for key in sorted(firsts)):
            print(f"| {one.done} | {one.driver_mb:.0f} | {one.handles} | {one.worker_mb:.0f} |")


if __name__ == "__main__":
    main()
