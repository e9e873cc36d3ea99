"""What stands on a screen that is no terminal: lines that say what is done, of what, and how long it will take."""

from __future__ import annotations

import contextlib
import io

import pytest
from rich.console import Console

from study import display as module
from study.display import Display


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def display(said: io.StringIO) -> Display:
    return Display(Console(file=said, width=200))


def test_a_phase_ends_with_what_was_done(clock: Clock, display: Display, said: io.StringIO) -> None:
    with display.phase("trials", 8, "epochs") as phase:
        phase.status("1 running")
        phase.at(8)
    assert said.getvalue() == "trials: 8/8 epochs  1 running\n"


def test_a_line_stands_every_ten_seconds_and_tells_what_is_left_once_that_can_be_told(
    clock: Clock, display: Display, said: io.StringIO
) -> None:
    with display.phase("trials", 100, "epochs") as phase:
        for done, at_s in ((0, 0), (2, 15), (4, 18), (5, 30), (10, 60)):
            clock.now = 1000.0 + at_s
            phase.at(done)
        clock.now += 1
        phase.at(100)
    assert said.getvalue().splitlines() == [
        "trials: 2/100 epochs",  # after too few to say more
        "trials: 5/100 epochs  about 0:09:30 left",
        "trials: 10/100 epochs  about 0:09:00 left",
        "trials: 100/100 epochs",
    ]


def test_what_was_done_before_the_phase_says_nothing_of_its_speed(
    clock: Clock, display: Display, said: io.StringIO
) -> None:
    with display.phase("trials", 100) as phase:
        phase.at(50)
        clock.now += 20.5
        phase.at(60)
        phase.at(100)
    assert said.getvalue().splitlines()[0] == "trials: 60/100  about 0:01:22 left"


def test_a_phase_that_is_refused_before_anything_is_done_leaves_no_line(
    clock: Clock, display: Display, said: io.StringIO
) -> None:
    with pytest.raises(ValueError, match="no"), display.phase("forest", 9):
        raise ValueError("no")
    assert said.getvalue() == ""
    with contextlib.suppress(ValueError), display.phase("forest", 9) as phase:
        phase.at(4)
        raise ValueError("no")
    assert said.getvalue() == "forest: 4/9\n"


def test_nothing_to_do_is_said_too(clock: Clock, display: Display, said: io.StringIO) -> None:
    with display.phase("stages", 0):
        pass
    assert said.getvalue() == "stages: 0/0\n"


def test_a_terminal_has_a_bar(clock: Clock) -> None:
    said = io.StringIO()
    display = Display(Console(file=said, width=120, force_terminal=True, highlight=False))
    with display.phase("trials", 8, "epochs") as phase:
        phase.at(3)
        phase.say("trial 0001: COMPLETE")
        phase.at(8, 9)
    assert "8/9" in said.getvalue()
    assert "trial 0001: COMPLETE" in said.getvalue()
