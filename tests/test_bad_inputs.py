"""Every bad input of the table meets its exact message; the page shows them; nothing is left half-written."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_inputs.case import Bad, told
from bad_inputs.page import PAGE, page
from bad_inputs.play import cases, expected, play
from bad_inputs.world import write_world

from study.machine import has_gpu_device

CASES = list(cases())
THROUGH_THE_SHELL = ("a knob is misspelt", "a verb is misspelt", "study.json is cut short", "a score is a word")
NO_GPU = "no GPU"  # what is told where there is none
OF_OTHERS = (
    *("Input should", "Value error", "Unexpected keyword", "validation error", "Expecting value", "codec can't decode"),
    *(
        "[Errno",
        "psf_",
        "deserializing",
        "No columns to parse",
        "tokenizing",
        "Invalid value for",
        "Usage:",
        "Error: ",
        "object at",
    ),
    *("KeyError", "TypeError", "site-packages", "allow_pickle", "zip file", "pickled"),
)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("sound") / "world")


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_there_are_many_distinct_cases_and_each_has_its_message() -> None:
    assert sum(one.exit != 0 for of in expected().values() for one in of.values()) >= 400
    assert len({(case.words, case.wrong) for _, case in CASES}) == len(CASES)
    assert {(door, wrong) for door, of in expected().items() for wrong in of} == {
        (door, case.wrong) for door, case in CASES
    }


@pytest.mark.parametrize(("door", "case"), CASES, ids=lambda part: part.wrong if isinstance(part, Bad) else part)
def test_a_bad_input_is_met_in_the_words_of_the_table(door: str, case: Bad, template: Path, tmp_path: Path) -> None:
    wanted = expected()[door][case.wrong]
    if NO_GPU in wanted.says and has_gpu_device():
        pytest.skip("this machine may have one")
    assert play(case, template, tmp_path) == wanted
    assert not (tmp_path / "world" / "pwned").exists()


@pytest.mark.parametrize(("door", "case"), CASES, ids=lambda part: part.wrong if isinstance(part, Bad) else part)
def test_what_is_refused_is_told_in_a_few_words_of_this_program_and_leaves_nothing(door: str, case: Bad) -> None:
    one = expected()[door][case.wrong]
    assert one.exit in (0, 1, 2)
    assert not [words for words in (*OF_OTHERS, "Traceback") if words in one.says + one.tells]
    if one.exit == 2:
        assert (one.tells, one.leaves) == ("", ())
        assert one.says.rstrip()[-1] in ".?" or "divided by tabs" in one.says
        assert len(one.says) < 1000


@pytest.mark.parametrize("wrong", THROUGH_THE_SHELL)
def test_a_process_of_its_own_says_the_same(wrong: str, template: Path, tmp_path: Path) -> None:
    ((door, case),) = [(door, case) for door, case in CASES if case.wrong == wrong]
    world = tmp_path / "world"
    subprocess.run(["cp", "-r", str(template), str(world)], check=True)
    case.make(world)
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "-m", "study", *shlex.split(case.words)]
    done = subprocess.run(command, cwd=world, env=environment, capture_output=True, text=True, check=False)
    wanted = expected()[door][wrong]
    assert (done.returncode, told(done.stderr, world), done.stdout) == (wanted.exit, wanted.says, "")


def test_the_page_shows_what_the_program_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(expected())
