from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import atexit, threading, time
from concurrent.futures import ThreadPoolExecutor
from study.leave import leave

def later(word, seconds):
    time.sleep(seconds)
    print(word)

class Kept:
    def __del__(self):
        print("taken apart")

kept = Kept()
atexit.register(print, "registered")
threading.Thread(target=later, args=("thread", 0.3)).start()
pool = ThreadPoolExecutor(1)
pool.submit(later, "pool", 0.6)
print("main")
leave(3)
"""


def test_what_others_count_on_is_done_and_nothing_is_taken_apart() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.split() == ["main", "thread", "pool", "registered"]


def test_a_closed_stream_is_no_fault() -> None:
    code = "import sys\nfrom study.leave import leave\nsys.stdout.close()\nleave(0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to be had")
def test_last_words_that_could_not_be_written_make_the_status_pythons_own() -> None:
    code = "from study.leave import leave\nprint('word')\nleave(0)"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        120,
        b"rfcx-study: what was to be printed is lost: No space left on device\n",
    )


SIGNALLED = """
import os, signal, sys, threading, time
import study.__main__ as command

class Kept:
    def __del__(self):
        print("taken apart")

def verb(**_):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=time.sleep, args=(3.0,)).start()
    threading.Timer(0.5, os.kill, (os.getpid(), getattr(signal, sys.argv[1]))).start()
    return 2

kept = Kept()
command.app = verb
command.app.info = command.typer.models.TyperInfo(name="rfcx-study")
command.command()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_at_the_end_keeps_the_status(name: str) -> None:
    command = [sys.executable, "-c", SIGNALLED, name]
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    assert time.monotonic() - begun < 20


def test_a_command_seldom_looks_for_garbage() -> None:
    code = """
import gc, sys
import study.__main__ as command
command.main = lambda: sys.exit(3 if gc.get_threshold()[0] == command.SELDOM else 4)
command.command()
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 3


def test_words_in_place_of_a_status_are_told() -> None:
    code = """
import sys
import study.__main__ as command
command.main = lambda: sys.exit("a library gives up")
command.command()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (1, "a library gives up\n")


@pytest.mark.parametrize("words", [["knobs"], ["--help"], ["plan", "nothing.toml"]])
def test_a_verb_that_nobody_listens_to_ends(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        command = [sys.executable, "-m", "study", *words]
        done = subprocess.run(command, stdout=pipe, stderr=pipe, timeout=60, check=False)
    assert done.returncode not in (0, -6, -11)


@pytest.mark.parametrize(("words", "status"), [(["knobs"], 0), (["plan", "nothing.toml", "--data", "x"], 2)])
def test_the_command_has_the_status_of_its_verb(words: list[str], status: int) -> None:
    command = [sys.executable, "-m", "study", *words]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == status
    assert (done.stdout if status == 0 else done.stderr).endswith("\n")
