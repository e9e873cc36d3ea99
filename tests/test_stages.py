"""Stages: a name changes with exactly what the stage depends on, and what has been trained is never trained again."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rfcx_model.hyperparameters import READS, Hyperparameters, StageName, build, knobs
from rfcx_model.recordings import Recordings, load
from rfcx_model.train import Epoch
from study.setting import Alone, Setting, trial_seed, workshop
from study.stages import Partition, Request, Workshop, cost, earlier, epochs, obtain, own, trial_epochs, trial_request

STAGES: tuple[StageName, ...] = ("stage1", "stage2", "stage3")
LITTLE: dict[str, Any] = {
    "network.backbone": "test_resnet",
    "network.pretrained": "none",
    "frontend.sample_rate_hz": 8000,
    "frontend.f_max_hz": 4000.0,
    "frontend.n_fft": 256,
    "frontend.hop_length": 128,
    "frontend.n_mels": 32,
    "windows.window_frames": 64,
    "windows.overlap_frames": 8,
    "augment.time_mask_frames": 4,
    "augment.mel_mask_mels": 4,
    "stage1.epochs": 2,
    "stage1.fp_recordings": 2,
    "stage1.jitter_frames": [0, 8],
    "stage2.epochs": 1,
    "stage3.epochs": 3,
    "stage3.teachers": 1,
    "stage3.ema_decay": 0.5,
    "ruler.window_s": 1.024,
    "ruler.hop_s": 1.024,
}
UNTAUGHT = {"stage2.epochs": 0, "stage3.pseudo_threshold": 1.0}
PARTITION = Partition("data" * 16, ("first", "second", "third"))
OTHER = {
    "frontend.f_max_hz": 15_000.0,
    "windows.normalise": "band_median",
    "network.backbone": "resnet34",
    "network.pretrained": "none",
    "network.pooling": "mean",
    "stage1.crop": "random",
    "stage1.crops_per": "call",
    "stage1.jitter_frames": [0],
    "stage1.mixup_site": "stage4",
    "stage2.mixup_site": "stage4",
    "stage3.mixup_site": "stage4",
    "stage1.label_rule": "union",
    "stage2.label_rule": "union",
    "stage3.pseudo_rule": "mean",
    "stage3.teacher_scheme": "nested",
    "stage3.label_rule": "union",
}


def different(name: str, value: Any) -> Any:
    """Another value that the knob may have."""
    if name in OTHER:
        return OTHER[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return value * 0.5 if value else 0.25


def names(hyperparameters: Hyperparameters, partition: Partition = PARTITION, seed: int = 0) -> dict[str, set[str]]:
    """What a trial's stages are called, stage 1 to 3."""
    request = trial_request(hyperparameters, (0, 1, 2), seed)
    found: dict[str, set[str]] = {stage: set() for stage in STAGES}
    for one in (*earlier(request), request):
        found[one.stage].add(one.name(hyperparameters, partition))
    return found


def changed(before: dict[str, set[str]], after: dict[str, set[str]]) -> set[str]:
    """Stages of which no name stayed; none may have changed by half."""
    for stage in STAGES:
        assert before[stage] == after[stage] or not before[stage] & after[stage]
    return {stage for stage in STAGES if before[stage] != after[stage]}


@pytest.mark.parametrize("knob", knobs())
def test_a_knob_changes_the_names_of_the_stages_that_read_it_and_no_others(knob: str) -> None:
    value = different(knob, knobs()[knob])
    assert value != knobs()[knob]
    group = knob.partition(".")[0]
    first = next(index for index, stage in enumerate(STAGES) if group in READS[stage])
    before, after = names(Hyperparameters()), names(build({knob: value}))
    if knob == "stage3.teachers":  # one more teacher beside the same ones
        assert before["stage2"] < after["stage2"]
        assert before["stage1"] == after["stage1"]
        assert not before["stage3"] & after["stage3"]
    elif knob == "stage3.cycles":  # one more cycle after the same first one
        assert before["stage3"] < after["stage3"]
        assert all(before[stage] == after[stage] for stage in STAGES[:2])
    elif knob == "stage3.teacher_scheme":  # other teachers, who need a stage 1 of their own
        assert before["stage1"] < after["stage1"]
        assert all(not before[stage] & after[stage] for stage in STAGES[1:])
    else:
        assert changed(before, after) == set(STAGES[first:])


def test_every_group_is_read_by_one_stage() -> None:
    read = [group for stage in STAGES for group in READS[stage]]
    assert sorted(read) == sorted(field.name for field in dataclasses.fields(Hyperparameters))


def test_the_same_facts_give_the_same_names() -> None:
    assert names(build({})) == names(Hyperparameters())
    assert names(build({"stage3.mixup_alpha": 0.1, "network.dropout": 0})) == names(Hyperparameters())


def test_seed_and_data_change_every_name() -> None:
    before = names(Hyperparameters())
    assert changed(before, names(Hyperparameters(), seed=1)) == set(STAGES)
    assert changed(before, names(Hyperparameters(), replace(PARTITION, fingerprint="other"))) == set(STAGES)


def test_who_is_held_out_changes_the_names_of_that_fold_alone() -> None:
    moved = replace(PARTITION, held_out=("other", "second", "third"))
    before, after = names(Hyperparameters()), names(Hyperparameters(), moved)
    for stage, models in (("stage1", 1), ("stage2", 5)):
        assert len(before[stage] - after[stage]) == models
        assert len(before[stage] & after[stage]) == 2 * models
    assert not before["stage3"] & after["stage3"]


def test_a_model_that_holds_nothing_out_has_a_name_of_its_own() -> None:
    alone = [
        Request("stage1", (held_out,), 0).name(Hyperparameters(), PARTITION) for held_out in ((), (0,), (1,), (2,))
    ]
    assert len(set(alone)) == 4


def test_stages_before_the_first_own_one_are_asked_for_fold_by_fold() -> None:
    request = trial_request(build({"stage3.teachers": 2}), (0, 1, 2), 0, "stage3")
    assert [one.stage for one in own(request)] == ["stage3"]
    before = earlier(request)
    assert [one.held_out for one in before if one.stage == "stage1"] == [((0,),), ((1,),), ((2,),)]
    assert [one.held_out for one in before if one.stage == "stage2"] == [((f,),) for f in (0, 0, 1, 1, 2, 2)]
    for teacher in (one for one in before if one.stage == "stage2"):
        assert [parent.held_out for parent in teacher.after] == [teacher.held_out]
    assert len({one.seed for one in before if one.stage == "stage2"}) == 2


@pytest.mark.parametrize(
    ("first_own", "stage_names"),
    [("stage3", ["stage3"]), ("stage2", ["stage3"]), ("stage1", ["stage1", "stage3"])],
)
def test_own_stages_train_all_folds_abreast_and_teachers_one_by_one(
    first_own: StageName, stage_names: list[str]
) -> None:
    request = trial_request(build({"stage3.teachers": 2}), (0, 1, 2), 0, first_own)
    assert [one.stage for one in own(request)] == stage_names
    assert all(one.held_out == ((0,), (1,), (2,)) for one in own(request))
    others = [(one.stage, len(one.held_out)) for one in earlier(request) if one not in own(request)]
    assert others.count(("stage2", 1)) == 6
    assert others.count(("stage1", 1)) == (0 if "stage1" in stage_names else 3)


@pytest.mark.parametrize("first_own", STAGES)
def test_what_a_stage_needs_comes_before_it_and_once(first_own: StageName) -> None:
    needed = earlier(trial_request(Hyperparameters(), (0, 1), 0, first_own))
    assert len(needed) == len(set(needed))
    for place, one in enumerate(needed):
        assert all(parent in needed[:place] for parent in one.after)


def test_without_pseudo_labels_no_teacher_is_asked_for() -> None:
    request = trial_request(build({"stage3.pseudo_threshold": 1.0}), (0, 1), 0)
    assert {one.stage for one in earlier(request)} == {"stage1"}


def test_the_diarys_recipe_costs_what_it_costs_by_hand() -> None:
    """50 trials on 5 folds with the diary's 50, 5 and 5 epochs and 5 teachers."""
    hyperparameters = build({"stage1.epochs": 50, "stage2.epochs": 5, "stage3.epochs": 5, "stage3.teachers": 5})
    one = cost(hyperparameters, trial_request(hyperparameters, (0, 1, 2, 3, 4), 0, "stage3"))
    stage1, teachers, stage3, everything = 5 * 50, 5 * 5 * 5, 5 * 5, 5 * (50 + 5 + 5)
    assert (stage1, teachers) == (250, 125)
    assert (one.shared, one.trials, one.unshared) == (stage1 + teachers, stage3, everything)
    assert (one.shared, 50 * one.trials, 50 * one.unshared) == (375, 1250, 15000)
    assert one.total == one.shared + one.trials


def test_cost_counts_what_a_trial_trains_when_early_stages_are_its_own() -> None:
    hyperparameters = build({"stage1.epochs": 7, "stage2.epochs": 3, "stage3.epochs": 2, "stage3.teachers": 2})
    one = cost(hyperparameters, trial_request(hyperparameters, (0, 1), 0, "stage1"))
    assert (one.shared, one.trials) == (2 * 2 * 3, 2 * (7 + 2))
    two = cost(hyperparameters, trial_request(hyperparameters, (0, 1), 0, "stage2"))
    assert (two.shared, two.trials) == (2 * (7 + 2 * 3), 2 * 2)


# From here on stages are really trained: 12 recordings of 6 s, 2 folds, the smallest network.


@pytest.fixture(scope="module")
def recordings(shared_tiny_folder: Path) -> Recordings:
    return load(shared_tiny_folder)


Shops = Callable[..., tuple[Workshop, list[int]]]


@pytest.fixture
def shop(recordings: Recordings, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Shops:
    """A workshop over a store of this test, and the fold-epochs that it has trained so far."""
    cache = tmp_path_factory.getbasetemp() / "stages-cache"

    def made(hyperparameters: Hyperparameters, seed: int = 5, store: str = "store") -> tuple[Workshop, list[int]]:
        trained: list[int] = []
        setting = Setting(recordings, 2, cache, tmp_path / store, threads=1)
        return workshop(setting, hyperparameters, seed, lease=Alone(), tick=trained.append), trained

    return made


def facts(epoch: Epoch) -> tuple[Any, ...]:
    return epoch.stage, epoch.epoch, epoch.train_loss, json.dumps(dict(epoch.metrics))


@pytest.mark.parametrize("first_own", STAGES)
def test_a_second_trial_finds_everything_and_trains_nothing(shop: Shops, first_own: StageName) -> None:
    h = build(LITTLE)
    place, trained = shop(h)
    request = trial_request(h, (0, 1), 5, first_own)
    first = list(trial_epochs(place, h, request))
    one = cost(h, request)
    assert sum(trained) == one.total
    assert not any(reused for _, reused in first)
    assert len(first) == sum(stage.epochs(h) for stage in own(request))
    trained.clear()
    again = list(trial_epochs(place, h, request))
    assert not trained
    assert all(reused for _, reused in again)
    assert [facts(epoch) for epoch, _ in again] == [facts(epoch) for epoch, _ in first]
    np.testing.assert_array_equal(again[-1][0].outputs["recording_scores"], first[-1][0].outputs["recording_scores"])


def test_trials_that_differ_in_stage_3_share_stages_1_and_2(shop: Shops) -> None:
    first, second = build(LITTLE), build({**LITTLE, "stage3.mixup_site": "stage4"})
    place, trained = shop(first)
    list(trial_epochs(place, first, trial_request(first, (0, 1), 5)))
    trained.clear()
    list(trial_epochs(place, second, trial_request(second, (0, 1), 5)))
    assert sum(trained) == cost(second, trial_request(second, (0, 1), 5)).trials == 2 * 3


def test_sharing_or_not_gives_the_same_numbers(shop: Shops) -> None:
    h = build(LITTLE)
    ends = []
    for first_own in STAGES:
        place, _ = shop(h, store=first_own)
        *_, (last, _) = trial_epochs(place, h, trial_request(h, (0, 1), 5, first_own))
        ends.append(facts(last))
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_killed_stage_goes_on_from_its_last_epoch(shop: Shops, stop_after: int) -> None:
    h = build(LITTLE)
    unbroken = list(trial_epochs(shop(h, store="unbroken")[0], h, trial_request(h, (0, 1), 5)))
    place, trained = shop(h, store="broken")
    request = trial_request(h, (0, 1), 5)
    walk = trial_epochs(place, h, request)
    for _ in range(stop_after):
        next(walk)
    del walk
    trained.clear()
    resumed = list(trial_epochs(place, h, request))
    assert [reused for _, reused in resumed] == [True] * stop_after + [False] * (3 - stop_after)
    assert sum(trained) == 2 * (3 - stop_after)
    assert [facts(epoch) for epoch, _ in resumed] == [facts(epoch) for epoch, _ in unbroken]
    for name, tensor in unbroken[-1][0].state.tensors.items():
        assert torch.equal(tensor, resumed[-1][0].state.tensors[name]), name


def test_an_epoch_is_in_the_store_before_it_is_told(shop: Shops) -> None:
    h = build(LITTLE)
    place, _ = shop(h)
    request = Request("stage1", ((0,),), 5)
    for epoch, _ in epochs(place, h, request):
        stored = place.store.load(request.name(h, place.partition))
        assert stored is not None
        assert stored.epoch == epoch.epoch


def test_a_damaged_result_is_told_and_trained_again(shop: Shops, caplog: pytest.LogCaptureFixture) -> None:
    h = build(LITTLE)
    place, trained = shop(h)
    request = Request("stage1", ((0,),), 5)
    whole = obtain(place, h, request)
    name = request.name(h, place.partition)
    (path,) = (place.store.folder / name).glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    trained.clear()
    with caplog.at_level(logging.WARNING):
        again = obtain(place, h, request)
    assert name in caplog.text
    assert sum(trained) == 2
    for key, tensor in whole.state.tensors.items():
        assert torch.equal(tensor, again.state.tensors[key])


def test_finished_results_carry_no_optimiser(shop: Shops) -> None:
    h = build(LITTLE)
    place, _ = shop(h)
    result = obtain(place, h, Request("stage1", ((0,),), 5))
    assert not [name for name in result.state.tensors if ".adam." in name]


@pytest.mark.parametrize("empty", [{"stage1.epochs": 0}, UNTAUGHT, {"stage1.epochs": 0} | UNTAUGHT])
@pytest.mark.parametrize("first_own", STAGES)
def test_a_stage_of_no_epochs_is_passed_over(shop: Shops, empty: dict[str, float], first_own: StageName) -> None:
    h = build({**LITTLE, "stage3.epochs": 1, **empty})
    place, trained = shop(h)
    request = trial_request(h, (0, 1), 5, first_own)
    assert [epoch.stage for epoch, _ in trial_epochs(place, h, request)][-1] == 3
    assert sum(trained) == cost(h, request).total


def test_who_holds_a_lease_trains_and_the_other_waits_and_finds(shop: Shops) -> None:
    h = build(LITTLE)
    place, trained = shop(h)
    request = Request("stage1", ((0,),), 5)

    class Desk:
        """Another has the lease, and is done while this one waits."""

        asked, released = 0, 0

        def acquire(self, name: str) -> bool:
            self.asked += 1
            return False

        def holds(self, name: str) -> bool:
            return False

        def release(self, name: str) -> None:
            self.released += 1

    desk = Desk()

    def wait() -> None:
        obtain(place, h, request)

    waiting = replace(place, lease=desk, wait=wait, tick=lambda _: pytest.fail("trained"))
    assert obtain(waiting, h, request).epoch == 2
    assert (desk.asked, desk.released) == (1, 0)
    assert sum(trained) == 2


def test_a_lease_is_given_back_when_training_fails(shop: Shops) -> None:
    h = build(LITTLE)
    place, _ = shop(h)

    class Noted(Alone):
        released = ""

        def release(self, name: str) -> None:
            self.released = name

    lease = Noted()

    def tick(fold_epochs: int) -> None:
        raise MemoryError(fold_epochs)

    broken = replace(place, lease=lease, tick=tick)
    request = Request("stage1", ((0,),), 5)
    with pytest.raises(MemoryError):
        obtain(broken, h, request)
    assert lease.released == request.name(h, place.partition)


def test_replicates_differ_in_partition_and_seed(recordings: Recordings, tmp_path: Path) -> None:
    setting = Setting(recordings, 2, tmp_path, tmp_path, threads=1)
    first, second = trial_seed(0, 0), trial_seed(0, 1)
    assert first != second
    assert (setting.folds(first) == setting.folds(trial_seed(0, 0))).all()
    assert (setting.folds(first) != setting.folds(second)).any()
    assert setting.partition(first) != setting.partition(second)
    assert len(set(setting.partition(first).held_out)) == 2
