"""Ray's temporary folder on this machine: short, one run's own, and gone after it, whatever ends the run.

A run that is killed cannot tidy up; the next one does it, for every folder whose run has ended.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from study.driver_lease import Driver

SHORT_PATH: Final = 25  # Ray's sockets stand 77 characters below its folder, and a socket's path may have 107
_OWNER: Final = "owner.json"
_PREFIX: Final = "rfcx-"


@contextlib.contextmanager
def ray_folder() -> Iterator[Path]:
    """A new folder; it is removed in the end, and so are those of runs that have ended without."""
    short = len(tempfile.gettempdir()) <= SHORT_PATH or not Path("/tmp").is_dir()
    parent = Path(tempfile.gettempdir() if short else "/tmp")
    for old in parent.glob(f"{_PREFIX}*/{_OWNER}"):
        if _is_left(old):
            shutil.rmtree(old.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        (folder / _OWNER).write_text(json.dumps(asdict(Driver.me())), encoding="utf-8")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_left(owner: Path) -> bool:
    """Whether the run that made the folder has ended; of what cannot be read nothing is known."""
    try:
        return bool(Driver(**json.loads(owner.read_text(encoding="utf-8"))).is_gone())
    except (OSError, ValueError, TypeError):
        return False
