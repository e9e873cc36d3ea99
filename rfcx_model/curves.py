"""Curves: slowly changing values, drawn at few points and stretched to samples."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.float32, np.float64)


def stretch(curve: NDArray[Number], factor: int, n_samples: int) -> NDArray[Number]:
    """Straight lines between points that lie `factor` samples apart, (sample,); the last value is held."""
    ramp = (np.arange(factor) / factor).astype(curve.dtype)
    line = np.multiply.outer(np.diff(curve, append=curve[-1]), ramp)
    line += curve[:, None]
    flat = line.ravel()
    missing = n_samples - len(flat)
    return flat[:n_samples] if missing <= 0 else np.append(flat, np.full(missing, curve[-1], curve.dtype))


def sine(turns: NDArray[np.float64]) -> NDArray[np.float32]:
    """sin(2 pi turns) in single precision, exact for any number of turns."""
    wave: NDArray[np.float32] = np.sin(radians(turns))
    return wave


def radians(turns: NDArray[np.float64]) -> NDArray[np.float32]:
    """2 pi turns, wrapped to one turn so that single precision keeps it."""
    return ((turns - np.floor(turns)) * (2 * np.pi)).astype(np.float32)
