"""The soak in short: faults in trials and ends of the driver cost no epoch, and nothing is left behind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import soak
from place import a_place


@pytest.mark.slow
def test_faults_sprinkled_over_a_study_cost_their_own_trials_alone(tmp_path: Path) -> None:
    with a_place(tmp_path) as place:
        soaked = soak.soak(place, 26, (signal.SIGKILL, signal.SIGINT), every=4)
    told = soak.table(soaked)
    assert [trial.number for trial in soaked.trials] == list(range(26)), told
    assert soaked.states["RUNNING"] == soaked.states["STOPPED"] == 0, told
    assert soaked.unexplained() == [], told
    struck = {"raises": 2, "no score": 2, "no memory": 1, "killed": 1}  # more where the driver ended in between
    assert all(soaked.faults[f"trial: {name}"] >= times for name, times in struck.items()), told
    assert (soaked.lost, soaked.doubled, soaked.trained_twice) == (0, 0, 0), told
    assert (soaked.processes, soaked.folders) == ([], []), told
    assert soaked.late.handles <= soaked.early.handles + 5, told
    assert soaked.late.driver_mb <= soaked.early.driver_mb + 30.0, told
