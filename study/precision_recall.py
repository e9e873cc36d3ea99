"""Precision and recall of boxes over all thresholds, as TensorBoard's PR curves read them.

Confirmed and refused boxes have equal priors, as in the ruler: precision is TPR/(TPR+FPR), 0 where both are 0. So the
curve over species passes through the trial's `precision` and `recall` at threshold 0.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData
from tensorboard.util.tensor_util import make_tensor_proto

from rfcx_model.metrics import Listed, OutOfFold, balanced_average_precision
from study.event_files import plugin_value, scalar

THRESHOLDS: Final = 101
SPECIES_CURVES: Final = 4
SAID: Final = "Boxes, out of fold; TP of 1000 confirmed and FP of 1000 refused ones, so that both have equal priors."

Rates = NDArray[np.float64]  # (threshold,)


@dataclass(frozen=True, eq=False)
class Judged:
    """Boxes with their out-of-fold scores, of recordings that were scored."""

    species: NDArray[np.int64]  # (box,)
    positive: NDArray[np.bool_]  # (box,)
    scores: NDArray[np.float64]  # (box,)

    @staticmethod
    def of(listed: Listed, out_of_fold: OutOfFold) -> Judged:
        """Those in recordings of a fold."""
        scored = out_of_fold.folds[listed.recording] >= 0
        scores = out_of_fold.box_scores[scored].astype(np.float64)
        return Judged(listed.species[scored], listed.positive[scored], scores)

    def one(self, species: int) -> Judged:
        """Those of one species."""
        mine = self.species == species
        return Judged(self.species[mine], self.positive[mine], self.scores[mine])

    def both(self) -> list[int]:
        """Species that have confirmed and refused boxes, those with most of the rarer kind first."""
        counts = {
            int(one): min(
                int(self.positive[self.species == one].sum()), int((~self.positive[self.species == one]).sum())
            )
            for one in np.unique(self.species)
        }
        return sorted((one for one in counts if counts[one]), key=lambda one: (-counts[one], one))

    def rates(self) -> tuple[Rates, Rates]:
        """Share of confirmed and of refused boxes whose score is above each threshold."""
        thresholds = np.linspace(0.0, 1.0, THRESHOLDS)
        kinds = (np.sort(self.scores[self.positive]), np.sort(self.scores[~self.positive]))
        true, false = (1.0 - np.searchsorted(kind, thresholds, "right") / len(kind) for kind in kinds)
        return true, false


def values(judged: Judged, names: tuple[int, ...]) -> Iterator[Summary.Value]:
    """The curves `pr/…` and each species' average precision `species/…`, whose mean is `cv/precision_avg`.

    Args:
        judged: boxes and scores
        names: (species,) the data's own numbers
    """
    both = judged.both()
    if not both:
        return
    each = {one: judged.one(one).rates() for one in both}
    pooled = judged.rates()
    yield _curve("pr/all boxes", *pooled, precision(*pooled))
    true, false = (np.mean([rates[kind] for rates in each.values()], axis=0) for kind in (0, 1))
    yield _curve("pr/mean over species", true, false, np.mean([precision(*rates) for rates in each.values()], axis=0))
    for one in both[:SPECIES_CURVES]:
        yield _curve(f"pr/species {names[one]}", *each[one], precision(*each[one]))
    for one in sorted(both):
        mine = judged.one(one)
        average = balanced_average_precision(mine.positive, mine.scores, mine.species)
        yield scalar(f"species/{names[one]}", average)


def precision(true: Rates, false: Rates) -> Rates:
    """With priors equalised, threshold by threshold, from both rates; 0 where nothing is above."""
    return np.divide(true, true + false, out=np.zeros_like(true), where=true + false > 0)


def _curve(tag: str, true: Rates, false: Rates, precision: Rates) -> Summary.Value:
    """TensorBoard cuts counts to whole numbers, hence thousands."""
    content = PrCurvePluginData(version=0, num_thresholds=THRESHOLDS).SerializeToString()
    value = plugin_value(tag, "pr_curves", content, SAID)
    counts = [1000 * true, 1000 * false, 1000 * (1 - false), 1000 * (1 - true)]
    value.tensor.CopyFrom(make_tensor_proto(np.array([*counts, precision, true], dtype=np.float32)))
    return value
