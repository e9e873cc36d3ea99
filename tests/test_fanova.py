"""A tree's main effects: by hand, and against plain averages of its predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeRegressor

from study.fanova import Leaves, effect, leaves


def test_an_effect_is_the_mean_over_the_other_axes() -> None:
    tree = Leaves(
        low=np.array([[0.0, 0.0], [0.25, 0.0], [0.25, 0.5]]),
        high=np.array([[0.25, 1.0], [1.0, 0.5], [1.0, 1.0]]),
        value=np.array([0.0, 2.0, 4.0]),
    )
    assert effect(tree, 0, np.array([0.1, 0.25, 0.9])).tolist() == [0.0, 0.0, 3.0]
    assert effect(tree, 1, np.array([0.1, 0.9])).tolist() == [1.5, 3.0]


def test_a_flat_tree_has_flat_effects() -> None:
    tree = Leaves(np.zeros((1, 2)), np.ones((1, 2)), np.array([7.0]))
    assert effect(tree, 1, np.array([0.0, 0.5, 1.0])).tolist() == [7.0, 7.0, 7.0]


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_effects_agree_with_averages_of_what_the_tree_predicts(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.integers(8, size=(40, 3)) / 8 + 1 / 16  # cuts lie on sixteenths: `fine` averages exactly
    tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=0).fit(
        x, x[:, 0] + x[:, 1] * generator.normal(size=40)
    )
    nodes = tree.tree_
    boxes = leaves((nodes.children_left, nodes.children_right), nodes.feature, nodes.threshold, nodes.value[:, 0, 0], 3)
    assert (boxes.high - boxes.low).prod(axis=1).sum() == pytest.approx(1.0)
    fine = np.arange(16) / 16 + 1 / 32
    grid = np.stack(np.meshgrid(fine, fine, fine, indexing="ij"), axis=-1)
    said = tree.predict(grid.reshape(-1, 3)).reshape(16, 16, 16)
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        assert effect(boxes, axis, fine) == pytest.approx(said.mean(axis=others))
