"""Cells to calls: by hand, against a plain loop, and the same however a recording is cut."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rfcx_model.detections import Run, runs
from rfcx_model.labels import Floats


def plain(p: Floats, threshold: float, join: int) -> list[Run]:
    """One species after the other, all cells at once."""
    found = []
    for species in range(p.shape[1]):
        cells = np.flatnonzero(p[:, species] >= threshold)
        if not len(cells):
            continue
        for group in np.split(cells, np.flatnonzero(np.diff(cells) > join + 1) + 1):
            first, last = int(group[0]), int(group[-1]) + 1
            found.append(Run(species, first, last, float(p[group, species].max())))
    return found


def key(run: Run) -> tuple[int, int]:
    return run.species, run.first


def test_calls_by_hand() -> None:
    rows = [[0.6, 0.1], [0.875, 0.5], [0.2, 0.1], [0.7, 0.1], [0.1, 0.1], [0.1, 0.1], [0.5, 0.1]]
    p = np.array(rows, dtype=np.float32)
    assert sorted(runs([(0, p)], 0.5, join_cells=1), key=key) == [
        Run(0, 0, 4, 0.875),  # over one cell below the threshold
        Run(0, 6, 7, 0.5),
        Run(1, 1, 2, 0.5),
    ]
    assert [run.first for run in sorted(runs([(0, p)], 0.5, join_cells=0), key=key)] == [0, 3, 6, 1]


def test_silence_has_no_call() -> None:
    assert list(runs([(0, np.zeros((9, 3), dtype=np.float32))], 0.5)) == []


@given(
    p=arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=st.sampled_from([0.25, 0.5, 0.75])),
    cuts=st.lists(st.integers(1, 29), max_size=4),
    join=st.integers(0, 3),
)
def test_a_call_is_the_same_however_the_recording_is_cut(p: Floats, cuts: list[int], join: int) -> None:
    edges = sorted({0, len(p), *(one for one in cuts if one < len(p))})
    pieces = [(low, p[low:high]) for low, high in pairwise(edges)]
    assert sorted(runs(pieces, 0.5, join), key=key) == sorted(plain(p, 0.5, join), key=key)


def test_a_call_is_told_as_soon_as_it_can_grow_no_more() -> None:
    def pieces() -> Iterator[tuple[int, Floats]]:
        yield 0, np.array([[0.75], [0.25], [0.25]], dtype=np.float32)
        raise AssertionError("asked for more than was needed")

    assert next(runs(pieces(), 0.5, join_cells=1)) == Run(0, 0, 1, 0.75)
