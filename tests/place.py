"""A user's folder with a tiny study, and the command line run in it as a user would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny import KNOBS, fixed, write_folder

from study.events import read_events
from study.trials import Trial, read_trials

ROOT = Path(__file__).parent.parent
PATIENCE_S = 300.0
LISTEN = "0A"
SEARCHED = """
[scientific]
"stage3.mixup_site" = { choices = ["none", "input"] }
[nuisance]
"stage3.focal_gamma" = { low = 0.0, high = 4.0 }
"""
FIXED = fixed(KNOBS | {"stage2.epochs": 1, "stage3.epochs": 777, "stage3.teachers": 1}).replace("777", "EPOCHS")
REST = """
[baseline]
"stage3.mixup_site" = "input"
[search]
sampler = "random"
scheduler = "none"
folds = 2
seed = 0
[budget]
trials = 3
"""
LITTLE = SEARCHED + FIXED + REST


@dataclass(frozen=True)
class Place:
    """A user's folder, and the temporary folder that Ray is given. Modules in `first/` come before all others."""

    folder: Path
    temporary: Path

    def start(self, *words: str, verb: str = "run") -> subprocess.Popen[str]:
        """`rfcx-study run` or another verb, in a process group of its own."""
        cache = ["--cache", "cache"] if verb == "run" else []
        return self.call(verb, "little.toml", "--data", "data", *cache, *words)

    def call(self, *words: str) -> subprocess.Popen[str]:
        """The command line with these words."""
        path = f"{self.folder / 'first'}{os.pathsep}{ROOT}"
        environment = {**os.environ, "TMPDIR": str(self.temporary), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "study", *words],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, verb: str = "run") -> tuple[int, str, str]:
        """Run to the end: exit code, stdout, stderr."""
        return self.end(self.start(*words, verb=verb))

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Wait for the end: exit code, stdout, stderr."""
        try:
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            sweep(process)
        return process.returncode, out, err

    @property
    def study(self) -> Path:
        (found,) = (self.folder / "studies").glob("little-*")
        assert re.fullmatch(r"little-[0-9a-f]{8}", found.name)
        return found

    @property
    def ledger(self) -> Path:
        return self.study / "trials.jsonl"

    def trials(self) -> list[Trial]:
        return read_trials(self.ledger)

    def epochs(self) -> int:
        """Epochs on record so far, also of a study that has not begun."""
        found = list((self.folder / "studies").glob("little-*/trials.jsonl"))
        return found[0].read_bytes().count(b'"event":"epoch"') if found else 0

    def check_once_each(self, trials: int, epochs: int) -> None:
        """Every trial has every epoch once, and one end."""
        events = read_events(self.ledger)
        told = [(event["trial"], event["step"]) for event in events if event["event"] == "epoch"]
        assert sorted(told) == [(trial, step) for trial in range(trials) for step in range(1, epochs + 1)]
        assert sorted(event["trial"] for event in events if event["event"] == "ended") == list(range(trials))

    def processes(self) -> list[int]:
        """Living processes that were started with this place's temporary folder."""
        mark = f"TMPDIR={self.temporary}".encode()
        return [number for number in all_processes() if mark in told(number, "environ").split(b"\0")]

    def left_behind(self) -> tuple[list[str], list[Path]]:
        """Command lines of processes that outlive the run by 90 seconds, and temporary folders.

        Ray's agents take that long to notice that a driver was killed.
        """
        until = time.monotonic() + 90.0
        while self.processes() and time.monotonic() < until:
            time.sleep(0.1)
        lines = [told(number, "cmdline").replace(b"\0", b" ").decode()[:120] for number in self.processes()]
        return lines, list(self.temporary.glob("rfcx-*"))


def all_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def told(number: int, what: str) -> bytes:
    try:
        return (Path("/proc") / str(number) / what).read_bytes()
    except OSError:
        return b""


def sweep(process: subprocess.Popen[str]) -> None:
    """No test may leave its run behind."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def a_place(folder: Path) -> Iterator[Place]:
    """A folder with data and a space; whatever a run leaves behind is ended and removed."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("processes are counted in /proc, which is not here")
    write_folder(folder / "data")
    made = Place(folder, Path("/tmp") / f"t{os.getpid()}")
    made.temporary.mkdir()  # short: Ray's sockets stand below it
    (folder / "little.toml").write_text(LITTLE.replace("EPOCHS", "2"))
    yield made
    for number in made.processes():
        os.kill(number, signal.SIGKILL)
    subprocess.run(["rm", "-r", str(made.temporary)], check=True)


WRITTEN = """
# Each epoch that reaches the store is noted, with the stage it belongs to.
def change(module):
    save = module.Store.save
    def noted(self, name, state, *rest, **facts):
        save(self, name, state, *rest, **facts)
        with open({log!r}, "a") as file:
            print(name, state.facts["epoch"], file=file)
    module.Store.save = noted
"""
FOUND = '''
"""Found by every process of the run: changes a module as soon as it has been read."""
import importlib.util, os, signal, sys

{change}

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != {module!r}:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            change(module)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
'''


def tamper(place: Place, module: str, change: str) -> None:
    """Have `change(module)`, given as code, run on one module in every process of the place's runs."""
    (place.folder / "first").mkdir()
    (place.folder / "first" / "sitecustomize.py").write_text(FOUND.format(module=module, change=change))
