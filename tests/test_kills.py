"""Drivers killed at any moment: nothing written is lost, nothing is doubled, and the search goes the same way."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from driven import TRIALS, Driven, space

from study.trials import read_events, read_trials

KILLS = 10


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
