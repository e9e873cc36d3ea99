"""Latin hypercubes: each range is cut into as many equal parts as there are points, and every part is hit once."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

TRIES: Final = 500


@cache
def latin_hypercube(points: int, ranges: int, seed: int | tuple[int, ...]) -> NDArray[np.float64]:
    """(point, range) from 0 to 1: of many such designs the one whose ranges are least correlated."""
    generator = np.random.default_rng(seed)
    best, least = np.empty(0), np.inf
    for _ in range(TRIES):
        cells = np.stack([generator.permutation(points) for _ in range(ranges)], axis=1)
        design = (cells + generator.random(cells.shape)) / points
        worst = np.abs(np.corrcoef(design.T) - np.eye(ranges)).max()
        if worst < least:
            best, least = design, worst
    return best
