"""Studies that meet trouble: a trial that raises, one that has no score, a worker that dies, a disk that is full."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from place import LITTLE, Place, a_place, sweep, tamper, wait_until

from study.events import read_events

EPOCHS = 4
TROUBLE = """
# Trial 1 raises, trial 2 loses its score, trial 3's worker is killed once.
def change(module):
    floor = module._floor
    def troubled(study, ledger, number, step, metrics):
        if number == 1 and step == 2:
            raise RuntimeError("made to fail")
        if number == 2 and step == 2:
            metrics["lwlrap"] = float("nan")
        if number == 3 and step == 3 and not os.path.exists({mark!r}):
            open({mark!r}, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return floor(study, ledger, number, step, metrics)
    module._floor = troubled
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as made:
        yield made


@pytest.mark.slow
def test_each_trouble_costs_its_own_trial_at_most_and_its_cause_is_on_record(place: Place) -> None:
    tamper(place, "study.outcome", TROUBLE.format(mark=str(place.folder / "killed")))
    text = LITTLE.replace("EPOCHS", str(EPOCHS)).replace("trials = 3", "trials = 6")
    (place.folder / "little.toml").write_text(text)
    code, _, err = place.run()
    assert code == 0, err
    trials = place.trials()
    assert [(trial.number, trial.state, trial.step) for trial in trials] == [
        (0, "COMPLETE", EPOCHS),
        (1, "FAILED", 1),
        (2, "FAILED", 1),
        (3, "COMPLETE", EPOCHS),
        (4, "COMPLETE", EPOCHS),
        (5, "COMPLETE", EPOCHS),
    ]
    assert "made to fail" in trials[1].reason
    assert "`lwlrap` must be finite, but got nan" in trials[2].reason
    assert [len(trial.troubles) for trial in trials] == [0, 1, 1, 1, 0, 0]
    assert "died" in trials[3].troubles[0]
    assert [trial.attempt for trial in trials] == [1, 2, 2, 2, 1, 1]
    events = read_events(place.ledger)
    epochs = [(event["trial"], event["step"]) for event in events if event["event"] == "epoch"]
    assert len(set(epochs)) == len(epochs)
    report = (place.study / "report.md").read_text()
    assert "2 of 6 trials failed." in report
    assert "3 attempts failed and went on from the last epoch." in report
    assert report.count("made to fail") >= 2
    storage = JournalStorage(JournalFileBackend(str(place.study / "optuna.journal")))
    told = optuna.load_study(study_name="little", storage=storage).trials
    told.sort(key=lambda trial: trial.user_attrs["trial"])
    assert [trial.state.name for trial in told] == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert [len(trial.intermediate_values) for trial in told] == [EPOCHS, 1, 1, EPOCHS, EPOCHS, EPOCHS]
    assert place.left_behind() == ([], [])


@pytest.fixture
def small_disk(place: Place) -> Iterator[Path]:
    """A disk of 100 MB at the place where studies are kept."""
    disk = place.folder / "studies"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "none", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_one_message_and_costs_no_trial(place: Place, small_disk: Path) -> None:
    (place.folder / "little.toml").write_text(LITTLE.replace("EPOCHS", str(EPOCHS)))
    process = place.start()
    filler = small_disk / "filler"
    try:
        wait_until(lambda: place.epochs() >= 2, process)
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        _, err = process.communicate(timeout=120.0)
    finally:
        sweep(process)
    assert process.returncode == 1, err
    assert "No space left on device" in err
    assert "Make room" in err
    assert "Traceback" not in err
    assert not [trial for trial in place.trials() if trial.state == "FAILED"]
    filler.unlink()
    code, _, err = place.run()
    assert code == 0, err
    place.check_once_each(3, EPOCHS)


@pytest.mark.slow
def test_a_folder_that_vanishes_ends_the_run_with_one_message_and_nothing_is_lost(place: Place) -> None:
    (place.folder / "little.toml").write_text(LITTLE.replace("EPOCHS", str(EPOCHS)))
    process = place.start()
    try:
        wait_until(lambda: place.epochs() >= 2, process)
        study = place.study
        study.rename(place.folder / "moved")
        _, err = process.communicate(timeout=120.0)
    finally:
        sweep(process)
    assert process.returncode == 1, err
    assert "was moved, deleted or unmounted while the study ran" in err
    assert "Traceback" not in err
    shutil.rmtree(study, ignore_errors=True)
    (place.folder / "moved").rename(study)
    code, _, err = place.run()
    assert code == 0, err
    place.check_once_each(3, EPOCHS)


@pytest.mark.slow
def test_a_second_driver_is_refused_and_a_third_goes_on_after_the_first_was_killed(place: Place) -> None:
    (place.folder / "little.toml").write_text(LITTLE.replace("EPOCHS", str(EPOCHS)))
    process = place.start()
    try:
        wait_until(lambda: place.epochs() >= 1, process)
        process.send_signal(signal.SIGSTOP)
        code, _, err = place.run()
        assert code == 2, err
        assert f"another `run` works on this study (process {process.pid} on " in err
        assert len(json.loads(next((place.study / ".lease").glob("*.json")).read_text())) == 6
    finally:
        sweep(process)
        process.communicate()
    code, _, err = place.run()
    assert code == 0, err
    place.check_once_each(3, EPOCHS)
