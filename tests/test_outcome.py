"""What a trial tells beside its out-of-fold metrics."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest

from study import outcome
from study.space_settings import Objective

METRICS = {"lwlrap": 0.6, "precision": 0.8, "precision_avg": 0.7, "tpfp_auc": 0.9, "recall": 0.1}


@pytest.mark.parametrize(("auc", "told"), [(0.9, 0.75), (math.nan, None)])
def test_a_lockbox_that_cannot_be_scored_costs_no_trial(
    monkeypatch: pytest.MonkeyPatch, auc: float, told: float | None
) -> None:
    """Few recordings may hold no template with both TP and FP boxes; the models are trained all the same."""
    monkeypatch.setattr("rfcx_model.lockbox.scored", lambda *_: None)
    monkeypatch.setattr(outcome, "measure", lambda *_: METRICS | {"tpfp_auc": auc})
    study: Any = SimpleNamespace(search=SimpleNamespace(lockbox=0.2), objective=Objective())
    place: Any = SimpleNamespace(
        partition=SimpleNamespace(n_folds=0), corpus=SimpleNamespace(listed=None), compute=None
    )
    metrics, _ = outcome.on_lockbox(study, place, cast(Any, None), cast(Any, None))
    assert metrics["lockbox_lwlrap"] == 0.6
    assert metrics.get("lockbox_score") == told
