"""Fixtures: tiny competition folders, the shared set of real sounds, and the command line in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: workers share the cores

import hypothesis
import pytest
from tiny import write_folder

from study.__main__ import main

hypothesis.settings.register_profile("unhurried", deadline=None)  # a loaded machine is no defect
hypothesis.settings.load_profile("unhurried")


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A sound folder: 12 train and 4 test recordings of 6 s at 8 kHz, 3 species, no sites. Yours to break."""
    return write_folder(tmp_path / "tiny")


@pytest.fixture(scope="session")
def shared_tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder, written once a session. Read it only."""
    return write_folder(tmp_path_factory.mktemp("shared") / "tiny")


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """The shared set of real sounds; skips where RFCX_SHARED does not name it."""
    root = os.environ.get("RFCX_SHARED")
    folder = Path(root or "") / "data" / "real_rfcx"
    if root is None or not folder.is_dir():
        pytest.skip("RFCX_SHARED does not name a folder with data/real_rfcx")
    return folder


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Give a command in this process; exit code, stdout, stderr."""

    def called(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rfcx-study", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as told:
            main()
        read = capsys.readouterr()
        return int(told.value.code or 0), read.out, read.err

    return called
