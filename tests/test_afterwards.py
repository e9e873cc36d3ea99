"""What is said once a run is over: what was not learnt, arms without a finished trial, and the command that follows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from made_replicates import GRID, SITE, Made

from study.afterwards import Afterwards, afterwards
from study.space import Study, load

SPACE = """
[scientific]
"stage3.mixup_site" = { choices = ["none", "input", "stage4"] }
[nuisance]
"stage3.focal_gamma" = { low = 0.0, high = 4.0 }
[baseline]
"stage3.mixup_site" = "input"
"stage3.focal_gamma" = 2.0
"""
WHOLE = (("input", "COMPLETE"), ("none", "COMPLETE"), ("stage4", "COMPLETE"))
KNOWING, IGNORANT = 2.0, 0.0


@pytest.fixture(autouse=True)
def not_by_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "space.toml").write_text(SPACE)
    return load(tmp_path / "space.toml")


def made(folder: Path, runs: Sequence[tuple[str, str]], gain: float = KNOWING) -> Made:
    told = Made(folder / "a study", {**GRID, "search": {"sampler": "tpe", "folds": 3}})
    for number, (site, state) in enumerate(runs):
        origin = "search" if number else "baseline"
        told.trial({SITE: site, "stage3.focal_gamma": number / 2}, 0, gain, state=state, origin=origin)
    return told


def after(folder: Path, study: Study, *runs: tuple[str, str], gain: float = KNOWING) -> Afterwards:
    return afterwards(study, made(folder, runs, gain).folder)


def words(told: Afterwards) -> list[str]:
    return shlex.split(told.following)


def test_a_search_is_followed_by_confirm_with_all_arms_filled(study: Study, tmp_path: Path) -> None:
    told = after(tmp_path, study, *WHOLE)
    assert told.cautions == ()
    folder = str(tmp_path / "a study")
    assert words(told) == ["rfcx-study", "confirm", folder, "--by", SITE, "--fill", "--replicates", "5"]


def test_the_command_is_called_as_this_one_was(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    assert words(after(tmp_path, study, *WHOLE))[:3] == ["uv", "run", "rfcx-study"]


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([("none", "PRUNED")], "stage3.mixup_site = none has ended without being pruned, so nothing is known of it"),
        (
            [("none", "PRUNED"), ("stage4", "PRUNED"), ("stage4", "FAILED")],
            "stage3.mixup_site = none, stage4 has ended without being pruned, so nothing is known of them",
        ),
        ([("none", "PRUNED"), ("none", "COMPLETE")], ""),
        ([("none", "PRUNED"), ("none", "RUNNING")], ""),
        ([("none", "FAILED")], ""),
        ([], ""),
    ],
)
def test_arms_of_which_pruning_has_left_nothing_are_named(
    study: Study, tmp_path: Path, runs: list[tuple[str, str]], said: str
) -> None:
    told = after(tmp_path, study, ("input", "COMPLETE"), *runs)
    assert [said in one for one in told.cautions] == [True] * bool(said)


def test_a_best_that_has_not_learnt_comes_first(study: Study, tmp_path: Path) -> None:
    first, second = after(tmp_path, study, ("input", "COMPLETE"), ("none", "PRUNED"), gain=IGNORANT).cautions
    assert first.startswith("Trial 0, the best, has not been shown to tell recordings apart: LWLRAP is 0.")
    assert second.startswith("No trial of stage3.mixup_site = none")


def test_a_baseline_alone_has_nothing_to_be_confirmed(study: Study, tmp_path: Path) -> None:
    assert after(tmp_path / "one", study, ("input", "COMPLETE")).following == ""
    assert after(tmp_path / "two", study, ("input", "RUNNING")) == Afterwards((), "")


def test_a_search_without_arms_has_its_best_confirmed(tmp_path: Path) -> None:
    text = SPACE.replace('"stage3.mixup_site" = { choices = ["none", "input", "stage4"] }', "")
    (tmp_path / "plain.toml").write_text(text.replace('"stage3.mixup_site" = "input"', ""))
    assert words(after(tmp_path, load(tmp_path / "plain.toml"), *WHOLE))[3:] == ["--top", "3", "--replicates", "5"]


def test_a_grid_in_replicates_is_compared_and_another_has_nothing_to_follow(study: Study, tmp_path: Path) -> None:
    def grid(replicates: int) -> Study:
        return replace(study, search=replace(study.search, sampler="grid", replicates=replicates))

    assert words(after(tmp_path / "3", grid(3), *WHOLE))[1:] == ["compare", str(tmp_path / "3/a study"), "--by", SITE]
    assert after(tmp_path / "1", grid(1), *WHOLE).following == ""


def test_what_was_declared_is_confirmed_as_it_was_and_then_compared(study: Study, tmp_path: Path) -> None:
    told = made(tmp_path, WHOLE)
    arms = [("baseline", {SITE: "input"}, True), ("site=stage4", {SITE: "stage4"}, False)]
    told.confirm(arms, [1, 2, 3], [])
    assert words(afterwards(study, told.folder))[3:] == ["--top", "1", "--replicates", "3"]
    path = told.folder / "confirm.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"by": SITE}))
    assert words(afterwards(study, told.folder))[3:] == ["--by", SITE, "--replicates", "3"]
    for replicate in (1, 2, 3):
        for _, params, _ in arms:
            told.trial(params, replicate, KNOWING, origin="confirm")
    assert words(afterwards(study, told.folder))[1:] == ["compare", str(told.folder), "--by", SITE]
