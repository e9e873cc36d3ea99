"""optuna.journal: Optuna's own view of a study equals the ledger, trial by trial, live and rebuilt."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import optuna
import pytest
from driven import Driven, space
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from study.optuna_journal import OptunaJournal
from study.space import Study
from study.trials import Trial, read_trials

STATES = {"COMPLETE": "COMPLETE", "PRUNED": "PRUNED", "FAILED": "FAIL", "RUNNING": "RUNNING", "STOPPED": "RUNNING"}


def in_the_journal(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """As optuna-dashboard reads it: by another process's eyes."""
    storage = JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))
    (found,) = optuna.get_all_study_summaries(storage)
    return list(optuna.load_study(study_name=found.study_name, storage=storage).trials)


def as_optuna_has_them(told: list[optuna.trial.FrozenTrial]) -> list[tuple[Any, ...]]:
    return [(trial.state.name, trial.values, trial.intermediate_values, trial.params) for trial in told]


def as_the_ledger_has_them(study: Study, trials: list[Trial]) -> list[tuple[Any, ...]]:
    found = []
    for trial in trials:
        scores = {epoch.step: epoch.metrics["score"] for epoch in trial.epochs}
        scores = {step: score for step, score in scores.items() if math.isfinite(score)}
        values = [trial.score] if trial.state in ("COMPLETE", "PRUNED") else None
        found.append((STATES[trial.state], values, scores, study.params_of(trial.config)))
    return found


def trial_of(study: Study) -> Trial:
    return Trial(0, "search", 0, 1, study.config(study.baseline), {}, 1, 0.0, name="0000")


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_journal_searcher_and_ledger_agree_trial_by_trial(tmp_path: Path, sampler: str) -> None:
    study, folder = space(tmp_path, sampler), tmp_path / "study"
    driven = Driven(study, folder)
    while driven.trial():
        pass
    driven.close()
    ledger = as_the_ledger_has_them(study, read_trials(folder / "trials.jsonl"))
    assert {state for state, *_ in ledger} == {"COMPLETE", "PRUNED", "FAIL"}
    assert as_optuna_has_them(in_the_journal(folder)) == ledger
    assert as_optuna_has_them(driven.searcher.trials()) == ledger
    live = in_the_journal(folder)
    Driven(study, folder).close()
    again = in_the_journal(folder)
    assert as_optuna_has_them(again) == ledger
    assert [trial.user_attrs for trial in again] == [trial.user_attrs for trial in live]
    assert [trial.user_attrs["trial"] for trial in again] == list(range(30))
    assert [trial.datetime_start.timestamp() for trial in again if trial.datetime_start] == pytest.approx(
        [trial.started for trial in read_trials(folder / "trials.jsonl")], abs=1e-3
    )


def test_who_looks_on_sees_every_epoch_of_a_running_trial(tmp_path: Path) -> None:
    study, folder = space(tmp_path, "random"), tmp_path / "study"
    driven = Driven(study, folder)
    driven.trial()
    epochs, seen = driven.recorder.epoch, []

    def look(number: int, result: dict[str, Any]) -> None:
        epochs(number, result)
        seen.append((in_the_journal(folder)[1].state.name, len(in_the_journal(folder)[1].intermediate_values)))

    driven.recorder.epoch = look  # type: ignore[method-assign,assignment]
    driven.trial()
    driven.close()
    assert seen == [("RUNNING", step) for step in range(1, len(seen) + 1)]
    assert in_the_journal(folder)[1].state.is_finished()


def test_a_lock_that_a_killed_driver_left_does_not_hold_up_the_next(tmp_path: Path) -> None:
    study, folder = space(tmp_path, "random"), tmp_path / "study"
    Driven(study, folder).close()
    lock = folder / "optuna.journal.lock"
    lock.symlink_to(folder / "optuna.journal")
    driven = Driven(study, folder)
    assert driven.trial()
    driven.close()
    assert len(in_the_journal(folder)) == 1


def test_a_journal_that_cannot_be_written_ends_alone(tmp_path: Path) -> None:
    study, folder = space(tmp_path, "random"), tmp_path / "study"
    (folder / "optuna.journal").mkdir(parents=True)
    driven = Driven(study, folder)
    while driven.trial():
        pass
    driven.close()
    assert len(read_trials(folder / "trials.jsonl")) == 30
    said = driven.recorder.display.console.file.getvalue()  # type: ignore[attr-defined]
    assert said.count("the study goes on without it") == 1


def test_a_journal_whose_folder_goes_while_it_holds_the_lock_ends_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, folder = space(tmp_path, "random"), tmp_path / "study"
    folder.mkdir()
    said: list[str] = []
    journal = OptunaJournal(folder, study, [], said.append)
    dumps = json.dumps

    def moved_before_it_is_written(*args: Any, **kwargs: Any) -> str:
        if os.path.lexists(folder / "optuna.journal.lock"):
            folder.rename(tmp_path / "moved")
        return dumps(*args, **kwargs)

    monkeypatch.setattr("optuna.storages.journal._file.json.dumps", moved_before_it_is_written)
    journal.started(trial_of(study))
    journal.started(trial_of(study))
    assert (tmp_path / "moved").is_dir()
    assert said == [f"{folder / 'optuna.journal'}: No such file or directory; the study goes on without it"]


def test_an_error_of_optunas_own_is_not_taken_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = space(tmp_path, "random")
    journal = OptunaJournal(tmp_path, study, [], print)

    def refuses(*args: Any) -> None:
        raise RuntimeError("no such study")

    monkeypatch.setattr(JournalStorage, "create_new_trial", refuses)
    with pytest.raises(RuntimeError, match="no such study"):
        journal.started(trial_of(study))


def test_a_study_of_two_directions_is_told_both_values(tmp_path: Path) -> None:
    study = space(tmp_path, "random")
    study.path.write_text(study.path.read_text() + '[objective]\nrule = "pareto"\n')
    driven = Driven(space_of(study.path), tmp_path / "study")
    while driven.trial():
        pass
    driven.close()
    complete = [trial for trial in in_the_journal(tmp_path / "study") if trial.state.name == "COMPLETE"]
    assert complete
    assert all(len(trial.values) == 2 for trial in complete)


def space_of(path: Path) -> Study:
    from study.space import load

    return load(path)
