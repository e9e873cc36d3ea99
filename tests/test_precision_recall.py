"""PR curves agree with the ruler, and TensorBoard's own plugin reads them."""

from __future__ import annotations

import numpy as np
import pytest
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.pr_curve import metadata
from tensorboard.util.tensor_util import make_ndarray

from rfcx_model.metrics import Listed, OutOfFold, measure
from study.precision_recall import SPECIES_CURVES, THRESHOLDS, Judged, values

NAMES = (10, 11, 12, 13, 14, 15, 16)


def listed(generator: np.random.Generator, boxes: int = 400, recordings: int = 30) -> tuple[Listed, OutOfFold]:
    """Species 6 has confirmed boxes only; recordings of fold −1 were not scored."""
    species = generator.integers(0, 7, boxes)
    positive = (generator.random(boxes) < 0.3) | (species == 6)
    recording = generator.integers(0, recordings, boxes)
    scores = np.clip(generator.normal(0.4 + 0.2 * positive, 0.2), 0, 1).astype(np.float32)
    folds = generator.integers(-1, 3, recordings)
    of_recordings = generator.random((recordings, 7)).astype(np.float32)
    return Listed(recording, species, species, positive, 7), OutOfFold(of_recordings, scores, folds)


def made(judged: Judged) -> dict[str, Summary.Value]:
    return {value.tag: value for value in values(judged, NAMES)}


def curve(value: Summary.Value) -> np.ndarray:
    """(of tp, fp, tn, fn, precision, recall; threshold)."""
    assert value.metadata.plugin_data.plugin_name == metadata.PLUGIN_NAME
    assert metadata.parse_plugin_metadata(value.metadata.plugin_data.content).num_thresholds == THRESHOLDS
    return np.asarray(make_ndarray(value.tensor))


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_over_species_passes_through_the_ruler_s_precision_and_species_average_to_its_own(seed: int) -> None:
    boxes, scored = listed(np.random.default_rng(seed))
    measured = measure(boxes, scored)
    found = made(Judged.of(boxes, scored))
    middle = curve(found["pr/mean over species"])[:, THRESHOLDS // 2]
    assert middle[metadata.PRECISION_INDEX] == pytest.approx(measured["precision"], abs=1e-6)
    each = [value.simple_value for tag, value in found.items() if tag.startswith("species/")]
    assert np.mean(each) == pytest.approx(measured["precision_avg"], abs=1e-6)
    assert "species/16" not in found, "it has no refused box"
    assert len([tag for tag in found if tag.startswith("pr/species ")]) == SPECIES_CURVES


def test_a_curve_counts_of_a_thousand_boxes_of_each_kind_by_hand() -> None:
    judged = Judged(np.zeros(5, np.int64), np.array([1, 1, 0, 0, 0], bool), np.array([0.9, 0.3, 0.3, 0.2, 0.0]))
    found = curve(made(judged)["pr/species 10"])
    assert found[:, 0] == pytest.approx([1000, 2000 / 3, 1000 / 3, 0, 0.6, 1.0])  # above 0, not at it
    assert found[:, 25] == pytest.approx([1000, 1000 / 3, 2000 / 3, 0, 0.75, 1.0])
    assert found[:, 50] == pytest.approx([500, 0, 1000, 500, 1.0, 0.5])
    assert found[:, 100] == pytest.approx([0, 0, 1000, 1000, 0.0, 0.0])
    assert (np.diff(found[metadata.RECALL_INDEX]) <= 0).all()


def test_the_curves_are_of_the_species_with_most_boxes_of_the_rarer_kind() -> None:
    species = np.repeat(np.arange(6), [20, 20, 8, 20, 12, 20])
    positive = np.concatenate([np.arange(n) < k for n, k in ((20, 1), (20, 9), (8, 4), (20, 17), (12, 6), (20, 0))])
    found = made(Judged(species, positive, np.full(100, 0.5)))
    assert [tag for tag in found if tag.startswith("pr/sp")] == [f"pr/species {n}" for n in (11, 14, 12, 13)]
    assert [tag for tag in found if tag.startswith("species/")] == [f"species/{n}" for n in (10, 11, 12, 13, 14)]


def test_nothing_is_shown_where_no_species_has_both_kinds_of_boxes() -> None:
    assert made(Judged(np.array([0, 1]), np.array([True, False]), np.array([0.5, 0.5]))) == {}
    nothing = np.zeros(0)
    assert made(Judged(nothing.astype(np.int64), nothing.astype(bool), nothing)) == {}
