"""Framewise probabilities to calls: runs of cells at or above a threshold.

Notations
    P       probability                                  (cell, species)
    call    cells of one species that reach the threshold, or lie between such cells no further than `join_cells` apart;
            its score is the maximum of P

Pieces of a recording are taken one after another: a call that crosses from one to the next is one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from rfcx_model.labels import Floats


@dataclass(frozen=True)
class Run:
    """A call in cells: its species' place, its first cell, the one behind its last, and its score."""

    species: int
    first: int
    last: int
    score: float


def runs(pieces: Iterable[tuple[int, Floats]], threshold: float, join_cells: int = 1) -> Iterator[Run]:
    """Calls as they end, those of one species in order; memory holds the open ones alone.

    Args:
        pieces: first cell and P (cell, species) of piece after piece, without a gap
        threshold: a cell at or above it belongs to a call
        join_cells: so many cells below it between two calls make them one
    """
    open_: dict[int, Run] = {}
    for first, probabilities in pieces:
        cells, species = np.nonzero(probabilities >= threshold)
        for cell, one in zip(cells.tolist(), species.tolist(), strict=True):
            at, score = first + cell, float(probabilities[cell, one])
            known = open_.get(one)
            if known is not None and at - known.last <= join_cells:
                open_[one] = Run(one, known.first, at + 1, max(known.score, score))
                continue
            if known is not None:
                yield known
            open_[one] = Run(one, at, at + 1, score)
        behind = first + len(probabilities)
        for run in [run for run in open_.values() if behind - run.last > join_cells]:
            yield open_.pop(run.species)
    yield from open_.values()
