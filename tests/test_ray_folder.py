"""Ray's temporary folder: removed after a run, and after one that was killed by the next."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from study import ray_folder as folders
from study.driver_lease import Driver
from study.ray_folder import ray_folder

HOLDS = "from study.ray_folder import ray_folder\nwith ray_folder() as f:\n  print(f, flush=True)\n  input()"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SHORT_PATH", 1000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_folder_is_gone_after_the_run_whatever_ends_it(tmp_path: Path) -> None:
    with contextlib.suppress(KeyboardInterrupt), ray_folder() as folder:
        (folder / "session").mkdir()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next_and_a_living_one_s_stays(tmp_path: Path) -> None:
    code = (
        f"import tempfile\nfrom study import ray_folder as r\ntempfile.tempdir, r.SHORT_PATH = {str(tmp_path)!r}, 999\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code + HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    left = Path(holder.stdout.readline().strip())
    with ray_folder():
        assert left.exists()
    holder.kill()
    holder.communicate()
    assert left.exists()
    with ray_folder():
        assert not left.exists()


@pytest.mark.parametrize("owner", ["{", "[]", None, asdict(replace(Driver.me(), machine="another", process=1))])
def test_a_folder_of_which_nothing_is_known_is_left_alone(tmp_path: Path, owner: object) -> None:
    other = tmp_path / "rfcx-other"
    other.mkdir()
    if owner is not None:
        (other / "owner.json").write_text(owner if isinstance(owner, str) else json.dumps(owner))
    with ray_folder():
        pass
    assert other.exists()
