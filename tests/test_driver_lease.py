"""The driver's lease: one at a time, the dead make way, and who was taken for dead writes nothing more."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from rfcx_model.errors import InputError, RunError
from study import driver_lease as leases
from study.driver_lease import Driver, driver_lease
from study.trials import Ledger
from study.whole_file import write_whole

HOLDS = """
import sys, time
from pathlib import Path
from study.driver_lease import driver_lease
with driver_lease(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    monkeypatch.setattr(leases, "SILENT_S", 1.0)


def quiet(text: str) -> None:
    del text


def written(study: Path, driver: Driver, number: int = 1) -> Path:
    path = study / ".lease" / f"{number}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(driver)))
    return path


def elsewhere() -> Driver:
    return replace(Driver.me(), machine="another 12ab", host="another", process=4242)


def test_a_second_driver_is_refused_and_told_whose_the_first_is(tmp_path: Path) -> None:
    with driver_lease(tmp_path, quiet):
        with pytest.raises(InputError, match=rf"another `run` works on this study \(process {Driver.me().process} on "):
            driver_lease(tmp_path, quiet).__enter__()
        with driver_lease(tmp_path / "another study", quiet):
            pass
    with driver_lease(tmp_path, quiet) as again:
        again.check()


def test_a_driver_that_was_killed_makes_way_at_once(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"process {holder.pid} on "):
        driver_lease(tmp_path, quiet).__enter__()
    holder.kill()
    holder.communicate()
    said: list[str] = []
    with driver_lease(tmp_path, said.append) as lease:
        assert lease.number == 2
    assert said == []


def test_a_process_number_that_was_given_out_again_is_not_the_driver(tmp_path: Path) -> None:
    written(tmp_path, replace(Driver.me(), born=Driver.me().born - 3600.0))
    with driver_lease(tmp_path, quiet) as lease:
        assert lease.number == 2


def test_a_silent_driver_of_another_machine_makes_way(tmp_path: Path) -> None:
    written(tmp_path, elsewhere())
    said: list[str] = []
    begun = time.monotonic()
    with driver_lease(tmp_path, said.append) as lease:
        assert lease.number == 2
    assert time.monotonic() - begun >= 1.0
    assert "held by a `run` on another; listening for 1 s whether it still lives" in said[0]


def test_a_beating_driver_of_another_machine_is_left_alone(tmp_path: Path) -> None:
    path = written(tmp_path, elsewhere())
    done = threading.Event()
    beats = iter(range(1, 10**6))

    def beat() -> None:
        while not done.wait(0.05):
            write_whole(path, json.dumps(asdict(replace(elsewhere(), beat=next(beats)))))

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        with pytest.raises(InputError, match=r"process 4242 on another\)\. Wait for it, or stop it"):
            driver_lease(tmp_path, quiet).__enter__()
    finally:
        done.set()
        heart.join()


def test_a_driver_of_another_machine_that_has_ended_is_not_waited_for(tmp_path: Path) -> None:
    written(tmp_path, replace(elsewhere(), over=True))
    said: list[str] = []
    with driver_lease(tmp_path, said.append):
        assert said == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"machine": 1}'])
def test_a_file_that_nobody_finished_is_waited_for_and_passed_over(tmp_path: Path, text: str) -> None:
    written(tmp_path, elsewhere(), number=7).write_text(text)
    with driver_lease(tmp_path, quiet) as lease:
        assert lease.number == 8


def test_the_lease_beats(tmp_path: Path) -> None:
    with driver_lease(tmp_path, quiet) as lease:
        path = tmp_path / ".lease" / f"{lease.number}.json"
        until = time.monotonic() + 10.0
        while json.loads(path.read_text())["beat"] < 3:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert not json.loads(path.read_text())["over"]
    assert json.loads(path.read_text())["over"]


def test_a_driver_that_was_taken_for_dead_writes_nothing_more(tmp_path: Path) -> None:
    with driver_lease(tmp_path, quiet) as lease:
        ledger = Ledger(tmp_path / "trials.jsonl", lease.check)
        ledger.append("started", 0)
        written(tmp_path, elsewhere(), number=lease.number + 1)
        before = ledger.path.read_bytes()
        with pytest.raises(RunError, match="another `run` has taken this study over"):
            ledger.append("ended", 0, state="COMPLETE")
        ledger.close()
        assert ledger.path.read_bytes() == before
    assert not json.loads((tmp_path / ".lease" / "2.json").read_text())["over"]


def test_of_many_that_want_it_at_the_same_moment_one_gets_it(tmp_path: Path) -> None:
    for wanted in range(20):
        written(tmp_path / str(wanted), replace(elsewhere(), over=True))
        start = threading.Barrier(4)
        with ExitStack() as stack, ThreadPoolExecutor(4) as pool:

            def take(study: Path, stack: ExitStack = stack, start: threading.Barrier = start) -> bool:
                start.wait()
                try:
                    stack.enter_context(driver_lease(study, quiet))
                except InputError:
                    return False
                return True

            assert sum(pool.map(take, [tmp_path / str(wanted)] * 4)) == 1
