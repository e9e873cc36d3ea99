"""The desk: who may train which stage, and whether a late finisher may still write. Ray runs in the slow test only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.desk import Desk

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
