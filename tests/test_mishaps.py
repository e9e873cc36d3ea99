"""Studies whose disk, files, clock or memory fail while they run: they carry on, or say in a sentence why they end."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from place import LITTLE, Place, a_place, sweep, tamper, wait_until

from study.events import read_events

EPOCHS = 8
NOTHING_LEFT: tuple[list[str], list[Path]] = ([], [])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as made:
        (made.folder / "little.toml").write_text(LITTLE.replace("EPOCHS", str(EPOCHS)))
        yield made


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder as a disk that fails is mounted again: what is open stays so, and nothing new can be written."""
    bound = ["mount", "--bind", str(folder), str(folder)]
    if subprocess.run(bound, check=False, capture_output=True).returncode:
        pytest.skip("a folder cannot be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_folder_that_becomes_read_only_ends_the_run_with_one_message_and_costs_no_trial(place: Place) -> None:
    process = place.start()
    try:
        wait_until(lambda: place.epochs() >= 2, process)
        with read_only(place.folder / "studies"):
            code, _, err = place.end(process)
            assert code == 1, err
            assert "Read-only file system" in err
            assert "make the folder writable, and call it again" in err
            assert "Traceback" not in err
            assert place.left_behind() == NOTHING_LEFT
            code, _, err = place.run()
            assert code == 2, err
            assert "Read-only file system. Make room or give another path." in err
            assert "Traceback" not in err
    finally:
        sweep(process)
    code, _, err = place.run()
    assert code == 0, err
    place.check_once_each(3, EPOCHS)


@pytest.mark.slow
def test_results_cache_and_a_sound_that_vanish_in_mid_run_cost_no_epoch(place: Place) -> None:
    process = place.start()
    try:
        wait_until(lambda: place.epochs() >= 3, process)
        early, own = (list((place.study / "stages").glob(f"{kind}-*")) for kind in ("stage[12]", "stage3"))
        for path in early[::2] + own[:1]:
            shutil.rmtree(path, ignore_errors=True)  # an epoch may just be replaced
        for path in early[1::2] + own[1:]:
            for file in path.glob("epoch-*"):
                file.unlink(missing_ok=True)
        shutil.rmtree(place.folder / "cache")
        sound = place.folder / "data" / "train" / "train003.flac"
        sound.unlink()
        code, _, err = place.end(process)
    finally:
        sweep(process)
    assert code == 0, err
    assert err.count("cannot be used ([Errno 2] No such file or directory") == len(early[1::2])
    place.check_once_each(3, EPOCHS)
    assert place.left_behind() == NOTHING_LEFT
    code, _, err = place.run()
    assert code == 2, err
    assert "its recording must have a file, but train/train003.flac, .wav or .ogg is missing" in err


@pytest.mark.slow
def test_a_ledger_that_is_lost_in_mid_run_ends_it_and_what_was_trained_is_found_again(place: Place) -> None:
    process = place.start()
    try:
        wait_until(lambda: place.epochs() >= 2, process)
        place.ledger.unlink()
        code, _, err = place.end(process)
    finally:
        sweep(process)
    assert code == 1, err
    assert "trials.jsonl: was removed or replaced while the study ran" in err
    assert "Traceback" not in err
    assert place.left_behind() == NOTHING_LEFT
    code, _, err = place.run()
    assert code == 0, err
    place.check_once_each(3, EPOCHS)
    assert any(epoch.reused for epoch in place.trials()[0].epochs)


BACK = """
# From the moment that a file stands there, every process of the run lives a day earlier.
def change(module):
    import time
    now = time.time
    time.time = lambda: now() - (86400.0 if os.path.exists({mark!r}) else 0.0)
"""


@pytest.mark.slow
def test_a_clock_that_is_set_back_a_day_changes_no_epoch_and_no_order(place: Place) -> None:
    mark = place.folder / "back"
    tamper(place, "study.store", BACK.format(mark=str(mark)))
    process = place.start("--hours", "1")
    try:
        wait_until(lambda: place.epochs() >= 3, process)
        mark.touch()
        code, _, err = place.end(process)
    finally:
        sweep(process)
    assert code == 0, err
    times = [event["time"] for event in read_events(place.ledger)]
    assert times[0] - times[-1] > 80_000.0
    place.check_once_each(3, EPOCHS)
    assert {trial.state for trial in place.trials()} == {"COMPLETE"}
    assert all(0.0 < epoch.metrics["seconds"] < 60.0 for trial in place.trials() for epoch in trial.epochs)


SCARCE = """
# Once in each of trials 1 to 3 there is no memory: said by Python, by the system to NumPy, and by the system to torch.
def change(module):
    floor = module._floor
    def scarce(study, ledger, number, step, metrics):
        mark = {mark!r} + str(number)
        if number in (1, 2, 3) and step == 2 and not os.path.exists(mark):
            open(mark, "w").close()
            if number == 1:
                raise MemoryError
            import numpy, resource, torch
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
            (numpy if number == 2 else torch).ones(1 << 28)
        return floor(study, ledger, number, step, metrics)
    module._floor = scarce
"""


@pytest.mark.slow
def test_a_trial_that_finds_no_memory_goes_on_from_its_last_epoch_in_another_process(place: Place) -> None:
    tamper(place, "study.outcome", SCARCE.format(mark=str(place.folder / "scarce")))
    code, _, err = place.run("--trials", "5")
    assert code == 0, err
    assert "Traceback" not in err
    place.check_once_each(5, EPOCHS)
    trials = place.trials()
    assert [(trial.state, trial.attempt) for trial in trials] == [("COMPLETE", n) for n in (1, 2, 2, 2, 1)]
    told = [trial.troubles[0] for trial in trials[1:4]]
    assert told[0] == "MemoryError"
    assert "Unable to allocate 2.00 GiB" in told[1]
    assert "can't allocate memory" in told[2]
    assert place.left_behind() == NOTHING_LEFT
