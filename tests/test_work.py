"""The work of a study: forecasts and counts by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from rfcx_model import compute
from rfcx_model.hyperparameters import build
from rfcx_model.learner import State
from rfcx_model.recordings import Recordings, load
from study import space
from study.recipe import Cost, cost, earlier
from study.recipe import trial_request as recipe_request
from study.setting import Setting, trial_seed
from study.space import Study
from study.store import Store, open_store
from study.trials import Trial
from study.work import done_work, known_trials, planned_work, shared_stages, trial_request

SPACES = Path(__file__).parents[1] / "search_spaces"
EPOCHS = """
"stage1.epochs" = 7
"stage2.epochs" = 3
"stage3.epochs" = 2
"stage3.teachers" = 2
"""
SEARCH = '[search]\nsampler = "random"\nscheduler = "none"\nfolds = 2\n[budget]\ntrials = 10\n'
RATE = '[nuisance]\n"{knob}" = {{ low = 1e-4, high = 1e-2, log = true }}\n'
ARMS = f"""
[fixed]
{EPOCHS}
[[arm]]
regime = "early"
stage1 = {{ mixup_site = "input" }}
stage2 = {{ epochs = 0 }}
stage3 = {{ epochs = 0 }}
[[arm]]
regime = "late"
stage3 = {{ mixup_site = "input" }}
[[arm]]
regime = "late"
stage3 = {{ mixup_site = "stage4" }}
[search]
sampler = "grid"
scheduler = "none"
replicates = 3
folds = 2
"""


@pytest.fixture(scope="module")
def recordings(shared_tiny_folder: Path) -> Recordings:
    return load(shared_tiny_folder)


def study_of(folder: Path, text: str) -> Study:
    path = folder / "space.toml"
    path.write_text(text)
    return space.load(path)


def setting(study: Study, recordings: Recordings) -> Setting:
    return Setting(recordings, study.search.folds, Path(), Path(), threads=1)


def mission(overrides: Mapping[str, Any], recordings: Recordings) -> Cost:
    """What the mission's 50 trials on 5 folds cost; its stages have 50, 5 and 5 epochs."""
    study = space.load(SPACES / "mixup.toml", overrides)
    h = study.hyperparameters(study.baseline)
    assert (h.stage1.epochs, h.stage2.epochs, h.stage3.epochs) == (50, 5, 5)
    assert (study.search.folds, study.budget.trials, h.stage3.teachers) == (5, 50, 5)
    return planned_work(study, setting(study, recordings), None)


def test_the_missions_trials_cost_an_eighth_and_less_with_teachers_of_their_own(recordings: Recordings) -> None:
    first, teachers, students = 5 * 50, 5 * 5 * 5, 5 * 5
    cost = mission({"stage3.teacher_scheme": "own"}, recordings)
    assert (cost.shared, cost.trials) == (first + teachers, 50 * students) == (375, 1250)
    assert cost.total == 1625
    assert cost.alone == 50 * (first + teachers + students) == 20000
    assert cost.unshared == 50 * 5 * (50 + 5 + 5) == 15000
    assert 9 * cost.total <= cost.unshared
    assert "1625 fold-epochs at most" in str(cost)
    assert "20000 (12.3 times as many)" in str(cost)
    assert "15000 (9.2 times)" in str(cost)


def test_the_missions_trials_cost_a_twentieth_with_nested_teachers(recordings: Recordings) -> None:
    first, pairs, students = 5 * 50, 10 * (50 + 5), 5 * 5
    cost = mission({"stage3.teacher_scheme": "nested"}, recordings)
    assert (cost.shared, cost.trials, cost.total) == (first + pairs, 50 * students, 2050)
    assert cost.alone == 50 * (first + pairs + students) == 41250
    assert 20 * cost.total <= cost.alone


def test_a_cost_counts_crops_and_measurements_of_folds(recordings: Recordings) -> None:
    assert mission({}, recordings).crops == 5 * 50
    assert mission({}, recordings).measured == 50 * 5 * 5
    assert mission({"ruler.every_epochs": 2}, recordings).measured == 50 * 5 * 3  # epochs 2, 4 and the last, 5
    assert mission({"stage3.teacher_scheme": "nested"}, recordings).crops == (5 + 10) * 50


def test_every_cycle_trains_the_students_again_and_nobody_else(recordings: Recordings) -> None:
    one, three = mission({}, recordings), mission({"stage3.cycles": 3}, recordings)
    assert (three.shared, three.trials) == (one.shared, 3 * one.trials)
    assert three.unshared == 50 * 5 * (50 + 5 + 3 * 5)


@pytest.mark.parametrize("knob", ["stage1.learning_rate", "stage2.learning_rate", "stage3.learning_rate"])
@pytest.mark.parametrize("scheme", ["own", "nested"])
def test_what_is_trained_before_the_trials_is_what_was_forecast(
    recordings: Recordings, tmp_path: Path, knob: str, scheme: str
) -> None:
    fixed = f'[fixed]{EPOCHS}"stage3.teacher_scheme" = "{scheme}"\n'
    text = (fixed + RATE.format(knob=knob) + SEARCH).replace("folds = 2", "folds = 3")
    study = study_of(tmp_path, text if scheme == "own" else text.replace('"stage3.teachers" = 2\n', ""))
    place = setting(study, recordings)
    orders = list(shared_stages(study, place, None))
    assert all(not one.measured and not any(two.measured for two in earlier(one)) for _, one, _ in orders)
    distinct = {one: one.fold_epochs(h) for h, one, _ in orders}
    assert sum(distinct.values()) == planned_work(study, place, None).shared


def test_only_a_forecast_that_no_trial_can_exceed_is_called_so(recordings: Recordings, tmp_path: Path) -> None:
    longer = '[nuisance]\n"stage3.epochs" = { low = 2, high = 5 }\n'
    study = study_of(tmp_path, "[fixed]\n" + EPOCHS.replace('"stage3.epochs" = 2\n', "") + longer + SEARCH)
    assert "fold-epochs if every trial is as long as the baseline" in str(
        planned_work(study, setting(study, recordings), None)
    )


def test_where_nothing_is_taught_no_stage_2_is_counted() -> None:
    h = build({"stage1.epochs": 7, "stage2.epochs": 3, "stage3.epochs": 2, "stage3.pseudo_threshold": 1.0})
    counted = cost(h, recipe_request(h, range(3), seed=0))
    assert counted.unshared == counted.alone == 3 * (7 + 2)


@pytest.mark.parametrize(
    ("knob", "shared", "a_trial"),
    [
        ("stage3.learning_rate", 2 * 7 + 4 * 3, 2 * 2),
        ("stage2.learning_rate", 2 * 7, 4 * 3 + 2 * 2),
        ("stage1.learning_rate", 0, 2 * 7 + 4 * 3 + 2 * 2),
    ],
)
def test_what_a_searched_knob_changes_is_trained_by_every_trial_its_teachers_too(
    tmp_path: Path, recordings: Recordings, knob: str, shared: int, a_trial: int
) -> None:
    study = study_of(tmp_path, f"[fixed]{EPOCHS}" + RATE.format(knob=knob) + SEARCH)
    cost = planned_work(study, setting(study, recordings), None)
    assert (cost.shared, cost.trials) == (shared, 10 * a_trial)
    assert cost.alone == 10 * (2 * 7 + 4 * 3 + 2 * 2)
    assert cost.crops == (14 if shared else 140)
    four = planned_work(study, setting(study, recordings), 4)
    assert (four.shared, four.trials) == (shared, 4 * a_trial)


def test_a_list_of_arms_counts_each_arm_by_its_own_epochs(tmp_path: Path, recordings: Recordings) -> None:
    study = study_of(tmp_path, ARMS)
    cost = planned_work(study, setting(study, recordings), None)
    assert cost.shared == 3 * (2 * 7 + 4 * 3)  # of both late arms, once a replicate
    assert cost.trials == 3 * (2 * 7 + 2 * 2 + 2 * 2)
    assert cost.alone == 3 * (2 * 7 + 2 * (2 * 7 + 4 * 3 + 2 * 2))
    assert cost.unshared == 3 * (2 * 7 + 2 * 2 * (7 + 3 + 2))
    assert cost.crops == 3 * (2 * 7 + 2 * 7)


def test_a_grid_that_is_cut_short_forecasts_what_is_left_of_it(tmp_path: Path, recordings: Recordings) -> None:
    study = study_of(tmp_path, ARMS)
    cost = planned_work(study, setting(study, recordings), 1)
    assert (cost.shared, cost.trials) == (0, 2 * 7)
    assert len(list(known_trials(study, 4))) == 4
    assert [replicate for _, replicate in known_trials(study, None)] == [0] * 3 + [1] * 3 + [2] * 3


def test_the_diarys_study_costs_what_it_costs_by_hand(recordings: Recordings) -> None:
    """Six arms of stage 1 alone, six with shared stages; 16, 3 and 3 epochs, 3 folds, 3 teachers, 5 replicates."""
    study = space.load(SPACES / "diary.toml")
    cost = planned_work(study, setting(study, recordings), None)
    assert cost.shared == 5 * (3 * 16 + 9 * 3)
    assert cost.trials == 5 * (6 * 3 * 16 + 6 * 3 * 3)
    assert cost.alone == 5 * (6 * 48 + 6 * (48 + 27 + 9))
    assert cost.measured == 5 * (6 * 3 * 2 + 6 * 3 * 1)  # every eighth epoch and the last


def test_shared_stages_are_those_before_the_trials_own_each_with_its_replicate(
    tmp_path: Path, recordings: Recordings
) -> None:
    study = study_of(tmp_path, ARMS)
    found = list(shared_stages(study, setting(study, recordings), None))
    assert not any(one.measured for _, one, _ in found)
    for replicate in range(3):
        seed = trial_seed(study.search.seed, replicate)
        mine = [one for _, one, of in found if of == replicate]
        assert [one.stage for one in mine].count("stage1") == 2 * 2  # of two arms: the second one's come again
        assert {one.seed for one in mine if one.stage == "stage1"} == {seed}
        assert len(set(mine)) == 2 + 4


# What stands in a store


def saved(store: Store, name: str, stage: str, epoch: int) -> None:
    store.save(name, State({"one": torch.zeros(1)}, {"stage": stage, "cycle": 1, "epoch": epoch, "history": []}), {})


def made_trial(study: Study, number: int, params: Mapping[str, Any]) -> Trial:
    return Trial(number, "search", 0, trial_seed(study.search.seed, 0), study.config(params), params, 1, 0.0)


def test_what_is_done_is_counted_once_and_as_often_as_it_was_of_use(tmp_path: Path, recordings: Recordings) -> None:
    study = study_of(tmp_path, f"[fixed]{EPOCHS}" + RATE.format(knob="stage3.learning_rate") + SEARCH)
    place = setting(study, recordings)
    store = open_store(tmp_path / "store", compute.best())
    trials = [made_trial(study, n, {"stage3.learning_rate": rate}) for n, rate in enumerate((1e-3, 2e-3, 3e-3))]
    assert (
        str(done_work(study, place, store, trials)) == "0 fold-epochs trained; 0 if each trial had trained all it needs"
    )
    for trial, last in zip(trials, (2, 1, 0), strict=True):  # the second was pruned after an epoch, the third waits
        h = study.hyperparameters(trial.proposal)
        request = trial_request(study, place, h, 0)
        for one in earlier(request):
            saved(store, one.name(h, place.partition(trial.seed)), one.stage, one.epochs(h))
        if last:
            saved(store, request.name(h, place.partition(trial.seed)), "stage3", last)
    shared = 2 * 7 + 4 * 3
    done = done_work(study, place, store, trials)
    assert (done.trained, done.alone) == (shared + 2 * 2 + 2 * 1, 3 * shared + 2 * 2 + 2 * 1)
    assert str(done) == "32 fold-epochs trained; 84 if each trial had trained all it needs, 2.6 times as many"
    assert done_work(study, place, store, []).trained == 0
