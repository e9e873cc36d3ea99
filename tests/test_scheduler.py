"""Pruning by trial number, with reasons, and the same after a restart. Ray is not started but in the one slow test."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule, TrialScheduler

from study.scheduler import StudyScheduler
from study.space_settings import Search
from study.trials import EpochRecord, State, Trial

STOP = TrialScheduler.STOP


def say(scheduler: StudyScheduler, number: int, step: int, score: float, **more: Any) -> str:
    result = {"trial": number, "step": step, "score": score, **more}
    return scheduler.on_trial_result(None, None, result)  # type: ignore[arg-type]


def past(number: int, scores: list[float], state: State = "COMPLETE", start: float = 0.0) -> Trial:
    epochs = tuple(EpochRecord(3, 1, n, n, False, {"score": s}, start + n) for n, s in enumerate(scores, 1))
    return Trial(number, "search", 0, 0, {}, {}, 1, start, epochs, state, scores[-1], "step 1: was worse")


def test_rungs_fit_a_short_stage() -> None:
    assert Search(grace=1, factor=2).rungs(5) == [1, 2, 4]
    assert Search(grace=2, factor=3).rungs(20) == [2, 6, 18]
    assert Search(grace=4, factor=2).rungs(4) == []


def test_a_trial_that_falls_behind_is_stopped_with_its_reason() -> None:
    scheduler = StudyScheduler(Search(grace=2, factor=2), 5)
    for number, score in ((1, 0.5), (2, 0.6), (3, 0.7)):
        assert say(scheduler, number, 2, score) != STOP
    assert say(scheduler, 4, 1, 0.0) != STOP
    assert say(scheduler, 4, 2, 0.55) == STOP
    assert scheduler.pruned == {4: "step 2: score 0.55 is below the 0.6 that the best 1/2 of 3 reached"}


def test_the_last_epoch_is_the_end_and_no_pruning() -> None:
    for planned in (4, 5):
        scheduler = StudyScheduler(Search(grace=1, factor=2), planned)
        for step in range(1, planned + 1):
            say(scheduler, 1, step, 0.9)
        for step in range(1, planned):
            say(scheduler, 2, step, 0.95)
        assert say(scheduler, 2, planned, 0.0) != STOP
        assert scheduler.pruned == {}


def test_the_last_epoch_of_a_shorter_trial_is_its_end_too() -> None:
    scheduler = StudyScheduler(Search(grace=1, factor=2), 8)
    for step in (1, 2):
        say(scheduler, 1, step, 0.9)
    say(scheduler, 2, 1, 0.95)
    assert say(scheduler, 2, 2, 0.1, planned=2) != STOP


def test_the_baseline_is_never_pruned_but_counts() -> None:
    for kind in ("asha", "median"):
        scheduler = StudyScheduler(Search(grace=1, factor=2, scheduler=kind), 8)
        for number in (1, 2, 3, 4):
            for step in (1, 2, 3):
                say(scheduler, number, step, 0.9)
        assert all(say(scheduler, 0, step, 0.1) != STOP for step in range(1, 9))
        assert scheduler.pruned == {}
    scheduler = StudyScheduler(Search(grace=1, factor=2), 8)
    say(scheduler, 0, 1, 0.5)
    assert say(scheduler, 1, 1, 0.4) == STOP


def test_a_result_told_twice_or_without_a_finite_score_changes_nothing() -> None:
    scheduler = StudyScheduler(Search(grace=1, factor=2), 5)
    say(scheduler, 1, 1, 0.5)
    assert say(scheduler, 1, 1, 0.0) != STOP
    assert say(scheduler, 2, 1, float("nan")) != STOP
    assert scheduler.on_trial_result(None, None, {"done": True}) != STOP  # type: ignore[arg-type]
    assert say(scheduler, 3, 1, 0.49) == STOP
    assert "of 1 reached" in scheduler.pruned[3]


def test_epochs_of_the_ledger_count_once_and_pruned_trials_keep_their_reason() -> None:
    ledger = [past(1, [0.5, 0.6, 0.7, 0.8, 0.9]), past(2, [0.1], "PRUNED", 10.0), past(3, [0.6], "RUNNING", 20.0)]
    scheduler = StudyScheduler(Search(grace=1, factor=2), 5, ledger)
    assert scheduler.pruned == {2: "step 1: was worse"}
    assert scheduler.overdue == {}
    assert say(scheduler, 3, 1, 0.0) != STOP
    assert say(scheduler, 3, 2, 0.55) == STOP
    assert "below the 0.6 that the best 1/2 of 1 reached" in scheduler.pruned[3]


def test_a_pruning_that_a_crash_kept_from_the_ledger_is_overdue() -> None:
    ledger = [past(1, [0.5, 0.6]), past(2, [0.1], "RUNNING", 10.0)]
    scheduler = StudyScheduler(Search(grace=1, factor=2), 5, ledger)
    assert scheduler.overdue == {2: "step 1: score 0.1 is below the 0.5 that the best 1/2 of 1 reached"}


def test_the_median_rule_stops_below_the_median_of_the_others_and_never_pauses() -> None:
    scheduler = StudyScheduler(Search(grace=2, scheduler="median"), 10)
    for number, score in ((1, 0.5), (2, 0.6), (3, 0.7)):
        for step in (1, 2, 3):
            assert say(scheduler, number, step, score) == TrialScheduler.CONTINUE
    assert say(scheduler, 4, 1, 0.1) == TrialScheduler.CONTINUE
    assert say(scheduler, 4, 2, 0.2) == STOP
    assert scheduler.pruned[4] == "step 2: best score 0.2 is below 0.6, the median of 3 others' means so far"


def test_epochs_told_again_after_a_restart_do_not_move_the_median() -> None:
    ledger = [past(number, [0.5, 0.5 + number / 10]) for number in (1, 2, 3)]
    scheduler = StudyScheduler(Search(grace=2, scheduler="median"), 10, ledger)
    for number in (1, 2, 3):
        say(scheduler, number, 2, 0.0)
    assert say(scheduler, 4, 2, 0.6) == STOP


def test_without_a_scheduler_nothing_is_stopped() -> None:
    scheduler = StudyScheduler(Search(scheduler="none"), 5)
    assert all(say(scheduler, number, 1, -number) != STOP for number in range(9))


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=9), min_size=1, max_size=12),
    st.integers(1, 3),
    st.integers(2, 4),
)
def test_decisions_are_those_of_rays_asha_and_survive_a_restart(
    curves: list[list[float]], grace: int, factor: int
) -> None:
    search = Search(grace=grace, factor=factor)
    whole, part = StudyScheduler(search, 9, spared=()), StudyScheduler(search, 9, spared=())
    own = ASHAScheduler(
        time_attr="step", metric="score", mode="max", max_t=9, grace_period=grace, reduction_factor=factor
    )
    ledger: list[Trial] = []
    for number, curve in enumerate(curves):
        theirs = RayTrial("x", stub=True)
        own.on_trial_add(None, theirs)  # type: ignore[arg-type]
        told = []
        for step, score in enumerate(curve, 1):
            decision = say(whole, number, step, score)
            assert say(part, number, step, score) == decision
            if step < 9:
                assert own.on_trial_result(None, theirs, {"step": step, "score": score}) == decision  # type: ignore[arg-type]
            told.append(score)
            if decision == STOP:
                break
        state: State = "PRUNED" if number in whole.pruned else "COMPLETE"
        trial = past(number, told, state, 100.0 * number)
        ledger.append(Trial(**{**vars(trial), "reason": whole.pruned.get(number, "")}))
        part = StudyScheduler(search, 9, ledger, spared=())
        assert part.pruned == whole.pruned
    assert all(re.match(r"step \d+: score .* of \d+ reached", reason) for reason in whole.pruned.values())


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=6), min_size=1, max_size=14), st.integers(1, 3))
def test_decisions_are_those_of_rays_median_rule_and_survive_a_restart(curves: list[list[float]], grace: int) -> None:
    search = Search(grace=grace, scheduler="median")
    whole, part = StudyScheduler(search, 7, spared=()), StudyScheduler(search, 7, spared=())
    never: Any = math.inf
    own = MedianStoppingRule("step", "score", "max", grace_period=grace, min_time_slice=never)
    ledger: list[Trial] = []
    for number, curve in enumerate(curves):
        theirs = RayTrial("x", stub=True)
        for step, score in enumerate(curve, 1):
            decision = say(whole, number, step, score)
            assert say(part, number, step, score) == decision
            assert own.on_trial_result(None, theirs, {"step": step, "score": score}) == decision  # type: ignore[arg-type]
            if decision == STOP:
                break
        state: State = "PRUNED" if number in whole.pruned else "COMPLETE"
        trial = past(number, curve[:step], state, 100.0 * number)
        ledger.append(Trial(**{**vars(trial), "reason": whole.pruned.get(number, "")}))
        part = StudyScheduler(search, 7, ledger, spared=())
        assert part.pruned == whole.pruned
    assert all("median" in reason for reason in whole.pruned.values())


def test_only_the_last_epochs_of_running_trials_are_judged_again_at_a_start() -> None:
    for kind in ("asha", "median"):
        ledger = [past(number, [0.5, 0.5 + number / 10, 0.9]) for number in range(1, 9)]
        ledger += [past(9, [0.5, 0.1], "RUNNING", 50.0), past(10, [0.5, 0.6], "RUNNING", 60.0)]
        with patch.object(StudyScheduler, "judge", autospec=True, side_effect=StudyScheduler.judge) as judged:
            scheduler = StudyScheduler(Search(grace=1, factor=2, scheduler=kind), 5, ledger)
        assert [call.args[1:3] for call in judged.call_args_list] == [(9, 2), (10, 2)]
        assert list(scheduler.overdue) == [9, 10] if kind == "asha" else [9]


JOURNEY = """
import sys
from pathlib import Path
import ray
from ray import tune
from study.scheduler import StudyScheduler
from study.searcher import StudySearcher
from study.space import load

LOG = []


class Searcher(StudySearcher):
    def on_trial_result(self, trial_id, result):
        LOG.append(("searcher result", result["trial"], result["step"]))
        super().on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id, result=None, error=False):
        LOG.append(("searcher end", self._numbers[trial_id], bool(error)))
        super().on_trial_complete(trial_id, result, error)


class Scheduler(StudyScheduler):
    def on_trial_result(self, controller, trial, result):
        decision = super().on_trial_result(controller, trial, result)
        LOG.append(("scheduler result", result["trial"], result["step"]))
        return decision

    def on_trial_complete(self, controller, trial, result):
        LOG.append(("scheduler end", trial.config["trial"], False))

    def on_trial_error(self, controller, trial):
        LOG.append(("scheduler end", trial.config["trial"], True))


class Callback(tune.Callback):
    def on_trial_result(self, iteration, trials, trial, result, **info):
        LOG.append(("callback result", result["trial"], result["step"]))

    def on_trial_complete(self, iteration, trials, trial, **info):
        number = trial.config["trial"]
        LOG.append(("callback end", number, False))
        searcher.tell(number, "PRUNED" if number in scheduler.pruned else "COMPLETE", trial.last_result["score"])

    def on_trial_error(self, iteration, trials, trial, **info):
        LOG.append(("callback end", trial.config["trial"], True))
        searcher.tell(trial.config["trial"], "FAILED", None)


def train(config):
    number = config["trial"]
    for step in range(1, 5):
        if (number, step) == (2, 3):
            raise ValueError("made to fail")
        score = step * (0.1 if number == 1 else 0.2)
        tune.report({"trial": number, "step": step, "score": score, "metrics": {"a": 1.0}})


study = load(Path(sys.argv[1]))
searcher, scheduler = Searcher(study, [], 4), Scheduler(study.search, 4)
ray.init(address="local", _node_ip_address="127.0.0.1", num_cpus=1, include_dashboard=False, log_to_driver=False)
for _ in range(2):  # the second time nothing is left to do
    tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=searcher, scheduler=scheduler, num_samples=-1, max_concurrent_trials=1, reuse_actors=True
        ),
        run_config=tune.RunConfig(name="run", storage_path=sys.argv[2], verbose=0, callbacks=[Callback()]),
    ).fit()
ray.shutdown()
print([trial.state.name for trial in searcher.trials()])
print([sorted(trial.intermediate_values) for trial in searcher.trials()])
print(sorted(scheduler.pruned))
for number in (0, 1, 2):
    told = [(what, last) for what, trial, last in LOG if trial == number]
    print(number, [what for what, last in told if "end" in what or number == 1 or last == 4])
print(sorted(path.name for path in Path(sys.argv[2]).rglob("searcher-state*")))
"""


@pytest.mark.slow
def test_ray_tells_scheduler_searcher_and_callbacks_in_the_order_that_the_study_relies_on(tmp_path: Path) -> None:
    space = tmp_path / "space.toml"
    space.write_text(
        '[scientific]\n"stage3.mixup_site" = { choices = ["none", "input"] }\n[fixed]\n"stage3.epochs" = 4\n'
        "[search]\ngrace = 2\nfactor = 2\n"
    )
    script = tmp_path / "journey.py"
    script.write_text(JOURNEY)
    quiet = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
    told = subprocess.run(
        [sys.executable, str(script), str(space), str(tmp_path / "ray")],
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-3000:]
    result = ["scheduler result", "searcher result", "callback result"]
    end = ["scheduler end", "searcher end", "callback end"]
    assert told.stdout.splitlines()[-7:] == [
        "['COMPLETE', 'PRUNED', 'FAIL', 'COMPLETE']",
        "[[1, 2, 3, 4], [1, 2], [1, 2], [1, 2, 3, 4]]",
        "[1]",
        f"0 {[*result, *end]}",
        f"1 {[*result, 'scheduler result', 'callback result', *end]}",
        f"2 {end}",
        "[]",
    ]
