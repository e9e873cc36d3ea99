"""What a regression tree says of one axis alone, the others averaged out: functional ANOVA's main effects.

Notations
    f       a tree: constant on leaves, which are boxes that tile the unit cube         (axis,) → value
    f_j     mean of f over all axes but j                                              (place on axis j,) → value

Hutter, Hoos and Leyton-Brown (2014), "An efficient approach for assessing hyperparameter importance".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Leaves:
    """The leaves of a tree: boxes that tile the unit cube, and the value on each."""

    low: Floats  # (leaf, axis)
    high: Floats  # (leaf, axis)
    value: Floats  # (leaf,)


def leaves(children: tuple[NDArray[np.int64], NDArray[np.int64]], axis: NDArray[np.int64], threshold: Floats,
           value: Floats, axes: int) -> Leaves:  # fmt: skip
    """The boxes of a fitted tree.

    Args:
        children: (node,) left and right ones, −1 for a leaf; a node stands before its children
        axis: (node,) that the node splits
        threshold: (node,) where it does; left is at or below
        value: (node,) mean of the node's members
        axes: of the cube
    """
    left, right = children
    low, high = np.zeros((len(axis), axes)), np.ones((len(axis), axes))
    for node in np.flatnonzero(left >= 0):
        j, at = axis[node], threshold[node]
        for child in (left[node], right[node]):
            low[child], high[child] = low[node], high[node]
        high[left[node], j] = min(max(at, low[node, j]), high[node, j])
        low[right[node], j] = high[left[node], j]
    ends = left < 0
    return Leaves(low[ends], high[ends], value[ends])


def effect(tree: Leaves, axis: int, places: Floats) -> Floats:
    """f_j at places of one axis; at a cut, what lies left of it.

    Args:
        tree: with its leaves
        axis: j
        places: (place,) 0..1
    """
    width = tree.high - tree.low
    width[:, axis] = 1.0
    across = width.prod(axis=1) * tree.value
    low, high = tree.low[:, axis], tree.high[:, axis]
    cuts = np.unique(high[high > low])
    inside = (low[:, None] < cuts) & (cuts <= high[:, None])
    along: Floats = across @ inside
    return along[np.minimum(np.searchsorted(cuts, places, side="left"), len(cuts) - 1)]
