"""What a trial tells of an epoch beside its out-of-fold metrics: lockbox, floor, score. Knows no Ray."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from rfcx_model import lockbox
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.metrics import OutOfFold, measure
from rfcx_model.train import Epoch
from study import objective
from study.objective import ScoreError
from study.space import Study
from study.stages import Workshop
from study.trials import BASELINE, read_trial

ON_LOCKBOX: Final = ("lwlrap", "precision", "precision_avg", "tpfp_auc", "recall")


def on_lockbox(
    study: Study, place: Workshop, hyperparameters: Hyperparameters, epoch: Epoch
) -> tuple[dict[str, float], OutOfFold | None]:
    """Metrics of the fold models on the lockbox, and what they say there; nothing where the study keeps none."""
    if study.search.lockbox == 0:
        return {}, None
    models = [epoch.state.weights(fold) for fold in range(place.partition.n_folds)]
    said = lockbox.scored(models, hyperparameters, place.corpus, place.compute)
    metrics = measure(place.corpus.listed, said)
    named = {f"lockbox_{name}": metrics[name] for name in ON_LOCKBOX}
    if study.objective.rule != "floor":  # which is set against the baseline's, of which nothing is known here
        with suppress(ScoreError):  # few recordings may hold no pair of boxes to tell apart; the training still counts
            named["lockbox_score"] = objective.score(study.objective, metrics)
    return named, said


def score(study: Study, ledger: Path, number: int, step: int, metrics: Mapping[str, float]) -> float:
    """The score of a trial's epoch; for the rule "floor" the ledger says what the baseline had reached by this step.

    Raises:
        ScoreError: a metric that the objective needs is missing or not finite.
    """
    return objective.score(study.objective, metrics, _floor(study, ledger, number, step, metrics))


def _floor(study: Study, ledger: Path, number: int, step: int, metrics: Mapping[str, float]) -> float | None:
    if study.objective.rule != "floor":
        return None
    baseline = read_trial(ledger, BASELINE)
    known = {epoch.step: epoch.metrics["lwlrap"] for epoch in baseline.epochs} if baseline else {}
    if number == BASELINE:
        known[step] = metrics["lwlrap"]
    return objective.floor_at(study.objective, known, step)
