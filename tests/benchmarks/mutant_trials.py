"""The tests of a module on its mutants: collected once, then a process for each, forked from there.

In it the module's functions, which tests and other modules hold already, get the code of the faulty source, and the
tests that call the faulty function run, the quickest first, until one fails. A mutant that takes far more processor
time than all tests on the sound module is ended, and counts as killed. Examples of hypothesis are always the same ones.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType, FunctionType, ModuleType
from typing import Any, Final

import pytest
from mutations import Mutant

PATIENCE: Final = 3  # times the processor time of the sound module's tests, and
GRACE_S: Final = 2  # these, are what a mutant may take
EXAMPLES: Final = 25  # of hypothesis, where a test asks for no number of its own
MEMORY: Final = 8 * 2**30  # more than the tests have when they are collected
FORK_IS_MEANT: Final = "ignore:This process:DeprecationWarning"
OPTIONS: Final = ("-q", "--capture=no", "-p", "no:cacheprovider", "--hypothesis-profile=mutants", "-W", FORK_IS_MEANT)


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant."""

    module: str
    where: str
    before: str
    after: str
    killed: bool
    cpu_s: float


@dataclass
class Trials:
    """A pytest plug-in: instead of one run of the tests collected, one of the sound module and one a mutant."""

    module: str
    chosen: Sequence[Mutant]
    told: Path
    seconds: dict[str, float] = field(default_factory=dict)
    called: dict[str, list[str]] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        """Always the same examples, and no search for the smallest that fails."""
        import hypothesis  # not before pytest, which rewrites its plug-in

        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile(
            "mutants", deadline=None, derandomize=True, database=None, phases=phases, max_examples=EXAMPLES
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """How long each test took."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Fork, change, run; a line of JSON each."""
        sound = importlib.import_module(self.module.removesuffix(".py").replace("/", "."))
        session.config.option.maxfail = 1
        with self.told.open("a") as told, TemporaryDirectory() as folder:
            sound_s, called = self._tried_sound(session, sound, Path(folder, "seen.json"))
            for mutant in self.chosen:
                mine = [item for item in session.items if _concerns(called[item.nodeid], mutant)]
                limit_s = int(PATIENCE * sound_s + GRACE_S)
                status, cpu_s = _forked(partial(self._run, mine, session, partial(_change, sound, mutant)), limit_s)
                outcome = Outcome(self.module, *mutant.key, killed=status != 0, cpu_s=round(cpu_s, 3))
                print(json.dumps(asdict(outcome)), file=told, flush=True)
        return True

    def _tried_sound(
        self, session: pytest.Session, sound: ModuleType, seen: Path
    ) -> tuple[float, dict[str, list[str]]]:
        """Put the quickest tests first, and tell the time of all and what each calls of the module."""
        status, _ = _forked(partial(self._watched, session, str(sound.__file__), seen), 3600)
        if status == 0:
            seconds, called = json.loads(seen.read_text())
            session.items.sort(key=lambda item: seconds[item.nodeid])
            status, sound_s = _forked(partial(self._run, session.items, session), 3600)
        if status != 0:
            raise RuntimeError(f"the tests of {self.module} do not pass without a fault")
        return sound_s, called

    def _run(
        self, items: Sequence[pytest.Item], session: pytest.Session, change: Callable[[], None] = lambda: None
    ) -> int:
        change()
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if session.testsfailed:
                return 1
        return 0

    def _watched(self, session: pytest.Session, source: str, seen: Path) -> int:
        for item, after in zip(session.items, [*session.items[1:], None], strict=True):
            names: set[str] = set()
            sys.setprofile(partial(_note, source, names))
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            sys.setprofile(None)
            self.called[item.nodeid] = sorted(names)
        seen.write_text(json.dumps([self.seconds, self.called]))
        return 1 if session.testsfailed else 0


def _note(source: str, names: set[str], frame: FrameType, event: str, _: object) -> None:
    if event == "call" and frame.f_code.co_filename == source:
        names.add(frame.f_code.co_qualname)


def _concerns(called: Sequence[str], mutant: Mutant) -> bool:
    """Whether a test calls the function that a mutant changes; what is in no function concerns all."""
    return not mutant.inside or any((name + ".").startswith(mutant.where + ".") for name in called)


def _forked(work: Callable[[], int], limit_s: int) -> tuple[int, float]:
    """What a piece of work returned in a process of its own, not 0 where it was ended, and its processor time."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (1, 2):
                os.dup2(nowhere, stream)
            resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            signal.alarm(20 * limit_s)  # where it waits for something
            status = work()
        finally:
            os._exit(status)
    _, ended, used = os.wait4(child, 0)
    return ended, used.ru_utime + used.ru_stime


def _change(sound: ModuleType, mutant: Mutant) -> None:
    """Give all functions of a module, which others hold already, the code that they have in the faulty source."""
    faulty = ModuleType(sound.__name__)
    faulty.__file__ = sound.__file__
    exec(compile(mutant.source, str(sound.__file__), "exec"), faulty.__dict__)
    _transplant(vars(sound), vars(faulty))
    for name in mutant.names:
        old, new = vars(sound)[name], vars(faulty)[name]
        for other in list(sys.modules.values()):
            if getattr(other, "__dict__", {}).get(name) is old:
                setattr(other, name, new)


def _transplant(old: Any, new: Any) -> None:
    for name, value in new.items():
        mine = old.get(name)
        mine, value = (getattr(one, "__wrapped__", one) for one in (mine, value))
        if isinstance(value, FunctionType) and isinstance(mine, FunctionType) and value is not mine:
            if len(value.__code__.co_freevars) == len(mine.__code__.co_freevars):
                mine.__code__ = value.__code__
                mine.__defaults__, mine.__kwdefaults__ = value.__defaults__, value.__kwdefaults__
        elif isinstance(value, property) and isinstance(mine, property):
            _transplant({"get": mine.fget}, {"get": value.fget})
        elif isinstance(value, type) and isinstance(mine, type) and value is not mine:
            _transplant(vars(mine), vars(value))


def collected(module: str, tests: Sequence[str], chosen: Sequence[Mutant], rows: Path) -> int:
    """Try these mutants of a module, in this process and its forks; a line of `rows` each. Returns pytest's status."""
    said = io.StringIO()
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(said):
        status = pytest.main([*OPTIONS, f"--basetemp={folder}/tests", *tests], plugins=[Trials(module, chosen, rows)])
    if status != pytest.ExitCode.OK:
        print(said.getvalue(), file=sys.stderr)
    return int(status)
