from __future__ import annotations

import os
import subprocess
import sys
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
    assert (done.returncode, done.stderr) == (120, b"")


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
