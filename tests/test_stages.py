"""Stages: a name changes with exactly what the stage depends on, and what has been trained is never trained again."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import made_corpus
import numpy as np
import pytest
import torch
from made_corpus import CPU, Size, make_corpus, planted
from tiny import KNOBS
from torch import Tensor

from rfcx_model import corpus, train
from rfcx_model.batches import derive
from rfcx_model.corpus import Corpus
from rfcx_model.hyperparameters import READS, UNREAD, Hyperparameters, StageName, build, knobs
from rfcx_model.labels import Lessons
from rfcx_model.learner import HeldOut, State
from rfcx_model.recordings import Recordings, load
from rfcx_model.spectrogram_cache import prepare
from rfcx_model.train import Epoch, Task
from study import recipe, space, stages
from study.recipe import Partition, Request, cost, earlier, own, trial_request, whole_request
from study.setting import Alone, Setting, trial_seed, workshop
from study.stages import LostLease, Workshop, epochs, gather, lessons, obtain, trial_epochs
from study.store import Stored, open_store

STAGES: tuple[StageName, ...] = ("stage1", "stage2", "stage3")
LITTLE = KNOBS | {
    "stage1.epochs": 2,
    "stage2.epochs": 1,
    "stage3.epochs": 3,
    "stage3.teachers": 1,
    "stage3.ema_decay": 0.5,
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


# What is asked for, on the diary's five folds

FIVE = range(5)


def asked(request: Request, stage: StageName) -> list[tuple[HeldOut, ...]]:
    """Who is held out by the requests of a stage, in order."""
    return [one.held_out for one in (*earlier(request), request) if one.stage == stage]


def singles(count: int = 1) -> list[tuple[HeldOut, ...]]:
    return [((fold,),) for fold in FIVE for _ in range(count)]


ABREAST = tuple((fold,) for fold in FIVE)


def test_own_teachers_are_models_of_other_seeds_after_their_students_own_stage_1() -> None:
    request = trial_request(Hyperparameters(), FIVE, 7)
    assert asked(request, "stage1") == singles()
    assert asked(request, "stage2") == singles(5)
    assert asked(request, "stage3") == [ABREAST]
    teachers = [one for one in request.after if one.stage == "stage2"]
    assert all([parent.held_out for parent in one.after] == [one.held_out] for one in teachers)
    by_fold = [[one.seed for one in teachers if one.held_out == ((fold,),)] for fold in FIVE]
    assert by_fold == [[derive(7, "teacher", index) for index in range(5)]] * 5


def test_nested_teachers_are_ten_pairs_after_ten_more_models_of_stage_1() -> None:
    request = trial_request(build({"stage3.teacher_scheme": "nested"}), FIVE, 7)
    pairs = [(pair,) for pair in combinations(FIVE, 2)]
    assert len(pairs) == 10
    assert sorted(asked(request, "stage1")) == sorted([*singles(), *pairs])
    assert asked(request, "stage2") == pairs
    assert asked(request, "stage3") == [ABREAST]
    for one in earlier(request):
        if one.stage == "stage2":
            assert [(parent.stage, parent.held_out) for parent in one.after] == [("stage1", one.held_out)]
    own_teachers = trial_request(Hyperparameters(), FIVE, 7)
    extra = [one for one in earlier(request) if one not in earlier(own_teachers)]
    assert Counter(one.stage for one in extra) == {"stage1": 10, "stage2": 10}


def test_the_diarys_teachers_are_one_model_a_fold_which_are_among_the_own_ones() -> None:
    request = trial_request(build({"stage3.teacher_scheme": "diary"}), FIVE, 7)
    assert asked(request, "stage1") == singles()
    assert asked(request, "stage2") == singles()
    assert set(earlier(request)) < set(earlier(trial_request(Hyperparameters(), FIVE, 7)))


@pytest.mark.parametrize("scheme", ["own", "nested", "diary"])
@pytest.mark.parametrize("first_own", STAGES)
def test_a_later_cycle_starts_from_stage_1_and_is_taught_by_the_cycle_before(scheme: str, first_own: StageName) -> None:
    h = build({"stage3.cycles": 3, "stage3.teacher_scheme": scheme})
    third = trial_request(h, FIVE, 7, first_own)
    once = trial_request(build({"stage3.teacher_scheme": scheme}), FIVE, 7, first_own)
    (second,) = (one for one in third.after if one.stage == "stage3")
    (first,) = (one for one in second.after if one.stage == "stage3")
    assert first == once
    assert [one.cycle for one in (first, second, third)] == [1, 2, 3]
    for student in (second, third):
        assert student.held_out == ABREAST
        assert {one.stage for one in student.after} == {"stage1", "stage3"}
        mine = [one for one in first.after if one.stage == "stage1"]
        assert [one for one in student.after if one.stage == "stage1"] == mine
    assert [one.cycle for one in own(third) if one.stage == "stage3"] == [1, 2, 3]


@pytest.mark.parametrize("first_own", STAGES)
def test_a_recipe_may_end_with_stage_1_or_with_stage_2(first_own: StageName) -> None:
    first = trial_request(build({"stage2.epochs": 0, "stage3.epochs": 0}), FIVE, 7, first_own)
    assert first == Request("stage1", ABREAST, 7, measured=True)
    second = trial_request(build({"stage3.epochs": 0}), FIVE, 7, first_own)
    assert (second.stage, second.held_out, second.measured) == ("stage2", ABREAST, True)
    assert second.seed == derive(7, "teacher", 0)
    if first_own == "stage1":
        assert second.after == (first,)
    else:
        assert second.after == tuple(Request("stage1", ((fold,),), 7) for fold in FIVE)


@pytest.mark.parametrize("scheme", ["own", "nested", "diary"])
@pytest.mark.parametrize("cycles", [1, 3])
@pytest.mark.parametrize("first_own", STAGES)
def test_no_two_stages_of_a_trial_share_a_name_and_cost_counts_each(
    scheme: str, cycles: int, first_own: StageName
) -> None:
    h = build({"stage3.teacher_scheme": scheme, "stage3.cycles": cycles, "stage1.epochs": 50})
    request = trial_request(h, FIVE, 0, first_own)
    needed = [*earlier(request), request]
    partition = Partition("data", tuple("abcde"))
    assert len(set(recipe.names(needed, h, partition))) == len(needed)
    assert [one.name(h, partition) for one in needed] == recipe.names(needed, h, partition)
    teachers = {"own": 25 * 5, "nested": 10 * (50 + 5), "diary": 5 * 5}[scheme]
    assert cost(h, request).total == 5 * 50 + teachers + cycles * 5 * 5
    assert cost(h, request).crops == 50 * (15 if scheme == "nested" else 5)


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


# From here on a made-up corpus of three folds, which trains in a moment.

THREE = range(3)
SEED = 5
ONE_EPOCH: dict[str, Any] = {
    "stage1.epochs": 1,
    "stage2.epochs": 1,
    "stage3.epochs": 1,
    "stage3.pseudo_threshold": 0.5,
    "stage3.votes": 0.5,
}
Bench = Callable[..., tuple[Workshop, list[int]]]


def small(changed: Mapping[str, Any] = {}, **others: Any) -> Hyperparameters:
    """Tiny knobs of one epoch a stage."""
    return build({**made_corpus.SMALL, **ONE_EPOCH, **changed, **others})


def made(h: Hyperparameters) -> Corpus:
    return make_corpus(Size(recordings=6, folds=3), h)


def no_wait() -> None:
    pytest.fail("waited")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A workshop over the made-up corpus and a store of this test, and the fold-epochs that it has trained so far."""
    torch.set_num_threads(1)

    def place(h: Hyperparameters, store: str = "store", sounds: Corpus | None = None) -> tuple[Workshop, list[int]]:
        trained: list[int] = []
        return (
            Workshop(
                store=open_store(tmp_path / store, CPU),
                corpus=sounds or made(h),
                partition=PARTITION,
                compute=CPU,
                lease=Alone(),
                wait=no_wait,
                tick=trained.append,
            ),
            trained,
        )

    return place


# Which stage reads which knob

TRACED: list[tuple[StageName, dict[str, Any]]] = [
    ("stage1", {"stage3.ema_decay": 0.5, "network.dropout": 0.1, "stage3.teachers": 1}),
    ("stage3", {"stage3.teacher_scheme": "nested", "stage3.pseudo_rule": "mean"}),
    ("stage3", {"stage3.teacher_scheme": "diary", "stage3.cycles": 2, "stage1.pseudo_threshold": 0.5}),
    ("stage2", {"stage3.epochs": 0, "stage1.crop": "random"}),
    ("stage1", {"stage2.epochs": 0, "stage3.epochs": 0, "stage1.crops_per": "call"}),
    ("stage3", {"stage3.pseudo_threshold": 1.0}),
]
HOUSE = Path(train.__file__).parents[1]


@dataclass
class Trace:
    """Which knobs the project's own code asks for, and during what."""

    read: dict[str, set[str]] = field(default_factory=dict)
    doing: str = ""

    @contextlib.contextmanager
    def during(self, what: str) -> Iterator[None]:
        before, self.doing = self.doing, what
        try:
            yield
        finally:
            self.doing = before

    def note(self, knob: str, file: str) -> None:
        """`file` asks for it: a hash or a comparison of a whole group does not, and is not counted."""
        if self.doing and file.startswith(str(HOUSE)):
            self.read.setdefault(self.doing, set()).add(knob)


def watch(kind: type, group: str, trace: Trace) -> Callable[[Any, str], Any]:
    names = {one.name for one in dataclasses.fields(kind)}

    def read(self: Any, name: str) -> Any:
        if name in names:
            trace.note(f"{group}.{name}", sys._getframe(1).f_code.co_filename)
        return object.__getattribute__(self, name)

    return read


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> Trace:
    """Every stage that is trained and every lesson that is given is watched; nothing is replaced."""
    found = Trace()
    for group in dataclasses.fields(Hyperparameters):
        kind = type(getattr(Hyperparameters(), group.name))
        monkeypatch.setattr(kind, "__getattribute__", watch(kind, group.name, found), raising=False)
    true_stage, true_lessons = train.stage, stages.lessons

    def stage(name: StageName, task: Task, resume: State | None = None) -> Iterator[Epoch]:
        walk = true_stage(name, task, resume)
        while True:
            with found.during(f"{name} measured" if task.measured else name):
                epoch = next(walk, None)
            if epoch is None:
                return
            yield epoch

    def lessons(*given: Any) -> tuple[Lessons, ...]:
        with found.during("stage3"):
            return true_lessons(*given)

    monkeypatch.setattr(train, "stage", stage)
    monkeypatch.setattr(stages, "lessons", lessons)
    return found


def readable(what: str) -> set[str]:
    """The groups that stand in the name of a stage."""
    stage, _, measured = what.partition(" ")
    before = STAGES[: [*STAGES].index(stage) + 1]  # type: ignore[arg-type]
    return {group for one in before for group in READS[one]} | ({"ruler"} if measured else set())


def test_stages_read_only_knobs_that_stand_in_their_names_and_every_knob_is_read(
    trace: Trace, bench: Bench, recordings: Recordings, tmp_path: Path
) -> None:
    for number, (first_own, changed) in enumerate(TRACED):
        h = small(changed)
        place, _ = bench(h, store=f"store {number}")
        with trace.during("choosing stages"):
            request = trial_request(h, THREE, SEED, first_own)
        list(trial_epochs(place, h, request))
    heard = build({**LITTLE, "frontend.f_max_hz": 3999.0})  # a front end that no other test has prepared
    with trace.during("stage1"):  # a corpus stands before all stages, so it may read what stage 1 may
        spectrograms = prepare(recordings, heard.frontend, tmp_path / "cache", workers=1)
        corpus.build(recordings, spectrograms, np.zeros(len(recordings.train), np.int64), heard, CPU)
    choosing = trace.read.pop("choosing stages")
    assert set(trace.read) == {"stage1", "stage1 measured", "stage2", "stage2 measured", "stage3", "stage3 measured"}
    for what, read in trace.read.items():
        assert {knob for knob in read if knob.split(".")[0] not in readable(what)} == set(), what
        assert not read & set(UNREAD), what
    while_training = set().union(*trace.read.values())
    assert while_training == set(knobs()) - set(UNREAD)
    assert set(UNREAD) <= choosing
    assert {"ruler.every_epochs"} <= trace.read["stage1 measured"]
    assert not any(knob.startswith("ruler") for knob in trace.read["stage1"] | trace.read["stage2"])


# Three folds with one teacher each; 1, 2 and 1 epochs.
FIRST, TEACHERS, STUDENTS = 3 * 1, 3 * 2, 3 * 1
AGAIN = [
    ("frontend.f_max_hz", 8_000.0, FIRST + TEACHERS + STUDENTS),
    ("windows.box_overlap", 0.9, FIRST + TEACHERS + STUDENTS),
    ("network.dropout", 0.5, FIRST + TEACHERS + STUDENTS),
    ("augment.gain_db", 3.0, FIRST + TEACHERS + STUDENTS),
    ("stage1.weight_decay", 0.1, FIRST + TEACHERS + STUDENTS),
    ("stage2.weight_decay", 0.1, TEACHERS + STUDENTS),
    ("stage3.weight_decay", 0.1, STUDENTS),
    ("ruler.hop_s", 1.024, STUDENTS),
    ("stage3.teachers", 2, 3 * 2 + STUDENTS),  # one more a fold, beside the same ones
    ("stage3.cycles", 2, STUDENTS),  # after the same first cycle
    ("stage3.teacher_scheme", "diary", STUDENTS),  # whose teachers are the own ones
    ("stage3.teacher_scheme", "nested", 3 * 1 + 3 * 2 + STUDENTS),  # three pairs, with a stage 1 each
]


@pytest.mark.slow
def test_what_a_knob_changes_is_trained_again_and_nothing_else_and_going_back_finds_all(bench: Bench) -> None:
    usual = {"stage2.epochs": 2, "stage3.teachers": 1}
    h = small(usual)
    place, trained = bench(h)
    list(trial_epochs(place, h, trial_request(h, THREE, SEED)))
    assert sum(trained) == FIRST + TEACHERS + STUDENTS
    for knob, value, again in AGAIN:
        other = small({**usual, knob: value})
        trained.clear()
        list(trial_epochs(replace(place, corpus=made(other)), other, trial_request(other, THREE, SEED)))
        assert sum(trained) == again, knob
    trained.clear()
    list(trial_epochs(place, h, trial_request(h, THREE, SEED)))
    assert not trained


# Nothing of a held-out recording may reach the model that it judges


def every_model(place: Workshop, h: Hyperparameters, request: Request) -> dict[tuple[Any, ...], dict[str, Tensor]]:
    """The weights of all models of a trial, by stage, cycle, seed and who is held out."""
    found = {}
    for one in (*earlier(request), request):
        state = obtain(place, h, one).state
        for index, held_out in enumerate(one.held_out):
            found[one.stage, one.cycle, one.seed, held_out] = state.weights(index)
    return found


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def told(place: Workshop, h: Hyperparameters, request: Request) -> list[np.ndarray]:
    """For each student, the cells (window, species) that its teachers label."""
    results = {one: obtain(place, h, one) for one in request.after if one.stage != "stage1"}
    known = place.corpus.windows
    return [train.taught(known, one, h.stage3).positive > known.positive for one in lessons(place, h, request, results)]


@pytest.mark.parametrize("scheme", ["own", "nested", "diary"])
def test_a_marker_in_the_held_out_fold_reaches_no_student_but_the_diarys(bench: Bench, scheme: str) -> None:
    h = small({"stage3.teacher_scheme": scheme, "stage3.cycles": 2})
    request = trial_request(h, THREE, SEED)
    plain = made(h)
    marked = planted(plain, plain.folds == 0, h)
    places = [bench(h, "plain", plain)[0], bench(h, "marked", marked)[0]]
    ends = [every_model(place, h, request) for place in places]
    assert ends[0].keys() == ends[1].keys()
    leaking = set()
    for key in ends[0]:
        held_out = key[-1]
        if same(ends[0][key], ends[1][key]) != (0 in held_out):
            leaking.add((key[0], key[1], held_out))
    assert leaking == ({("stage3", 1, (0,)), ("stage3", 2, (0,))} if scheme == "diary" else set())
    fold = plain.folds[plain.windows.recording]
    for one in own(request)[-2:]:  # both cycles: labels are made where they may be, and nowhere else
        for student, labelled in enumerate(told(places[0], h, one)):
            assert labelled[fold != student].any()
            assert not labelled[fold == student].any()


# What a student is taught, from made-up answers


def stored(said: Mapping[HeldOut, float], windows: int, species: int = 2) -> Stored:
    """A finished stage 2 whose models say one thing of every cell."""
    cells = [np.full((windows, species), value, np.float32) for value in said.values()]
    return Stored(State({}, {"epoch": 1}), {"probabilities": np.stack(cells)})


def lessons_of(bench: Bench, scheme: str, teachers: Mapping[HeldOut, float]) -> tuple[tuple[Lessons, ...], np.ndarray]:
    """What three students are taught by models that each say their own number; and the fold of every window."""
    h = small({"stage3.teacher_scheme": scheme})
    place, _ = bench(h)
    n = len(place.corpus.windows.recording)
    results = {Request("stage2", (held,), k): stored({held: p}, n) for k, (held, p) in enumerate(teachers.items())}
    student = Request("stage3", tuple((fold,) for fold in THREE), SEED, tuple(results), measured=True)
    return lessons(place, h, student, results), place.corpus.folds[place.corpus.windows.recording]


def test_nested_students_are_taught_by_their_pairs_and_labels_need_the_one_that_saw_neither(bench: Bench) -> None:
    taught, fold = lessons_of(bench, "nested", {(0, 1): 0.1, (0, 2): 0.2, (1, 2): 0.3})
    mine = {0: [((0, 1), 0.1), ((0, 2), 0.2)], 1: [((0, 1), 0.1), ((1, 2), 0.3)], 2: [((0, 2), 0.2), ((1, 2), 0.3)]}
    for student, one in enumerate(taught):
        assert one.said.shape[0] == 2
        assert one.unseen is not None
        for place, (pair, says) in enumerate(mine[student]):
            assert np.isnan(one.said[place, fold == student]).all()
            assert (one.said[place, fold != student] == np.float32(says)).all()
            assert one.unseen[place].tolist() == np.isin(fold, pair).tolist()


def test_nested_labels_of_a_fold_come_with_the_call_of_the_teacher_that_did_not_see_it(bench: Bench) -> None:
    """Student 0 with a vote of one: pair (0, 1) alone calls, so only fold 1, which it did not see, is labelled."""
    taught, fold = lessons_of(bench, "nested", {(0, 1): 0.9, (0, 2): 0.1, (1, 2): 0.1})
    h = small({"stage3.teacher_scheme": "nested", "stage3.votes": 0.5, "stage3.pseudo_threshold": 0.5})
    unknown = np.zeros((len(fold), 2), np.float32)
    windows = replace(made(h).windows, positive=unknown, negative=unknown)
    labelled = [train.taught(windows, one, h.stage3).positive.any(axis=1) for one in taught]
    assert labelled[0].tolist() == (fold == 1).tolist()
    assert labelled[1].tolist() == (fold == 0).tolist()
    assert not labelled[2].any()


def test_own_students_are_taught_by_their_own_teachers_alone(bench: Bench) -> None:
    h = small()
    place, _ = bench(h)
    n = len(place.corpus.windows.recording)
    teachers = {
        Request("stage2", ((fold,),), seed): stored({(fold,): fold / 10 + seed / 100}, n)
        for fold in THREE
        for seed in (1, 2)
    }
    student = Request("stage3", ((0,), (1,), (2,)), SEED, tuple(teachers), measured=True)
    fold = place.corpus.folds[place.corpus.windows.recording]
    for mine, one in enumerate(lessons(place, h, student, teachers)):
        assert one.unseen is None
        assert np.isnan(one.said[:, fold == mine]).all()
        heard = one.said[:, fold != mine]
        np.testing.assert_allclose(heard[0], mine / 10 + 0.01, rtol=1e-6)
        np.testing.assert_allclose(heard[1], mine / 10 + 0.02, rtol=1e-6)
        assert len(heard) == 2


def test_the_diarys_students_are_taught_by_everybody_even_of_what_those_were_trained_on(bench: Bench) -> None:
    taught, fold = lessons_of(bench, "diary", {(0,): 0.1, (1,): 0.2, (2,): 0.3})
    for mine, one in enumerate(taught):
        assert one.unseen is None
        assert np.isnan(one.said[:, fold == mine]).all()
        for teacher, says in enumerate((0.1, 0.2, 0.3)):
            assert (one.said[teacher, fold != mine] == np.float32(says)).all()


# Cycles


def test_the_second_cycle_is_taught_by_the_students_of_the_first_from_stage_1_on(bench: Bench) -> None:
    h = small({"stage3.cycles": 2, "stage3.epochs": 2})
    place, _ = bench(h)
    request = trial_request(h, THREE, SEED)
    told_epochs = [(epoch.cycle, epoch.epoch) for epoch, _ in trial_epochs(place, h, request)]
    assert told_epochs == [(1, 1), (1, 2), (2, 1), (2, 2)]
    (before,) = (one for one in request.after if one.stage == "stage3")
    students = obtain(place, h, before).state
    fold = place.corpus.folds[place.corpus.windows.recording]
    by_hand = []
    for mine in THREE:
        says = train.said(students.weights(mine), h, place.corpus, CPU)
        says[fold == mine] = np.nan
        by_hand.append(Lessons(says[None]))
    starts = [obtain(place, h, Request("stage1", ((mine,),), SEED)).state.weights(0) for mine in THREE]
    task = Task(h, place.corpus, CPU, ((0,), (1,), (2,)), SEED, tuple(starts), tuple(by_hand), cycle=2)
    last = list(train.stage("stage3", task))[-1]
    second = obtain(place, h, request).state
    assert second.facts["cycle"] == 2
    for mine in THREE:
        assert same(second.weights(mine), last.state.weights(mine))
        assert not same(second.weights(mine), students.weights(mine))


def test_in_the_diarys_scheme_all_students_of_a_cycle_teach_the_next(bench: Bench) -> None:
    h = small({"stage3.cycles": 2, "stage3.teacher_scheme": "diary"})
    place, _ = bench(h)
    request = trial_request(h, THREE, SEED)
    (before,) = (one for one in request.after if one.stage == "stage3")
    taught = lessons(place, h, request, {before: obtain(place, h, before)})
    fold = place.corpus.folds[place.corpus.windows.recording]
    state = obtain(place, h, before).state
    says = np.stack([train.said(state.weights(one), h, place.corpus, CPU) for one in THREE])
    for mine, one in enumerate(taught):
        np.testing.assert_array_equal(one.said[:, fold != mine], says[:, fold != mine])
        assert np.isnan(one.said[:, fold == mine]).all()


# What a trial reports

REPORTS = [
    ("stage3.focal_gamma", {"stage3.cycles": 2, "ruler.every_epochs": 2}),
    ("stage1.weight_decay", {"ruler.every_epochs": 2}),
    ("stage1.weight_decay", {"stage3.epochs": 0}),
    ("stage2.focal_gamma", {"stage3.epochs": 0, "ruler.every_epochs": 2}),
    ("stage1.weight_decay", {"stage2.epochs": 0, "stage3.epochs": 0, "ruler.every_epochs": 3}),
]


@pytest.mark.parametrize(("searched", "changed"), REPORTS)
def test_a_trial_reports_as_often_as_was_planned(
    bench: Bench, tmp_path: Path, searched: str, changed: dict[str, Any]
) -> None:
    recipe = {"stage1.epochs": 3, "stage2.epochs": 2, "stage3.epochs": 3, "stage3.teachers": 1}
    fixed = {**made_corpus.SMALL, **ONE_EPOCH, **recipe, **changed}
    if not fixed["stage3.epochs"]:
        fixed = {name: value for name, value in fixed.items() if not name.startswith("stage3.") or "epochs" in name}
    lines = [f'"{name}" = {json.dumps(value)}' for name, value in fixed.items()]
    text = ["[nuisance]", f'"{searched}" = {{ low = 0.0, high = 4.0 }}', "[fixed]", *lines]
    path = tmp_path / "space.toml"
    path.write_text("\n".join([*text, "[search]", 'scheduler = "none"', "folds = 3"]))
    study = space.load(path)
    params = {searched: 0.5}
    h = study.hyperparameters(params)
    request = trial_request(h, THREE, SEED, study.first_own(h.last_stage))
    place, _ = bench(h)
    reported = [epoch for epoch, _ in trial_epochs(place, h, request)]
    assert len(reported) == study.planned_epochs(params)
    assert cost(h, request).measured == 3 * len(reported)
    assert all(epoch.metrics and "recording_scores" in epoch.outputs for epoch in reported[-1:])
    assert reported[-1].epoch == request.epochs(h)
    again = [epoch for epoch, reused in trial_epochs(place, h, request) if reused]
    assert [facts(epoch) for epoch in again] == [facts(epoch) for epoch in reported]


# Several who need the same


@dataclass
class Board:
    """The leases of several workers of one process."""

    held: dict[str, str] = field(default_factory=dict)
    taken: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Worker:
    """One of them: its side of the board."""

    board: Board
    name: str

    def acquire(self, name: str) -> bool:
        with self.board.lock:
            if self.board.held.setdefault(name, self.name) != self.name:
                return False
            self.board.taken.append((self.name, name))
            return True

    def holds(self, name: str) -> bool:
        return self.board.held.get(name) == self.name

    def release(self, name: str) -> None:
        with self.board.lock:
            if self.holds(name):
                del self.board.held[name]


class Idle(Exception):
    """A worker that has nothing to do but wait."""


def give_up() -> None:
    raise Idle


def called(place: Workshop, h: Hyperparameters, request: Request) -> list[str]:
    return recipe.names([*earlier(request), request], h, place.partition)


def test_two_at_once_share_the_work_and_train_nothing_twice(bench: Bench) -> None:
    h = small()
    request = trial_request(h, THREE, SEED)
    board, begin = Board(), threading.Barrier(2)
    places = [bench(h) for _ in range(2)]

    def work(number: int) -> None:
        place = replace(places[number][0], lease=Worker(board, f"worker {number}"), wait=lambda: time.sleep(0.01))
        begin.wait()
        gather(place, h, [request])

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work, number) for number in range(2)]:
            future.result()
    assert sum(sum(trained) for _, trained in places) == cost(h, request).total
    assert all(trained for _, trained in places)
    assert not board.held
    assert all(places[0][0].store.epochs_done(name) == 1 for name in called(places[0][0], h, request))


def test_what_another_trains_is_left_to_it_and_all_else_is_trained_before_anybody_waits(bench: Bench) -> None:
    h = small()
    place, trained = bench(h)
    request = trial_request(h, THREE, SEED)
    board = Board()
    others = Request("stage1", ((0,),), SEED).name(h, place.partition)
    assert Worker(board, "another").acquire(others)
    with pytest.raises(Idle):
        gather(replace(place, lease=Worker(board, "this"), wait=give_up), h, [request])
    needs_it = {one.name(h, place.partition) for one in (*earlier(request), request) if one.held_out[0] == (0,)}
    assert len(needs_it) == 1 + 2 + 1  # fold 0's stage 1, its teachers, and the students
    for name in called(place, h, request):
        assert place.store.epochs_done(name) == (0 if name in needs_it else 1)
    assert sum(trained) == 2 * (1 + 2)
    assert board.held == {others: "another"}


def test_a_stage_whose_holder_died_is_taken_over(bench: Bench) -> None:
    h = small()
    place, trained = bench(h)
    request = trial_request(h, THREE, SEED)
    board, waited = Board(), []
    others = Request("stage1", ((0,),), SEED).name(h, place.partition)
    assert Worker(board, "dead").acquire(others)

    def wait() -> None:
        waited.append(sum(trained))
        del board.held[others]  # the driver drops what the dead one held

    gather(replace(place, lease=Worker(board, "heir"), wait=wait), h, [request])
    assert waited == [2 * (1 + 2)]  # once, when all else was done
    assert sum(trained) == cost(h, request).total
    assert not board.held


def test_a_late_finisher_finds_its_lease_lost_and_writes_nothing(bench: Bench) -> None:
    h = small({"stage1.epochs": 2})
    place, trained = bench(h)
    request = Request("stage1", ((0,),), SEED)
    name = request.name(h, place.partition)
    board = Board()
    heir = replace(place, lease=Worker(board, "heir"))

    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (place.store.folder / name).iterdir()}

    written: list[dict[str, bytes]] = []

    def tick(fold_epochs: int) -> None:
        """The late one has trained its first epoch; meanwhile it was taken for dead and another has done it all."""
        del board.held[name]
        gather(heir, h, [request])
        written.append(files())
        assert Worker(board, "next").acquire(name)

    late = replace(place, lease=Worker(board, "late"), tick=tick)
    with pytest.raises(LostLease, match=name):
        gather(late, h, [request])
    assert sum(trained) == 2  # the heir's
    assert [files()] == written
    assert board.held == {name: "next"}  # the late one gave back what was no longer its own: nothing


def test_where_everything_is_done_nothing_is_leased(bench: Bench) -> None:
    h = small()
    place, trained = bench(h)
    request = trial_request(h, THREE, SEED)
    gather(place, h, [request, *earlier(request)])
    trained.clear()
    board = Board()
    gather(replace(place, lease=Worker(board, "this")), h, [request, *earlier(request)])
    assert not board.taken
    assert not trained


def test_a_trial_waits_for_its_own_stage_in_other_hands_and_finds_it(bench: Bench) -> None:
    h = small()
    place, trained = bench(h)
    request = trial_request(h, THREE, SEED)
    board, waited = Board(), []
    name = request.name(h, place.partition)
    assert Worker(board, "twin").acquire(name)

    def wait() -> None:
        waited.append(sum(trained))
        gather(place, h, [request])  # the twin finishes, and has not given the lease back yet

    told = list(trial_epochs(replace(place, lease=Worker(board, "this"), wait=wait), h, request))
    assert [reused for _, reused in told] == [True]
    assert waited == [3 + 6]
    assert sum(trained) == cost(h, request).total
    assert board.held == {name: "twin"}


def test_a_damaged_result_of_a_trials_own_is_trained_again_under_its_lease(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    h = small()
    place, trained = bench(h)
    request = trial_request(h, THREE, SEED)
    first = list(trial_epochs(place, h, request))
    name = request.name(h, place.partition)
    (path,) = (place.store.folder / name).glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    trained.clear()
    board = Board()
    with caplog.at_level(logging.WARNING):
        again = list(trial_epochs(replace(place, lease=Worker(board, "this")), h, request))
    assert sum(trained) == 3
    assert [reused for _, reused in again] == [False]
    assert [facts(epoch) for epoch, _ in again] == [facts(epoch) for epoch, _ in first]
    assert board.taken == [("this", name)]
    assert not board.held


@pytest.mark.parametrize(
    ("knobs", "trained"),
    [
        ({}, ["stage1 ()", "stage2 ()", "stage2 ()", "stage3 ()"]),
        ({"stage3.cycles": 2}, ["stage1 ()", "stage2 ()", "stage2 ()", "stage3 ()", "stage3 ()"]),
        ({"stage3.pseudo_threshold": 1.0}, ["stage1 ()", "stage3 ()"]),
        ({"stage3.epochs": 0}, ["stage1 ()", "stage2 ()"]),
        ({"stage2.epochs": 0, "stage3.epochs": 0}, ["stage1 ()"]),
        (
            {"stage3.teacher_scheme": "nested"},
            ["stage1 ()", *(f"{stage} ({fold},)" for fold in range(2) for stage in ("stage1", "stage2")), "stage3 ()"],
        ),
    ],
)
def test_a_model_of_all_recordings_holds_nobody_out_and_is_never_measured(
    knobs: dict[str, Any], trained: list[str]
) -> None:
    h = build({"stage3.teachers": 2, **knobs})
    request = whole_request(h, range(2), seed=5)
    asked = [*earlier(request), request]
    assert [f"{one.stage} {held_out}" for one in asked for held_out in one.held_out] == trained
    assert not any(one.measured for one in asked)
    other = whole_request(h, range(2), seed=5, model=1)
    assert not set(asked) & {*earlier(other), other}


def test_stages_with_other_pretrained_weights_have_other_names() -> None:
    scratch, loaded = build({"network.pretrained": "none"}), build({"network.pretrained": "hub"})
    request = trial_request(scratch, (0, 1), 5)
    with_digest = replace(PARTITION, pretrained={loaded.network.source: "ab"})
    assert request.name(scratch, PARTITION) == request.name(scratch, with_digest)
    other = replace(PARTITION, pretrained={loaded.network.source: "cd"})
    names = {request.name(loaded, one) for one in (PARTITION, with_digest, other)}
    assert len(names) == 3
