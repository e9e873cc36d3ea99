"""When a study has spent what it may: asked before every new trial. Trials that have begun are always finished.

`hours` is not asked here: Tune ends a run by the clock, and `run` again carries its trials on.
"""

from __future__ import annotations

from collections.abc import Collection

from study.space_settings import Budget
from study.trials import Trial


def spent(budget: Budget, noise: float, trials: Collection[Trial]) -> str:
    """Why no further trial is begun; empty while one may be. Trials that are confirmed later are no part of a budget.

    `noise` is how much the score of one setting may differ from one run to the next: a gain that is no larger is none.
    """
    if budget.trial_epochs is None and budget.patience is None:
        return ""
    searched = [trial for trial in trials if trial.origin != "confirm"]
    if budget.trial_epochs is not None:
        epochs = sum(trial.step for trial in searched)
        if epochs >= budget.trial_epochs:
            return f"the budget of {budget.trial_epochs} trial-epochs is spent"
    if budget.patience is not None:
        best, since = _last_gain(noise, searched)
        if best is not None and since >= budget.patience:
            return f"{since} trials in a row have not bettered {best:.4f} by more than {noise:g}"
    return ""


def _last_gain(noise: float, trials: Collection[Trial]) -> tuple[float | None, int]:
    """The best score when it was last bettered by more than the noise, and the trials that have ended since."""
    best, since = None, 0
    ended = [trial for trial in trials if trial.state in ("COMPLETE", "PRUNED")]
    for trial in sorted(ended, key=lambda trial: (trial.ended or 0.0, trial.number)):
        if trial.state == "COMPLETE" and trial.score is not None and (best is None or trial.score > best + noise):
            best, since = trial.score, 0
        else:
            since += 1
    return best, since
