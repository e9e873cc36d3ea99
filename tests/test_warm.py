"""A run's processes are warm when its first trial begins: what takes seconds to import is imported meanwhile."""

from __future__ import annotations

import builtins
import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from place import LITTLE, a_place, tamper

from study import machine, meanwhile
from study.space_settings import Resources


def imported_by(code: str, **environment: str) -> set[str]:
    """The modules of a fresh process in which the code has run and its threads have ended."""
    wait = "import sys, threading; [one.join() for one in threading.enumerate() if one.daemon]; print(*sys.modules)"
    command = [sys.executable, "-c", f"{code}; {wait}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**environment})
    return set(done.stdout.split())


def test_a_worker_imports_the_model_as_it_starts_but_the_desk_does_not() -> None:
    assert {"torch", "timm", "study.setting"} <= imported_by("import study.warm")
    assert not {"torch", "timm", "ray"} & imported_by("import study.warm", RFCX_STUDY_DESK="1")


def test_what_is_imported_meanwhile_has_nothing_of_ray() -> None:
    assert not any(name.partition(".")[0] == "ray" for name in imported_by("import study.warm"))


def test_a_run_begins_to_start_ray_before_torch_is_there() -> None:
    assert not {"torch", "timm", "ray.tune"} & imported_by("import study.launch")


def test_an_error_of_an_import_is_left_to_whoever_needs_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_on_import.py").write_text("raise ImportError('a library is missing')\n")
    monkeypatch.syspath_prepend(tmp_path)
    meanwhile.import_meanwhile("broken_on_import")
    for thread in threading.enumerate():
        if thread.name == "import broken_on_import":
            thread.join()
    with pytest.raises(ImportError, match="a library is missing"):
        __import__("broken_on_import")


@pytest.mark.parametrize("source", ["", "raise ImportError('a library is missing')"])
def test_garbage_is_not_looked_for_until_all_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    (tmp_path / "looks.py").write_text(f"import builtins, gc\nbuiltins.looked = gc.isenabled()\n{source}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "looks", raising=False)
    meanwhile.import_meanwhile("looks")
    for thread in threading.enumerate():
        if thread.name == "import looks":
            thread.join()
    assert vars(builtins).pop("looked") is False
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("cores", "gpu", "asked", "all_of_them"),
    [
        (2, False, Resources(), True),
        (2, False, Resources(concurrent=1), True),
        (16, False, Resources(), True),
        (16, False, Resources(cpus=2.0), True),
        (16, False, Resources(cpus=4.0), False),
        (16, False, Resources(concurrent=2), False),
        (16, True, Resources(), False),
    ],
)
def test_processes_are_warmed_where_trials_will_take_most_of_them(
    monkeypatch: pytest.MonkeyPatch, cores: int, gpu: bool, asked: Resources, all_of_them: bool
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "has_gpu_device", lambda: gpu)
    assert machine.trains_on_all_cores(asked) is all_of_them


NOTED = """
# Each process that is made for trials is noted, by what it imports first.
def change(module):
    with open({log!r}, "a") as file:
        print(os.getpid(), file=file)
"""


@pytest.mark.slow
def test_trials_run_in_the_processes_that_were_started_with_ray(tmp_path: Path) -> None:
    with a_place(tmp_path) as place:
        (place.folder / "little.toml").write_text(LITTLE.replace("EPOCHS", "1"))
        code, _, err = place.run()
        assert code == 0, err
        log = place.folder / "processes"  # from now on the shared stages stand in the store
        tamper(place, "study.setting", NOTED.format(log=str(log)))
        code, _, err = place.run("--trials", "6")
        assert code == 0, err
        assert [trial.state for trial in place.trials()] == ["COMPLETE"] * 6
        assert len(set(log.read_text().split())) == machine.cores() + 1  # and the driver
        assert place.left_behind() == ([], [])
