"""The recorder: ledger first, then TensorBoard, each epoch once, whatever came before."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from study.display import Display
from study.events import read_events
from study.recorder import Recorder, Start
from study.space import Study, load
from study.trials import Ledger, read_trials

SPACES = Path(__file__).parent.parent / "search_spaces"
PARAMS = {"stage3.mixup_site": "none", "stage3.pseudo_threshold": 0.5, "stage3.focal_gamma": 1.0}


@pytest.fixture
def study() -> Study:
    return load(SPACES / "mixup.toml")


def recorder(study: Study, folder: Path, said: io.StringIO | None = None) -> Recorder:
    display = Display(Console(file=said or io.StringIO(), width=200))
    ledger = Ledger(folder / "trials.jsonl")
    return Recorder(study, ledger, read_trials(ledger.path), display, planned=2)


def start(study: Study, number: int = 0, attempt: int = 1, scheme: str = "own") -> Start:
    return Start(
        number=number,
        name=f"{number:04d}-site=none",
        origin="search",
        attempt=attempt,
        replicate=0,
        seed=7,
        config=study.config({**PARAMS, "stage3.teacher_scheme": scheme}),
        proposal={"params": PARAMS},
    )


def result(step: int, score: float = 0.5) -> dict[str, Any]:
    metrics = {"lwlrap": score, "precision": score, "train_loss": 1.0 / step}
    return {"stage": 3, "cycle": 1, "epoch": step, "step": step, "reused": False, "metrics": metrics, "score": score}


def steps_on_board(folder: Path, tag: str = "cv/lwlrap") -> list[int]:
    """Steps of a scalar in all event files of a trial, oldest file first."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            found += [event.step for value in event.summary.value if value.tag == tag]
    return found


def test_a_trial_is_in_the_ledger_on_the_board_and_on_the_display(study: Study, tmp_path: Path) -> None:
    said = io.StringIO()
    told = recorder(study, tmp_path, said)
    told.started(start(study))
    told.epoch(0, result(1, 0.25))
    told.epoch(0, result(2, 0.75))
    told.ended(0, "COMPLETE")
    told.close()
    assert [event["event"] for event in read_events(tmp_path / "trials.jsonl")] == [
        "started",
        "epoch",
        "epoch",
        "ended",
    ]
    (trial,) = read_trials(tmp_path / "trials.jsonl")
    assert trial == told.trials[0]
    assert (trial.state, trial.score, trial.metrics["score"], trial.scores) == ("COMPLETE", 0.75, 0.75, None)
    assert steps_on_board(tmp_path / "trials" / "0000-site=none") == [1, 2]
    assert "trial 0000-site=none: COMPLETE 0.7500" in said.getvalue()


def test_what_the_recorder_knows_is_what_the_ledger_says(study: Study, tmp_path: Path) -> None:
    told = recorder(study, tmp_path)
    told.started(start(study, 0))
    told.started(start(study, 1))
    told.epoch(1, result(1, 0.5))
    told.ended(1, "PRUNED", "too low")
    told.started(start(study, 0, attempt=2))
    told.close()
    assert read_trials(tmp_path / "trials.jsonl") == [told.trials[0], told.trials[1]]
    assert told.trials[0].attempt == 2
    assert told.best() is None


def test_an_epoch_that_the_ledger_has_is_not_written_again(study: Study, tmp_path: Path) -> None:
    first = recorder(study, tmp_path)
    first.started(start(study))
    first.epoch(0, result(1))
    first.close()
    before = (tmp_path / "trials.jsonl").read_bytes()
    second = recorder(study, tmp_path)
    second.started(start(study, attempt=2))
    after_start = (tmp_path / "trials.jsonl").read_bytes()
    assert after_start.startswith(before)
    second.epoch(0, result(1))
    assert (tmp_path / "trials.jsonl").read_bytes() == after_start
    second.epoch(0, result(2))
    second.epoch(0, result(2))
    second.close()
    assert [epoch.step for epoch in read_trials(tmp_path / "trials.jsonl")[0].epochs] == [1, 2]
    assert steps_on_board(tmp_path / "trials" / "0000-site=none") == [1, 2]


def test_an_epoch_that_the_ledger_has_and_the_board_lacks_reaches_the_board(study: Study, tmp_path: Path) -> None:
    first = recorder(study, tmp_path)
    first.started(start(study))
    first.epoch(0, result(1))
    first.epoch(0, result(2))
    first.close()
    for path in (tmp_path / "trials" / "0000-site=none").iterdir():
        path.unlink()
    second = recorder(study, tmp_path)
    second.ended(0, "COMPLETE")
    second.close()
    assert steps_on_board(tmp_path / "trials" / "0000-site=none") == [1, 2]


def test_the_ledger_has_an_epoch_before_the_board_has(study: Study, tmp_path: Path) -> None:
    told = recorder(study, tmp_path)
    told.started(start(study))
    board = told._boards[0]
    board.close()  # a disk that is full for the board only
    with pytest.raises(ValueError, match="closed file"):
        told.epoch(0, result(1))
    assert [epoch.step for epoch in read_trials(tmp_path / "trials.jsonl")[0].epochs] == [1]
    assert told.trials[0].step == 1
    told.close()


def test_nothing_reaches_the_board_when_the_ledger_cannot_be_written(study: Study, tmp_path: Path) -> None:
    told = recorder(study, tmp_path)
    told.started(start(study))
    with pytest.raises(TypeError):
        told.epoch(0, {**result(1), "cycle": object()})
    assert told.trials[0].step == 0
    assert steps_on_board(tmp_path / "trials" / "0000-site=none") == []
    told.epoch(0, result(1))
    told.close()
    assert steps_on_board(tmp_path / "trials" / "0000-site=none") == [1]


def test_what_is_over_stays_as_it_ended(study: Study, tmp_path: Path) -> None:
    told = recorder(study, tmp_path)
    told.started(start(study))
    told.epoch(0, result(1))
    told.ended(0, "PRUNED", "too low")
    told.ended(0, "STOPPED", "the budget was spent")
    assert [event["event"] for event in read_events(tmp_path / "trials.jsonl")].count("ended") == 1
    assert (told.trials[0].state, told.trials[0].reason) == ("PRUNED", "too low")
    told.started(start(study, attempt=2))
    told.ended(0, "COMPLETE")
    told.close()
    assert read_trials(tmp_path / "trials.jsonl")[0].state == "COMPLETE"


def test_a_trial_that_runs_at_the_close_stays_running(study: Study, tmp_path: Path) -> None:
    told = recorder(study, tmp_path)
    told.started(start(study))
    told.close()
    assert read_trials(tmp_path / "trials.jsonl")[0].state == "RUNNING"


def test_a_trial_that_fails_before_its_first_epoch_has_no_score(study: Study, tmp_path: Path) -> None:
    said = io.StringIO()
    told = recorder(study, tmp_path, said)
    told.started(start(study))
    told.ended(0, "FAILED", "MemoryError: [red]out of memory[/red]")
    told.close()
    (trial,) = read_trials(tmp_path / "trials.jsonl")
    assert (trial.state, trial.score) == ("FAILED", None)
    assert "FAILED (MemoryError: [red]out of memory[/red])" in said.getvalue()


def test_out_of_fold_scores_are_named_where_the_trial_saved_them(study: Study, tmp_path: Path) -> None:
    told = recorder(study, tmp_path)
    told.started(start(study))
    (tmp_path / "trials" / "0000-site=none" / "scores.npz").write_bytes(b"")
    told.ended(0, "COMPLETE")
    told.close()
    assert read_trials(tmp_path / "trials.jsonl")[0].scores == "trials/0000-site=none/scores.npz"


def test_the_best_is_complete_and_has_the_highest_score(study: Study, tmp_path: Path) -> None:
    told = recorder(study, tmp_path)
    for number, (score, state) in enumerate([(0.4, "COMPLETE"), (0.6, "COMPLETE"), (0.9, "PRUNED")]):
        told.started(start(study, number))
        told.epoch(number, result(1, score))
        told.ended(number, state)  # type: ignore[arg-type]
    best = told.best()
    assert best is not None
    assert best.number == 1
    told.close()


def test_a_leaky_trial_is_never_the_best_and_has_no_final_score(study: Study, tmp_path: Path) -> None:
    told = recorder(study, tmp_path)
    for number, (score, scheme) in enumerate([(0.9, "diary"), (0.4, "own"), (0.5, "nested")]):
        told.started(start(study, number, scheme=scheme))
        told.epoch(number, result(1, score))
        told.ended(number, "COMPLETE")
    best = told.best()
    assert best is not None
    assert best.number == 2
    finals = [steps_on_board(tmp_path / "trials" / trial.name, "objective/final") for trial in told.trials.values()]
    assert finals == [[], [1], [1]]
    told.close()
