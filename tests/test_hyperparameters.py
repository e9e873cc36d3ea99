from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rfcx_model.hyperparameters import (
    READS,
    UNREAD,
    UNSEARCHABLE,
    Frontend,
    Hyperparameters,
    Stage3,
    Windows,
    build,
    flatten,
    group_of,
    knobs,
)


def test_the_defaults_are_the_diary_s() -> None:
    given = knobs()
    diary = {
        "frontend.sample_rate_hz": 32_000,
        "frontend.n_mels": 128,
        "windows.window_frames": 512,
        "windows.overlap_frames": 49,
        "network.backbone": "resnet18",
        "network.pooling": "attention",
        "augment.time_mask_frames": 40,
        "augment.mel_mask_mels": 30,
        "augment.mask_probability": 0.5,
        "stage1.epochs": 50,
        "stage1.learning_rate": 1e-3,
        "stage1.cosine_epochs": 10,
        "stage1.batch_crops": 64,
        "stage1.fp_recordings": 30,
        "stage1.jitter_frames": [0, 32, 64, 128, 256],
        "stage2.epochs": 5,
        "stage2.learning_rate": 3e-4,
        "stage2.batch_recordings": 32,
        "stage3.epochs": 5,
        "stage3.learning_rate": 3e-4,
        "stage3.mixup_alpha": 0.1,
        "stage3.focal_gamma": 2.0,
        "stage3.teachers": 5,
        "stage3.votes": 0.6,
    }
    assert {name: given[name] for name in diary} == diary
    assert Frontend().frames_per_s == 62.5


values: dict[str, st.SearchStrategy[Any]] = {
    "stage3.mixup_site": st.sampled_from(["none", "input", "stage3", "stage4"]),
    "stage3.mixup_alpha": st.floats(1e-6, 10),
    "stage3.pseudo_threshold": st.floats(0, 1),
    "stage3.focal_gamma": st.floats(0, 10),
    "stage3.positive_weight_decay": st.booleans(),
    "stage1.jitter_frames": st.lists(st.integers(0, 300), max_size=4),
    "stage1.epochs": st.integers(0, 99),
    "network.backbone": st.text(min_size=1),
}


@settings(deadline=None)
@given(chosen=st.fixed_dictionaries({}, optional=values))
def test_knobs_survive_the_way_through_json(chosen: dict[str, Any]) -> None:
    built = build(chosen)
    again = build(json.loads(json.dumps(flatten(built))))
    assert again == built
    assert hash(again) == hash(built)
    assert {name: flatten(built)[name] for name in chosen} == chosen


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"stage3.focal_gama": 1.0}, "focal_gama"),
        ({"stage4.epochs": 1}, "stage4"),
        ({"stage3.mixup_site": "stage2"}, "mixup_site"),
        ({"stage3.mixup_alpha": 0.0}, "mixup_alpha"),
        ({"stage3.pseudo_threshold": 1.5}, "pseudo_threshold"),
        ({"stage3.focal_gamma": -1.0}, "focal_gamma"),
        ({"stage3.focal_gamma": float("nan")}, "focal_gamma"),
        ({"stage3.focal_gamma": float("inf")}, "focal_gamma"),
        ({"stage3.teachers": 2.5}, "teachers"),
        ({"stage3.epochs": -1}, "epochs"),
        ({"stage3.cycles": 4}, "cycles"),
        ({"stage1.jitter_frames": [-1]}, "jitter_frames"),
        ({"windows.overlap_frames": 512}, "windows"),
        ({"frontend.f_max_hz": 16_001.0}, "frontend"),
        ({"frontend.f_min_hz": 16_000.0}, "frontend"),
    ],
)
def test_what_a_knob_cannot_be_is_refused_by_name(changed: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        build(changed)
    assert any(place in map(str, error["loc"]) for error in caught.value.errors())


RECIPES: list[tuple[dict[str, Any], str]] = [
    ({"stage1.epochs": 0, "stage2.epochs": 0, "stage3.epochs": 0}, "all are 0"),
    ({"stage2.epochs": 0}, "needs teachers, which stage 2 trains"),
    ({"stage3.cycles": 2, "stage3.pseudo_threshold": 1.0}, "stage3.cycles > 1 labels again"),
]


@pytest.mark.parametrize(("changed", "said"), RECIPES)
def test_a_recipe_that_contradicts_itself_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        build(changed)


@pytest.mark.parametrize(
    ("changed", "last", "site"),
    [
        ({}, "stage3", "input"),
        ({"stage3.epochs": 0}, "stage2", "stage4"),
        ({"stage2.epochs": 0, "stage3.epochs": 0}, "stage1", "stage3"),
        ({"stage1.epochs": 0, "stage3.epochs": 0}, "stage2", "stage4"),
        ({"stage2.epochs": 0, "stage3.pseudo_threshold": 1.0}, "stage3", "input"),
    ],
)
def test_a_recipe_ends_with_its_last_stage_that_has_epochs(changed: dict[str, Any], last: str, site: str) -> None:
    sites = {"stage1.mixup_site": "stage3", "stage2.mixup_site": "stage4", "stage3.mixup_site": "input"}
    recipe = build({**sites, **changed})
    assert (recipe.last_stage, recipe.site) == (last, site)


def test_limits_between_two_knobs_say_what_was_got() -> None:
    with pytest.raises(ValidationError, match="overlap_frames=60, window_frames=50"):
        Windows(window_frames=50, overlap_frames=60)
    with pytest.raises(ValidationError, match="f_max_hz=9000, sample_rate_hz=16000"):
        Frontend(sample_rate_hz=16_000, f_max_hz=9000)


def test_knobs_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Hyperparameters().stage3.epochs = 3  # type: ignore[misc]
    assert replace(Stage3(), epochs=3).epochs == 3


def test_every_group_is_read_by_some_stage_and_none_twice() -> None:
    groups = [field.name for field in fields(Hyperparameters)]
    assert all(is_dataclass(getattr(Hyperparameters(), group)) for group in groups)
    read = [group for stage in READS.values() for group in stage]
    assert sorted(read) == sorted(groups)
    assert set(UNSEARCHABLE) <= set(groups)


@settings(deadline=None)
@given(chosen=st.fixed_dictionaries({}, optional=values))
def test_a_stage_s_groups_change_only_with_its_own_knobs(chosen: dict[str, Any]) -> None:
    built, default = build(chosen), Hyperparameters()
    for stage, groups in READS.items():
        own = any(flatten(built)[name] != flatten(default)[name] for name in chosen if name.split(".")[0] in groups)
        assert (group_of(built, stage) != group_of(default, stage)) == own
        json.dumps(group_of(built, stage))


def test_knobs_that_only_choose_stages_stand_in_no_stage_s_name() -> None:
    assert {name for name in UNREAD if name in knobs()} == set(UNREAD)
    for stage, groups in READS.items():
        told = {f"{group}.{name}" for group, members in group_of(Hyperparameters(), stage).items() for name in members}
        assert told == {name for name in knobs() if name.split(".")[0] in groups} - set(UNREAD)
