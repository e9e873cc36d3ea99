"""Drivers killed at any moment: nothing written is lost, nothing is doubled, and the search goes the same way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from driven import TRIALS, Driven, space
from place import LITTLE, PATIENCE_S, WRITTEN, Place, a_place, tamper

from study.events import read_events
from study.trials import read_trials

KILLS, REAL_KILLS = 10, 5  # a real study takes half a minute to come back


def carry_on(study_sampler: str, spaces: Path, folder: Path) -> int:
    """A driver in a process of its own, forked so that it starts in no time."""
    child = os.fork()
    if child == 0:
        try:
            driven = Driven(space(spaces, study_sampler), folder)
            while driven.trial(pause_s=0.002):
                pass
            driven.close()
        finally:
            os._exit(0)
    return child


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "gp", "qmc", "random", "nsga2"])
def test_a_driver_killed_ten_times_ends_with_the_study_of_one_never_killed(tmp_path: Path, sampler: str) -> None:
    unbroken = tmp_path / "unbroken"
    begun = time.monotonic()
    os.waitpid(carry_on(sampler, tmp_path, unbroken), 0)
    took = time.monotonic() - begun
    assert len(read_trials(unbroken / "trials.jsonl")) == TRIALS

    killed, ledger, moments = tmp_path / "killed", tmp_path / "killed" / "trials.jsonl", random.Random(sampler)
    kills = 0
    while True:
        before = ledger.read_bytes() if ledger.exists() else b""
        child = carry_on(sampler, tmp_path, killed)
        if kills < KILLS:
            time.sleep(moments.uniform(0.0, 2.0 * took / KILLS))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        now = ledger.read_bytes() if ledger.exists() else b""
        assert now.startswith(before[: before.rfind(b"\n") + 1])
        if os.WIFEXITED(status):
            break
        kills += 1
    assert kills >= KILLS // 2, "the study was over before it had been killed"

    events = read_events(ledger)
    epochs = [(event["trial"], event["step"]) for event in events if event["event"] == "epoch"]
    assert len(set(epochs)) == len(epochs)
    ends = [event["trial"] for event in events if event["event"] == "ended"]
    assert sorted(ends) == list(range(TRIALS))
    first, second = read_trials(unbroken / "trials.jsonl"), read_trials(ledger)
    assert [trial.config for trial in second] == [trial.config for trial in first]
    assert [(trial.state, trial.score, trial.step) for trial in second] == [
        (trial.state, trial.score, trial.step) for trial in first
    ]


REAL_TRIALS, REAL_EPOCHS = 4, 8


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "killed").mkdir()
    with a_place(tmp_path / "killed") as made:
        text = LITTLE.replace("EPOCHS", str(REAL_EPOCHS)).replace("trials = 3", f"trials = {REAL_TRIALS}")
        (made.folder / "little.toml").write_text(text.replace('"random"', '"tpe"'))
        yield made


@pytest.mark.slow
def test_a_real_study_killed_five_times_trains_no_epoch_twice_and_proposes_the_same(place: Place) -> None:
    one = ("--set", "resources.concurrent=1")
    code, _, err = place.run(*one, "--out", "unbroken")
    assert code == 0, err
    (unbroken,) = (place.folder / "unbroken").glob("little-*/trials.jsonl")

    log = place.folder / "written.log"
    tamper(place, "study.store", WRITTEN.format(log=str(log)))
    moments, kills = random.Random(7), 0
    while True:
        before = place.ledger.read_bytes() if list((place.folder / "studies").glob("little-*/trials.jsonl")) else b""
        process = place.start(*one)
        if kills < REAL_KILLS:
            kills += kill_soon(place, process, len(before), moments)
        else:
            _, err = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, err
        now = place.ledger.read_bytes()
        assert now.startswith(before[: before.rfind(b"\n") + 1])
        if process.returncode == 0:
            break
    assert kills > REAL_KILLS // 2, "the study was over before it had been killed"

    events = read_events(place.ledger)
    epochs = [(event["trial"], event["step"]) for event in events if event["event"] == "epoch"]
    assert sorted(epochs) == [(n, step) for n in range(REAL_TRIALS) for step in range(1, REAL_EPOCHS + 1)]
    assert sorted(e["trial"] for e in events if e["event"] == "ended") == list(range(REAL_TRIALS))
    first, second = read_trials(unbroken), place.trials()
    assert [trial.config for trial in second] == [trial.config for trial in first]
    assert [trial.score for trial in second] == [trial.score for trial in first]
    written = log.read_text().splitlines()
    assert len(set(written)) == len(written)


def kill_soon(place: Place, process: subprocess.Popen[str], known: int, moments: random.Random) -> bool:
    """Kill the driver a little after it has written something new; False where it ended before."""
    until = time.monotonic() + PATIENCE_S
    try:
        while process.poll() is None and time.monotonic() < until:
            found = list((place.folder / "studies").glob("little-*/trials.jsonl"))
            if found and found[0].stat().st_size > known:
                time.sleep(moments.uniform(0.0, 1.5))
                break
            time.sleep(0.02)
        if process.poll() is not None:
            return False
        process.kill()
        return True
    finally:
        process.communicate()
