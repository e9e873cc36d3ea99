"""The searcher without Ray: what is handed out, what Optuna is told, and what a restart changes (nothing)."""

from __future__ import annotations

import copy
import json
import math
import pickle
from pathlib import Path
from typing import Any

import optuna
import pytest
from ray.tune.search import Searcher

from study import sampler as sampler_module
from study.events import EndState
from study.searcher import StudySearcher
from study.space import Study, load
from study.trials import EpochRecord, Trial, fold

SPACE = """
[scientific]
"stage3.mixup_site" = { choices = ["none", "input", "stage4"] }
[nuisance]
"stage3.mixup_alpha" = { low = 0.05, high = 2.0, log = true, when = { "stage3.mixup_site" = ["input", "stage4"] } }
"stage3.focal_gamma" = { low = 0.0, high = 4.0 }
"stage3.epochs" = { low = 3, high = 5 }
[search]
sampler = "tpe"
seed = 7
"""
GRID = """
[scientific]
"stage3.mixup_site" = { choices = ["none", "input", "stage4"] }
"stage3.positive_weight_decay" = { choices = [false, true] }
[search]
sampler = "grid"
scheduler = "none"
replicates = 2
"""
Event = dict[str, Any]


def space(folder: Path, text: str = SPACE, sampler: str = "tpe") -> Study:
    path = folder / "space.toml"
    path.write_text(text.replace('"tpe"', f'"{sampler}"'))
    return load(path)


def quality(params: dict[str, Any]) -> float:
    site = {"none": 0.0, "input": 0.1, "stage4": 0.2}[params["stage3.mixup_site"]]
    gamma, alpha = float(params.get("stage3.focal_gamma", 0)), float(params.get("stage3.mixup_alpha", 1))
    return 0.5 + site - 0.05 * abs(gamma - 1.5) - 0.01 * alpha


class Driver:
    """A study driven one trial at a time, with the ledger's events as the driver would write them."""

    def __init__(self, study: Study, events: list[Event] | None = None, limit: int = 100) -> None:
        self.study, self.events = study, json.loads(json.dumps(events or []))
        self.searcher = StudySearcher(study, fold(self.events), limit)

    def ask(self) -> dict[str, Any]:
        config = self.searcher.suggest(f"ray{len(self.events)}")
        assert isinstance(config, dict)
        number = config["trial"]
        self.event("started", number, origin=self.searcher.origin(number), attempt=config["attempt"],
                   replicate=config["replicate"], seed=0, config=self.study.config(config["params"]),
                   proposal=self.searcher.proposal(number))  # fmt: skip
        return config

    def event(self, event: str, trial: int, **facts: Any) -> None:
        self.events.append(
            json.loads(json.dumps({"v": 1, "event": event, "trial": trial, "time": 1.0 * len(self.events), **facts}))
        )

    def finish(self, config: dict[str, Any]) -> None:
        number = config["trial"]
        state: EndState = "PRUNED" if number % 4 == 3 else "FAILED" if number % 7 == 5 else "COMPLETE"
        score = 0.0
        for step in range(1, 3 if state == "PRUNED" else 4):
            score = quality(config["params"]) * step / 3
            metrics = {"score": score, "lwlrap": score, "tpfp_auc": 1 - score}
            self.event("epoch", number, stage=3, cycle=1, epoch=step, step=step, reused=False, metrics=metrics)
            self.searcher._report(number, {"step": step, "score": score})
        self.event("ended", number, state=state, score=score)
        assert self.searcher.tell(number, state, score, metrics) == state

    def run(self, count: int) -> list[dict[str, Any]]:
        configs = []
        for _ in range(count):
            configs.append(self.ask())
            self.finish(configs[-1])
        return configs


@pytest.mark.parametrize(("sampler", "count"), [("tpe", 30), ("gp", 20), ("qmc", 20), ("random", 20), ("nsga2", 60)])
def test_a_rebuilt_searcher_proposes_what_the_unbroken_one_would(tmp_path: Path, sampler: str, count: int) -> None:
    study = space(tmp_path, sampler=sampler)
    unbroken = Driver(study)
    whole = unbroken.run(count)
    for cut in (5, count // 2, count - 2):
        first = Driver(study)
        first.run(cut)
        second = Driver(study, first.events)
        assert second.run(count - cut) == whole[cut:]
    assert len({json.dumps(config["params"]) for config in whole}) > count / 2


def abreast(driver: Driver, open_: list[dict[str, Any]], count: int, slots: int = 7) -> list[dict[str, Any]]:
    """Hand out `count` trials more; others, in a disorder that no restart changes, end whenever all slots are taken."""
    handed_out = []
    for _ in range(count):
        if len(open_) == slots:
            driver.finish(open_.pop(max(config["trial"] for config in open_) * 5 % slots))
        handed_out.append(driver.ask())
        open_.append(handed_out[-1])
    return handed_out


@pytest.mark.parametrize(
    ("sampler", "count", "cuts"),
    [("tpe", 30, [20]), ("gp", 18, [14]), ("qmc", 20, [9]), ("random", 20, [9]), ("nsga2", 60, [25, 33, 41, 49])],
)
def test_that_is_so_too_where_trials_run_at_once_and_samplers_do_not_see_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str, count: int, cuts: list[int]
) -> None:
    for bound, value in (("RANDOM_FIRST", 4), ("_TPE_SEES", 8), ("_GP_SEES", 6), ("POPULATION", 5)):
        monkeypatch.setattr(sampler_module, bound, value)
    study = space(tmp_path, sampler=sampler)
    whole = abreast(Driver(study), [], count)
    for cut in cuts:
        first, open_ = Driver(study), list[dict[str, Any]]()
        abreast(first, open_, cut)
        second = Driver(study, first.events)
        resumed = {config["trial"]: config for config in (second.ask() for _ in open_)}
        assert [resumed[config["trial"]]["params"] for config in open_] == [config["params"] for config in open_]
        assert abreast(second, [resumed[config["trial"]] for config in open_], count - cut) == whole[cut:]


def test_optuna_sees_the_same_study_after_a_restart(tmp_path: Path) -> None:
    driver = Driver(space(tmp_path))
    driver.run(16)
    again = Driver(driver.study, driver.events)

    def facts(trials: list[optuna.trial.FrozenTrial]) -> list[tuple[Any, ...]]:
        return [(t.number, t.state, t.values, t.params, t.distributions, t.intermediate_values) for t in trials]

    assert facts(again.searcher.trials()) == facts(driver.searcher.trials())


def test_optuna_is_told_the_true_states_and_the_intermediate_values(tmp_path: Path) -> None:
    driver = Driver(space(tmp_path))
    driver.run(6)
    told = driver.searcher.trials()
    states = [trial.state.name for trial in told]
    assert states == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "COMPLETE", "FAIL"]
    assert sorted(told[3].intermediate_values) == [1, 2]
    assert told[3].value == told[3].intermediate_values[2]


def test_the_last_epoch_reaches_optuna_by_the_completion_alone(tmp_path: Path) -> None:
    searcher = StudySearcher(space(tmp_path), [], 5)
    searcher.suggest("a")
    searcher.on_trial_result("a", {"trial": 0, "step": 1, "score": 0.25})
    searcher.on_trial_complete("a", {"trial": 0, "step": 2, "score": 0.5})
    searcher.tell(0, "PRUNED", 0.5)
    assert searcher.trials()[0].intermediate_values == {1: 0.25, 2: 0.5}


@pytest.mark.parametrize("score", [math.nan, math.inf, None])
def test_a_complete_trial_without_a_finite_score_has_failed(tmp_path: Path, score: float | None) -> None:
    searcher = StudySearcher(space(tmp_path), [], 5)
    searcher.suggest("a")
    assert searcher.tell(0, "COMPLETE", score) == "FAILED"
    assert searcher.trials()[0].state.name == "FAIL"


def test_the_baseline_comes_first_then_the_points_to_try(tmp_path: Path) -> None:
    text = SPACE + '[[try]]\n"stage3.mixup_site" = "stage4"\n[[try]]\n"stage3.mixup_site" = "none"\n'
    driver = Driver(space(tmp_path, text))
    configs = [driver.ask() for _ in range(4)]
    assert configs[0]["params"] == driver.study.baseline
    assert [c["params"]["stage3.mixup_site"] for c in configs[:3]] == ["input", "stage4", "none"]
    assert "stage3.mixup_alpha" not in configs[2]["params"]
    assert [driver.searcher.origin(n) for n in range(3)] == ["baseline", "search", "search"]


def test_unfinished_trials_come_first_with_their_number_and_one_more_attempt(tmp_path: Path) -> None:
    driver = Driver(space(tmp_path))
    driver.run(2)
    left = [driver.ask(), driver.ask()]
    again = Driver(driver.study, driver.events)
    resumed = [again.ask(), again.ask()]
    assert resumed == [{**config, "attempt": 2} for config in left]
    assert again.ask()["trial"] == 4
    again.finish(resumed[0])


def test_the_limit_counts_past_trials_but_no_confirmation(tmp_path: Path) -> None:
    study = space(tmp_path)
    driver = Driver(study)
    driver.run(2)
    confirm = Trial(2, "confirm", 1, 0, study.config(study.baseline), {}, 1, 0.0, state="COMPLETE", score=0.5)
    searcher = StudySearcher(study, [*fold(driver.events), confirm], 4)
    asked: list[Any] = [searcher.suggest(str(n)) for n in range(3)]
    assert [config["trial"] for config in asked[:2]] == [3, 4]
    assert asked[2] == Searcher.FINISHED
    assert len(searcher.trials()) == 4


def test_a_number_that_was_never_started_is_not_lost(tmp_path: Path) -> None:
    driver = Driver(space(tmp_path))
    whole = driver.run(4)
    events = [event for event in driver.events if event["trial"] != 2]
    again = Driver(driver.study, events)
    assert again.ask()["trial"] == 2
    assert again.ask()["trial"] == len(whole)


@pytest.mark.parametrize("lost", [0, 2])
def test_what_was_never_started_is_proposed_again_and_nothing_twice(tmp_path: Path, lost: int) -> None:
    driver = Driver(space(tmp_path, GRID))
    whole = driver.run(4)
    again = Driver(driver.study, [event for event in driver.events if event["trial"] != lost])
    first = again.ask()
    assert (first["trial"], first["params"]) == (lost, whole[lost]["params"])
    assert again.searcher.origin(lost) == ("baseline" if lost == 0 else "search")
    cells = [*(one["params"] for one in whole), *(again.ask()["params"] for _ in range(2))]
    assert len({str(cell) for cell in cells}) == 6


def test_confirmations_in_between_move_no_point_of_a_grid(tmp_path: Path) -> None:
    driver = Driver(space(tmp_path, GRID))
    whole = driver.run(3)
    study = driver.study
    confirm = Trial(3, "confirm", 9, 0, study.config(study.baseline), {}, 1, 0.0, state="COMPLETE", score=0.5)
    searcher = StudySearcher(study, [*fold(driver.events), confirm], 12)
    asked: Any = searcher.suggest("next")
    assert asked["trial"] == 4
    assert asked["params"] == study.points()[3][1]
    assert asked["params"] not in [one["params"] for one in whole]


def test_a_grid_is_every_combination_a_replicate_at_a_time_with_the_baseline_first(tmp_path: Path) -> None:
    driver = Driver(space(tmp_path, GRID))
    assert driver.study.budget.trials == 12
    configs = [driver.ask() for _ in range(12)]
    assert driver.searcher.suggest("more") == Searcher.FINISHED
    arms = [tuple(config["params"].values()) for config in configs]
    assert len(set(arms[:6])) == 6
    assert arms[:6] == arms[6:]
    assert [config["replicate"] for config in configs] == [0] * 6 + [1] * 6
    assert configs[0]["params"] == driver.study.baseline


def test_a_pareto_study_is_told_both_values(tmp_path: Path) -> None:
    driver = Driver(space(tmp_path, SPACE + '[objective]\nrule = "pareto"\n'))
    driver.run(14)
    told = driver.searcher.trials()
    assert told[0].values == pytest.approx(
        [quality(dict(driver.study.baseline)), 1 - quality(dict(driver.study.baseline))]
    )
    assert told[3].state.name == "PRUNED"
    assert Driver(driver.study, driver.events).run(2) == driver.run(2)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "qmc", "random", "nsga2"])
def test_the_searcher_can_be_pickled_since_tune_does(tmp_path: Path, sampler: str) -> None:
    driver = Driver(space(tmp_path, sampler=sampler))
    driver.run(12)
    assert pickle.dumps(driver.searcher)
    assert copy.deepcopy(driver.searcher).suggest("x") == driver.searcher.suggest("x")


def test_saving_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "ray"
    folder.mkdir()
    StudySearcher(space(tmp_path), [], 5).save_to_dir(str(folder), "now")
    assert list(folder.iterdir()) == []


def test_a_stopped_trial_is_taken_up_again(tmp_path: Path) -> None:
    study = space(tmp_path)
    epoch = EpochRecord(3, 1, 1, 1, False, {"score": 0.4}, 1.0)
    stopped = Trial(0, "baseline", 0, 0, study.config(study.baseline), {}, 1, 0.0, (epoch,), "STOPPED")
    searcher = StudySearcher(study, [stopped], 5)
    config: Any = searcher.suggest("a")
    assert (config["trial"], config["attempt"]) == (0, 2)


# Trials that need a stage 1 which another is training just now

EARLY = """
[scientific]
"stage1.crop" = { choices = ["event", "random"] }
"stage3.mixup_site" = { choices = ["none", "input", "stage4"] }
[search]
sampler = "random"
seed = 2
"""


def crop(config: dict[str, Any] | str | None) -> str:
    assert isinstance(config, dict)
    return str(config["params"]["stage1.crop"])


def test_a_proposal_whose_stage_1_is_in_work_is_held_back_while_there_are_others(tmp_path: Path) -> None:
    searcher = StudySearcher(space(tmp_path, EARLY), [], 8)
    first, second = searcher.suggest("a"), searcher.suggest("b")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert {crop(first), crop(second)} == {"event", "random"}
    asked = len(searcher.trials())
    assert asked > 2 or second["trial"] == 1
    searcher.on_trial_result("a", {"stage": 1, "epoch": 49, "step": 49, "score": 0.5})
    assert searcher._early.in_work(first["params"])
    searcher.on_trial_result("a", {"stage": 1, "epoch": 50, "step": 50, "score": 0.5})  # its last epoch of stage 1
    third = searcher.suggest("c")
    assert crop(third) == crop(first)


def test_held_proposals_are_handed_out_in_the_end_each_once(tmp_path: Path) -> None:
    searcher = StudySearcher(space(tmp_path, EARLY), [], 8)
    numbers = []
    for index in range(8):
        config = searcher.suggest(f"ray{index}")
        assert isinstance(config, dict)
        numbers.append(config["trial"])
        if index % 3 == 2:
            searcher.on_trial_complete(f"ray{index}", {"stage": 1, "epoch": 1, "step": 1, "score": 0.1})
    assert sorted(numbers) == list(range(8))
    assert numbers != sorted(numbers)
    assert searcher.suggest("more") == Searcher.FINISHED


def test_one_at_a_time_nothing_is_held_back(tmp_path: Path) -> None:
    searcher = StudySearcher(space(tmp_path, EARLY), [], 6)
    for index in range(6):
        config = searcher.suggest(f"ray{index}")
        assert isinstance(config, dict)
        assert config["trial"] == index
        searcher.on_trial_complete(f"ray{index}", {"stage": 3, "epoch": 1, "step": 1, "score": 0.1})


@pytest.mark.parametrize("text", [SPACE, GRID])
def test_where_stage_1_is_shared_nothing_is_held_back(tmp_path: Path, text: str) -> None:
    searcher = StudySearcher(space(tmp_path, text), [], 6)
    for index in range(6):
        config = searcher.suggest(f"ray{index}")
        assert isinstance(config, dict)
        assert config["trial"] == index
