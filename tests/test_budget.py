"""Budgets by hand: trial-epochs, and trials in a row without a gain above the noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from driven import Driven, space

from study.budget import spent
from study.space import load
from study.space_settings import Budget
from study.trials import EpochRecord, State, Trial, read_trials


def trial(
    number: int, score: float | None, state: State = "COMPLETE", epochs: int = 2, origin: Any = "search"
) -> Trial:
    records = tuple(EpochRecord(3, 1, step, step, False, {"score": 0.0}, 1.0) for step in range(1, epochs + 1))
    return Trial(number, origin, 0, 0, {}, {}, 1, 0.0, records, state, score, ended=float(number))


def test_trial_epochs_are_those_of_all_trials_but_confirmations() -> None:
    trials = [trial(0, 0.5), trial(1, 0.4, "PRUNED", 1), trial(2, None, "RUNNING", 3), trial(3, 0.5, origin="confirm")]
    assert spent(Budget(trial_epochs=7), 0.01, trials) == ""
    assert spent(Budget(trial_epochs=6), 0.01, trials) == "the budget of 6 trial-epochs is spent"


@pytest.mark.parametrize(
    ("scores", "since"),
    [
        ([0.5], 0),
        ([0.5, 0.505, 0.509], 2),  # each a little better, all within the noise of the first
        ([0.5, 0.505, 0.52], 0),
        ([0.5, 0.52, 0.525, 0.4, 0.531], 0),
        ([0.5, 0.52, 0.53, 0.4], 2),
    ],
)
def test_patience_counts_trials_since_the_last_gain_above_the_noise(scores: list[float], since: int) -> None:
    trials = [trial(number, score) for number, score in enumerate(scores)]
    assert spent(Budget(patience=since + 1), 0.01, trials) == ""
    if since:
        assert spent(Budget(patience=since), 0.01, trials).startswith(f"{since} trials in a row have not bettered 0.5")


def test_pruned_trials_are_counted_and_never_a_gain_failed_and_running_ones_are_nothing() -> None:
    states: list[State] = ["COMPLETE", "PRUNED", "FAILED", "RUNNING", "STOPPED", "PRUNED"]
    trials = [trial(number, 0.5 + 0.1 * number, state) for number, state in enumerate(states)]
    assert spent(Budget(patience=2), 0.0, trials).startswith("2 trials in a row")
    assert spent(Budget(patience=3), 0.0, trials) == ""
    assert spent(Budget(patience=1), 0.0, [trial(0, 0.1, "PRUNED")]) == ""


def test_a_study_begins_no_trial_when_its_budget_is_spent_and_goes_on_when_it_is_raised(tmp_path: Path) -> None:
    path = space(tmp_path, "random").path
    text = path.read_text()
    path.write_text(text.replace("trials = 30", "trials = 30\ntrial_epochs = 10"))
    folder = tmp_path / "study"
    driven = Driven(load(path), folder)
    while driven.trial():
        pass
    driven.close()
    first = read_trials(folder / "trials.jsonl")
    assert 10 <= sum(one.step for one in first) < 10 + 4
    path.write_text(text)
    more = Driven(load(path), folder)
    while more.trial():
        pass
    more.close()
    assert read_trials(folder / "trials.jsonl")[: len(first)] == first
    assert len(read_trials(folder / "trials.jsonl")) == 30
