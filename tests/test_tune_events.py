"""What Tune tells becomes what is true."""

from __future__ import annotations

import io
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.tune.trainable.metadata import _TrainingRunMetadata
from rich.console import Console

from rfcx_model.errors import RunError
from study import tune_events
from study.display import Display
from study.recorder import Recorder
from study.scheduler import StudyScheduler
from study.searcher import StudySearcher
from study.space import Study, load
from study.trials import Ledger, read_trials
from study.tune_events import TuneEvents

SPACE = Path(__file__).parent.parent / "search_spaces" / "mixup.toml"


@pytest.fixture(autouse=True)
def nobody_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_events, "pass_on", lambda desk, display: None)


def fail_the_baseline(study: Study, folder: Path) -> None:
    """The baseline begins and fails for good, as Tune would tell it."""
    display = Display(Console(file=io.StringIO()))
    recorder = Recorder(study, Ledger(folder / "trials.jsonl"), [], display, 5)
    with closing(recorder):
        searcher, scheduler = StudySearcher(study, [], 5), StudyScheduler(study.search, 5, [])
        desk = SimpleNamespace(drop=SimpleNamespace(remote=lambda owner: None))
        job = SimpleNamespace(study=study, folder=folder, desk=desk)
        events = TuneEvents(cast(Any, job), recorder, searcher, scheduler, cast(Any, None))
        error = folder / "error.txt"
        error.write_text("Traceback\nMemoryError: too large\n")
        kept = _TrainingRunMetadata(n_steps=cast(Any, [5, 10]))
        kept.update_metric("score", cast(Any, 0.5))
        told = SimpleNamespace(config=searcher.suggest("x"), error_file=str(error), run_metadata=kept)
        events.on_trial_start(0, [], told)
        try:
            events.on_trial_error(0, [], told)
        finally:
            assert not kept.metric_analysis, "Tune keeps all its trials"
            assert not kept.metric_n_steps


def test_a_baseline_that_fails_ends_a_study_whose_floor_is_set_against_it(tmp_path: Path) -> None:
    study = load(SPACE)
    floored = replace(study, objective=replace(study.objective, rule="floor"))
    with pytest.raises(RunError, match=r"the baseline failed \(MemoryError: too large\), .* Give \[objective\]"):
        fail_the_baseline(floored, tmp_path)
    (baseline,) = read_trials(tmp_path / "trials.jsonl")
    assert (baseline.state, baseline.reason) == ("FAILED", "MemoryError: too large")


@pytest.mark.parametrize("change", [{}, {"rule": "floor", "floor": 0.4}])
def test_where_no_floor_hangs_on_it_a_failed_baseline_costs_itself_only(tmp_path: Path, change: dict[str, Any]) -> None:
    study = load(SPACE)
    fail_the_baseline(replace(study, objective=replace(study.objective, **change)), tmp_path)
    assert [trial.state for trial in read_trials(tmp_path / "trials.jsonl")] == ["FAILED"]
