"""Arrays of a NumPy archive as they stand. Nothing that is loaded can run code."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

_DAMAGED: Final = (
    *(KeyError, TypeError, AttributeError, EOFError, MemoryError, RuntimeError),
    *(BadZipFile, zlib.error, struct.error),
)


def read_arrays(path: Path, *names: str) -> list[NDArray[Any]]:
    """The arrays of these names.

    Raises:
        OSError: the file is not there, or cannot be read.
        ValueError: it is no archive, is damaged, or lacks a name.
    """
    try:
        with path.open("rb") as file, np.load(file) as kept:
            return [kept[name] for name in names]
    except _DAMAGED as error:
        raise ValueError(f"{path}: must hold whole arrays") from error
