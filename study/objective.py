"""An epoch's metrics become one score, larger is better. Pure functions; the scheduler always sees one scalar.

Notations
---------
p   precision in the form that the objective names (`precision`, `precision_avg` or `tpfp_auc`), 0..1
l   LWLRAP, 0..1
f   floor on LWLRAP: given, or what the baseline had at the same step less its noise

weighted   w_l · l + w_p · p
floor      p where l >= f, else l - f, which is negative: what misses the floor ranks below all that meets it
           (feasibility first: Deb 2000, doi:10.1016/S0045-7825(99)00389-8)
pareto     the pair (l, p) to the sampler; the weighted sum to the scheduler and in tables
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from rfcx_model.errors import InputError
from rfcx_model.folds import LOCKED
from rfcx_model.labels import Indices
from study.space_settings import Objective


class ScoreError(ValueError):
    """A metric that the objective needs is missing or not finite; the trial has FAILED."""


def refuse_undefined(objective: Objective, boxes: pd.DataFrame, folds: Indices) -> None:
    """Refuse an objective that these data cannot measure, before anything is trained.

    Args:
        objective: the study's
        boxes: `Recordings.boxes`
        folds: (recording,) a replicate's partition

    Raises:
        InputError: no template has both a TP and an FP row in one fold, so that `tpfp_auc` compares nothing.
    """
    if objective.precision_form != "tpfp_auc" or not _weighs(objective):
        return
    fold = folds[boxes["recording"].to_numpy()]
    kinds = boxes["positive"].groupby([fold, boxes["template"].to_numpy()]).nunique()
    if not (kinds[kinds.index.get_level_values(0) != LOCKED] > 1).any():
        raise InputError(
            '[objective] `precision_form`: "tpfp_auc" holds TP rows against FP rows of one template in the same fold, '
            'but got no fold with both. Give `precision_form = "precision_avg"`, or fewer folds.'
        )


def score(objective: Objective, metrics: Mapping[str, float], floor: float | None = None) -> float:
    """The scalar score of one epoch.

    `floor` is what `floor_at` gives; without one (no rule "floor", or a baseline not yet known) it binds nobody.

    Raises:
        ScoreError: a metric is missing, NaN or infinite.
    """
    if not _weighs(objective):
        return objective.lwlrap * _finite(metrics, "lwlrap")
    lwlrap, precision = _pair(objective, metrics)
    if objective.rule == "floor":
        return precision if floor is None or lwlrap >= floor else lwlrap - floor
    return objective.lwlrap * lwlrap + objective.precision * precision


def values(objective: Objective, metrics: Mapping[str, float], floor: float | None = None) -> tuple[float, ...]:
    """What the sampler is told, every value to be made larger: `(lwlrap, precision)` for pareto, else `(score,)`.

    Raises:
        ScoreError: a metric is missing, NaN or infinite.
    """
    return _pair(objective, metrics) if objective.rule == "pareto" else (score(objective, metrics, floor),)


def floor_at(objective: Objective, baseline_lwlrap: Mapping[int, float], step: int) -> float | None:
    """The floor on LWLRAP at `step`, so that early epochs are compared with the baseline's early epochs.

    `baseline_lwlrap` maps the baseline's steps so far to its LWLRAP; the last one at or before `step` counts.
    None while nothing is known, and for the rules without a floor.
    """
    if objective.rule != "floor":
        return None
    if objective.floor is not None:
        return objective.floor
    known = [at for at in baseline_lwlrap if at <= step]
    return baseline_lwlrap[max(known)] - objective.noise if known else None


def _weighs(objective: Objective) -> bool:
    """Whether precision counts at all."""
    return objective.rule != "weighted" or objective.precision != 0


def _pair(objective: Objective, metrics: Mapping[str, float]) -> tuple[float, float]:
    return _finite(metrics, "lwlrap"), _finite(metrics, objective.precision_form)


def _finite(metrics: Mapping[str, float], name: str) -> float:
    if name not in metrics:
        raise ScoreError(
            f"the objective needs the metric `{name}`, but the epoch reported {', '.join(sorted(metrics))}"
        )
    value = float(metrics[name])
    if not math.isfinite(value):
        raise ScoreError(f"the metric `{name}` must be finite, but got {value}")
    return value
