"""A trial of its own, and the desk: who may train which stage, and whether a late finisher may still write.

Ray runs in the slow test only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import tune
from tiny import KNOBS, fixed

from rfcx_model.recordings import load as load_recordings
from study import trainable
from study.desk import Desk
from study.scored import out_of_fold
from study.setting import Alone, Setting
from study.shown_file import shown_path
from study.space import load
from study.trainable import Job, trial, trial_name
from study.trials import Trial

PLAIN: Any = Desk.__ray_metadata__.modified_class  # type: ignore[attr-defined]


def test_one_owner_at_a_time_has_a_stage_and_may_ask_again() -> None:
    desk = PLAIN()
    assert desk.acquire("stage1-a", "trial 1") == 1
    assert desk.acquire("stage1-a", "trial 2") == 0
    assert desk.acquire("stage1-b", "trial 2") == 2
    assert desk.holds("stage1-a", 1)
    assert desk.holds("stage1-b", 2)
    desk.release("stage1-a", 1)
    assert not desk.holds("stage1-a", 1)
    assert desk.acquire("stage1-a", "trial 2") == 3


def test_another_attempt_of_the_same_owner_has_a_new_number_and_the_old_one_holds_nothing() -> None:
    desk = PLAIN()
    first, second = (desk.acquire("stage1-a", "trial 1") for _ in range(2))
    assert first < second
    assert not desk.holds("stage1-a", first)
    assert desk.holds("stage1-a", second)


def test_what_a_dead_owner_held_passes_on_and_its_old_number_takes_nothing_back() -> None:
    desk = PLAIN()
    dead = desk.acquire("stage1-a", "trial 1")
    kept = desk.acquire("stage1-b", "trial 2")
    desk.drop("trial 1")
    assert not desk.holds("stage1-a", dead)
    assert desk.holds("stage1-b", kept)
    heir = desk.acquire("stage1-a", "trial 2")
    assert heir
    assert not desk.holds("stage1-a", dead)
    desk.release("stage1-a", dead)
    assert desk.holds("stage1-a", heir)


def test_no_number_holds_a_stage_that_nobody_leased_and_giving_it_back_is_no_error() -> None:
    desk = PLAIN()
    assert not desk.holds("stage1-a", 0)
    desk.release("stage1-a", 0)
    desk.drop("nobody")
    assert desk.acquire("stage1-a", "trial 1")


def test_fold_epochs_add_up() -> None:
    desk = PLAIN()
    for fold_epochs in (1, 5, 2):
        desk.tick(fold_epochs)
    assert desk.trained() == 8


OWNERS, NAMES = ("a", "b", "c"), ("x", "y")


@given(calls=st.lists(st.tuples(st.sampled_from("ard"), st.sampled_from(OWNERS), st.sampled_from(NAMES)), max_size=40))
def test_whatever_happens_at_most_the_last_number_of_a_stage_holds_it(calls: list[tuple[str, str, str]]) -> None:
    desk = PLAIN()
    given_out: dict[str, list[tuple[int, str]]] = {name: [] for name in NAMES}
    for kind, owner, name in calls:
        holders = {n: {who for number, who in given_out[n] if desk.holds(n, number)} for n in NAMES}
        if kind == "a":
            number = desk.acquire(name, owner)
            assert (number > 0) == (holders[name] <= {owner})
            given_out[name] += [(number, owner)] if number else []
        elif kind == "r":
            mine = [number for number, who in given_out[name] if who == owner]
            desk.release(name, mine[-1] if mine else 0)
            assert holders[name] - {owner} == {who for n, who in given_out[name] if desk.holds(name, n)}
        else:
            desk.drop(owner)
        for n, several in given_out.items():
            assert [number for number, _ in several if desk.holds(n, number)] in ([], [one for one, _ in several[-1:]])
    numbers = [number for several in given_out.values() for number, _ in several]
    assert len(numbers) == len(set(numbers))


TURNS = """
from study import ray_environment

ray_environment.settle(None)
import ray

from study.ray_session import session
from study.desk import Desk, DeskLease

with session(None):
    desk = Desk.remote()
    first, second = DeskLease(desk, "trial 1"), DeskLease(desk, "trial 2")
    print(first.acquire("a"), first.holds("a"), second.acquire("a"), second.holds("a"))
    second.release("a")  # it never had it
    print(first.holds("a"))
    desk.drop.remote("trial 1")
    print(second.acquire("a"), first.holds("a"))
    first.release("a")
    print(second.holds("a"))
    second.release("a")
    second.release("a")
    print(second.holds("a"), DeskLease(desk, "trial 3").acquire("a"))
    first.tick(3)
    second.tick(4)
    print(ray.get(desk.trained.remote()))
"""


@pytest.mark.slow
def test_two_owners_at_the_real_desk_take_turns_and_the_late_one_holds_nothing(tmp_path: Path) -> None:
    script = tmp_path / "turns.py"
    script.write_text(TURNS)
    told = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-3000:]
    assert told.stdout.splitlines() == ["True True False False", "True", "True False", "True", "False True", "7"]


SPACE = """
[scientific]
"stage3.mixup_site" = { choices = ["none", "input"] }
[search]
sampler = "grid"
scheduler = "none"
folds = 2
"""


class Quiet(Alone):
    """A lease that nobody contests, of a desk at which nobody sits."""

    def __init__(self, desk: Any, owner: str) -> None:
        del desk, owner

    def tick(self, fold_epochs: int) -> None:
        del fold_epochs

    def say(self, text: str) -> None:
        del text


def test_a_trial_leaves_its_scores_and_what_it_shows_of_the_first_and_the_last_epochs(
    shared_tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    knobs = KNOBS | {"stage2.epochs": 0, "stage3.pseudo_threshold": 1.0, "stage3.epochs": 5}
    (tmp_path / "little.toml").write_text(SPACE + fixed(knobs))
    study = load(tmp_path / "little.toml")
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(trainable, "DeskLease", Quiet)
    monkeypatch.setattr(tune, "report", reports.append)
    setting = Setting(load_recordings(shared_tiny_folder), 2, tmp_path / "cache", tmp_path / "stages", threads=1)
    config = {"trial": 1, "replicate": 0, "params": {"stage3.mixup_site": "none"}}
    trial(config, Job(study, setting, tmp_path / "study", desk=None))
    assert [report["step"] for report in reports] == [1, 2, 3, 4, 5]
    folder = tmp_path / "study" / "trials" / trial_name(study, config)
    assert [step for step in range(1, 6) if shown_path(folder, step).exists()] == [1, 2, 4, 5]
    told = Trial(1, "search", 0, 0, {}, {}, 1, 0.0, scores=f"trials/{folder.name}/scores.npz")
    assert out_of_fold(tmp_path / "study", told) is not None
