"""Folders that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rfcx_model.errors import InputError


def refuse_existing(to: Path, kind: str = "folder") -> None:
    """Nothing that stands there is ever replaced.

    Raises:
        InputError: the path exists, if only as a link to nothing.
    """
    if os.path.lexists(to):
        raise InputError(f"{to}: exists already. Give a {kind} that does not exist yet, or remove it.")


@contextmanager
def whole_folder(to: Path) -> Iterator[Path]:
    """A new folder to fill, beside the target; renamed to it in the end, removed where anything fails."""
    to = to.absolute()
    to.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
    try:
        half.chmod(0o755)
        yield half
        for path in filter(Path.is_file, half.iterdir()):
            path.chmod(0o644)  # some writers leave a file to its owner alone
        half.rename(to)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
