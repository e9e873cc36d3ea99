"""Fixtures: tiny competition folders, and the shared set of real sounds."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
from tiny import write_folder

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
