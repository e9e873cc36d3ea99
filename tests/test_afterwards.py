"""What is said once a run is over: what was not learnt, arms without a finished trial, and the command that follows."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from study import afterwards as module
from study.afterwards import afterwards
from study.floor import Floor
from study.space import Study, load
from study.trials import Origin, State, Trial

SPACE = """
[scientific]
"stage3.mixup_site" = { choices = ["none", "input", "stage4"] }
[nuisance]
"stage3.focal_gamma" = { low = 0.0, high = 4.0 }
[fixed]
"network.backbone" = "test_resnet"
[baseline]
"stage3.mixup_site" = "input"
"stage3.focal_gamma" = 2.0
"""
BY = "stage3.mixup_site"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "space.toml").write_text(SPACE)
    return load(tmp_path / "space.toml")


def told(
    monkeypatch: pytest.MonkeyPatch, study: Study, *runs: tuple[str, State], under: Floor | None = None
) -> tuple[tuple[str, ...], str]:
    trials = []
    for number, (site, state) in enumerate(runs):
        origin: Origin = "search" if number else "baseline"
        config = study.config({BY: site, "stage3.focal_gamma": number / 2})
        trials.append(Trial(number, origin, 0, 1, config, {}, 1, 0.0, state=state, score=number / 10, name=str(number)))
    monkeypatch.setattr(module, "read_trials", lambda path: trials)
    monkeypatch.setattr(module, "of_trial", lambda folder, trial: under)
    found = afterwards(study, Path("a folder"))
    return found.cautions, found.following


WHOLE: tuple[tuple[str, State], ...] = (("input", "COMPLETE"), ("none", "COMPLETE"), ("stage4", "COMPLETE"))


def test_a_search_is_followed_by_confirm_with_all_arms_filled(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    cautions, following = told(monkeypatch, study, *WHOLE)
    assert cautions == ()
    assert shlex.split(following) == ["rfcx-study", "confirm", "a folder", "--by", BY, "--fill", "--replicates", "5"]


def test_arms_that_pruning_has_ended_are_named_and_those_that_were_never_tried_are_not(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    (said,), _ = told(monkeypatch, study, ("input", "COMPLETE"), ("none", "PRUNED"), ("input", "COMPLETE"))
    assert said.startswith("No trial of stage3.mixup_site = none has finished, so it cannot be compared: more --trials")
    (said,), _ = told(monkeypatch, study, ("input", "COMPLETE"), ("none", "PRUNED"), ("stage4", "FAILED"))
    assert said.startswith("No trial of stage3.mixup_site = none, stage4 has finished, so they cannot")


def test_models_that_have_not_learnt_are_said(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    (said,), _ = told(monkeypatch, study, *WHOLE, under=Floor(0.3, 0.29, 0.2, 0.2))
    assert said.startswith(
        "Trial 2, the best, has not been shown to tell recordings apart: LWLRAP is 0.3000; handed to"
    )
    assert told(monkeypatch, study, *WHOLE, under=Floor(0.5, 0.29, 0.2, 0.005))[0] == ()


def test_a_baseline_alone_has_nothing_to_be_confirmed(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, study, ("input", "COMPLETE"))[1] == ""
    assert told(monkeypatch, study, ("input", "RUNNING")) == ((), "")


def test_a_search_without_arms_has_its_best_confirmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SPACE.replace('{ choices = ["none", "input", "stage4"] }', "0").replace('"stage3.mixup_site" = 0', "")
    (tmp_path / "plain.toml").write_text(text.replace('"stage3.mixup_site" = "input"', ""))
    _, following = told(monkeypatch, load(tmp_path / "plain.toml"), *WHOLE)
    assert shlex.split(following)[3:] == ["--top", "3", "--replicates", "5"]


def test_a_grid_in_replicates_is_compared_and_another_has_nothing_to_follow(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grid(replicates: int) -> Study:
        return replace(study, search=replace(study.search, sampler="grid", replicates=replicates))

    assert told(monkeypatch, grid(3), *WHOLE)[1] == f"rfcx-study compare 'a folder' --by {BY}"
    assert told(monkeypatch, grid(1), *WHOLE)[1] == ""
