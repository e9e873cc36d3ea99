"""Whole studies with Ray, as a user runs them: carried on after any end, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import FIXED, LISTEN, LITTLE, Place, a_place, sweep, wait_until


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as made:
        yield made


@pytest.mark.slow
def test_a_study_ends_and_is_carried_on_only_for_more_trials(place: Place) -> None:
    code, out, err = place.run()
    assert code == 0, err
    trials = place.trials()
    assert [(trial.number, trial.state, trial.step) for trial in trials] == [(n, "COMPLETE", 2) for n in range(3)]
    assert [trial.origin for trial in trials] == ["baseline", "search", "search"]
    assert trials[0].config["stage3.mixup_site"] == "input"
    assert not any(epoch.reused for trial in trials for epoch in trial.epochs)
    assert (place.study / "report.html").stat().st_size > 10_000
    assert str(place.study) in out
    for trial in trials:
        folder = place.study / "trials" / trial.name
        assert list(folder.glob("events.out.tfevents.*"))
        assert trial.scores == f"trials/{trial.name}/scores.npz"
        assert (place.study / trial.scores).exists()
    assert place.left_behind() == ([], [])

    ledger = place.ledger.read_bytes()
    stages = {path: path.stat().st_mtime_ns for path in (place.study / "stages").rglob("*")}
    code, _, err = place.run()
    assert code == 0, err
    assert place.ledger.read_bytes() == ledger
    assert {path: path.stat().st_mtime_ns for path in (place.study / "stages").rglob("*")} == stages

    lines = ledger.splitlines(keepends=True)
    assert b'"event":"ended"' in lines[-1]
    place.ledger.write_bytes(b"".join(lines[:-1]))  # as if killed when all was trained, before the last word
    code, _, err = place.run("--trials", "5")
    assert code == 0, err
    assert place.ledger.read_bytes().startswith(b"".join(lines[:-1]))
    assert [(trial.number, trial.state, trial.step) for trial in place.trials()] == [
        (n, "COMPLETE", 2) for n in range(5)
    ]
    assert {path: path.stat().st_mtime_ns for path in stages} == stages
    assert place.left_behind() == ([], [])


def forecast(place: Place) -> dict[str, int]:
    """What `plan` expects."""
    code, out, err = place.run("--json", verb="plan")
    assert code == 0, err
    cost: dict[str, int] = json.loads(out)["cost"]
    return cost


def trained_before_any_trial(place: Place, kinds: tuple[str, ...]) -> list[str]:
    """Shared stages of the store, none of which was written again when the trials had begun."""
    begun = min(trial.started for trial in place.trials())
    measured = {
        path.parent.name for path in (place.study / "stages").glob("*/meta.json") if "lwlrap" in path.read_text()
    }
    shared = [p for p in (place.study / "stages").glob("*/*") if p.parent.name not in measured]
    assert all(path.stat().st_mtime < begun for path in shared)
    found = [path.parent.name for path in shared if path.name == "meta.json"]
    assert {name.partition("-")[0] for name in found} == set(kinds)
    return found


@pytest.mark.slow
def test_six_trials_train_what_was_forecast_and_share_all_that_they_can(place: Place) -> None:
    text = LITTLE.replace("EPOCHS", "1").replace('"stage3.teachers" = 1', '"stage3.teachers" = 2')
    (place.folder / "little.toml").write_text(text.replace("trials = 3", "trials = 6"))
    shared, a_trial = 2 * 1 + 2 * 2 * 1, 2 * 1  # stage 1 of two folds and two teachers each; then both students
    trained, alone = shared + 6 * a_trial, 6 * (shared + a_trial)
    assert (trained, alone) == (18, 48)
    cost = forecast(place)
    assert (cost["shared"], cost["trials"], cost["alone"]) == (shared, 6 * a_trial, alone)
    code, out, err = place.run()
    assert code == 0, err
    said = f"{trained} fold-epochs trained; {alone} if each trial had trained all it needs, 2.7 times as many"
    assert said in out + err
    assert [trial.state for trial in place.trials()] == ["COMPLETE"] * 6
    assert len(trained_before_any_trial(place, ("stage1", "stage2"))) == 2 + 4
    assert len(list((place.study / "stages").glob("stage3-*"))) == 6


ARMS = """
[[arm]]
regime = "early"
stage1 = { mixup_site = "input" }
stage2 = { epochs = 0 }
stage3 = { epochs = 0 }
[[arm]]
regime = "late"
stage3 = { mixup_site = "input" }
[[arm]]
regime = "late"
stage3 = { mixup_site = "stage4" }
[search]
sampler = "grid"
scheduler = "none"
replicates = 2
folds = 2
"""


@pytest.mark.slow
def test_a_list_of_arms_is_tried_in_every_replicate_and_shares_its_stages(place: Place) -> None:
    (place.folder / "little.toml").write_text(FIXED.replace("EPOCHS", "1") + ARMS)
    early, late, shared = 2 * 1, 2 * 1, 2 * 1 + 2 * 1  # of two folds; shared are stage 1 and a teacher a fold
    trained, alone = 2 * (early + shared + 2 * late), 2 * (early + 2 * (shared + late))
    assert (trained, alone) == (20, 28)
    cost = forecast(place)
    assert (cost["shared"], cost["trials"], cost["alone"]) == (2 * shared, 2 * (early + 2 * late), alone)
    code, out, err = place.run()
    assert code == 0, err
    assert f"{trained} fold-epochs trained; {alone} if each trial had trained all it needs" in out + err
    trials = place.trials()
    assert [(trial.replicate, trial.state, trial.step) for trial in trials] == [
        (replicate, "COMPLETE", 1) for replicate in (0, 0, 0, 1, 1, 1)
    ]
    arms = [
        (trial.epochs[-1].stage, trial.config["stage1.mixup_site"], trial.config["stage3.mixup_site"])
        for trial in trials
    ]
    assert [(stage, site if stage == 1 else other) for stage, site, other in arms[:3]] == [
        (1, "input"),
        (3, "input"),
        (3, "stage4"),
    ]
    assert arms[3:] == arms[:3]
    assert {trial.seed for trial in trials[:3]}.isdisjoint(trial.seed for trial in trials[3:])
    assert not any(epoch.reused for trial in trials for epoch in trial.epochs)
    assert len(trained_before_any_trial(place, ("stage1", "stage2"))) == 2 * (2 + 2)
    assert len(list((place.study / "stages").glob("*/meta.json"))) == 2 * (2 + 2 + 1 + 2)


@pytest.mark.slow
def test_a_stage_that_is_cut_short_on_disk_is_said_and_trained_again(place: Place) -> None:
    (place.folder / "little.toml").write_text(LITTLE.replace("EPOCHS", "1"))
    code, _, err = place.run()
    assert code == 0, err
    assert "trained again" not in err
    damaged = list((place.study / "stages").glob("stage1-*/epoch-*.safetensors"))
    assert len(damaged) == 2
    whole = [path.read_bytes() for path in damaged]
    for path, content in zip(damaged, whole, strict=True):
        path.write_bytes(content[:100])
    code, _, err = place.run("--trials", "4")
    assert code == 0, err
    for path in damaged:
        assert f"{path.parent.name}: {path.name} cannot be used" in err
    assert [trial.state for trial in place.trials()] == ["COMPLETE"] * 4
    assert [path.read_bytes() for path in damaged] == whole


@pytest.mark.slow
def test_a_driver_that_is_killed_loses_and_doubles_no_epoch(place: Place) -> None:
    (place.folder / "little.toml").write_text(LITTLE.replace("EPOCHS", "12"))
    process = place.start()

    def some_epochs() -> bool:
        found = list((place.folder / "studies").glob("little-*/trials.jsonl"))
        return bool(found) and found[0].read_bytes().count(b'"event":"epoch"') >= 6

    try:
        wait_until(some_epochs, process)
        process.kill()
        process.communicate()
    finally:
        sweep(process)
    before = place.ledger.read_bytes()
    known = {trial.number: trial for trial in place.trials()}
    assert any(trial.state == "RUNNING" for trial in known.values())
    code, _, err = place.run()
    assert code == 0, err
    assert place.ledger.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    trials = place.trials()
    assert [(trial.number, trial.state) for trial in trials] == [(n, "COMPLETE") for n in range(3)]
    for trial in trials:
        assert [epoch.step for epoch in trial.epochs] == list(range(1, 13))
        if trial.number in known:
            assert trial.epochs[: known[trial.number].step] == known[trial.number].epochs
            assert trial.config == known[trial.number].config
    lines = place.ledger.read_text().splitlines()
    assert sum('"event":"epoch"' in line for line in lines) == 3 * 12
    assert place.left_behind()[0] == []


@pytest.mark.slow
def test_an_interrupted_run_says_how_to_go_on_and_leaves_nothing_running(place: Place) -> None:
    (place.folder / "little.toml").write_text(LITTLE.replace("EPOCHS", "400"))
    process = place.start()
    listening: set[str] = set()

    def first_epoch() -> bool:
        listening.update(addresses(place.processes()))
        found = list((place.folder / "studies").glob("little-*/trials.jsonl"))
        return bool(found) and b'"event":"epoch"' in found[0].read_bytes()

    try:
        wait_until(first_epoch, process)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60.0)
    finally:
        sweep(process)
    assert process.returncode == 130, err
    assert "interrupted; the same call goes on where it was: " in err
    assert "Traceback" not in err
    assert place.left_behind() == ([], [])
    assert {trial.state for trial in place.trials()} == {"RUNNING"}
    assert listening, "Ray listens somewhere"
    assert listening <= {"0100007F", "0" * 24 + "01000000", "0" * 16 + "FFFF00000100007F"}


def addresses(processes: list[int]) -> set[str]:
    """Addresses, in the kernel's hexadecimal, on which these processes accept TCP connections."""
    sockets = set()
    for number in processes:
        try:
            for link in (Path("/proc") / str(number) / "fd").iterdir():
                sockets |= set(re.findall(r"socket:\[(\d+)\]", str(link.readlink())))
        except OSError:
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in (Path("/proc/net") / table).read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == LISTEN and cells[9] in sockets:
                found.add(cells[1].partition(":")[0])
    return found
