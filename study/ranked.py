"""The finished trials of a search, the best first, and the baseline that they are held against. Knows no Ray."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import leaks
from study.declaration import Candidate
from study.facts import finite, is_ranked_in_search
from study.space import Study, differs
from study.trials import Trial


def finished(trials: Iterable[Trial]) -> list[Trial]:
    """COMPLETE trials of the search whose score says something of recordings that nobody has seen."""
    return [trial for trial in trials if is_ranked_in_search(trial)]


def ranking(trials: Iterable[Trial]) -> list[Trial]:
    """One trial for each finished setting, the best first; of equals, the first.

    Of settings that ran in several replicates the mean decides, and the first replicate's trial stands for its setting.
    Those with fewer replicates than others come last.
    """
    settings: dict[str, dict[int, Trial]] = {}
    for trial in finished(trials):
        settings.setdefault(json.dumps(trial.config, sort_keys=True), {}).setdefault(trial.replicate, trial)
    ranked = sorted(settings.values(), key=lambda runs: (-len(runs), -_mean(runs.values())))
    return [runs[min(runs)] for runs in ranked]


def _mean(runs: Iterable[Trial]) -> float:
    return statistics.fmean(finite(trial.score) or 0.0 for trial in runs)


def baseline(folder: Path, study: Study, trials: Sequence[Trial]) -> Candidate:
    """The baseline's setting, whether a trial of it has run or not.

    Raises:
        InputError: it is leaky.
    """
    config = study.config(study.baseline)
    if leaks(config):
        raise InputError(
            f"{folder}: the baseline must not be leaky, but `stage3.teacher_scheme` is 'diary': nothing that is "
            "measured out of fold can be held against it. Ask with 'own' or 'nested' teachers."
        )
    mine = next((trial for trial in trials if trial.origin != "confirm" and dict(trial.config) == config), None)
    return Candidate("baseline", None, config, mine.number if mine else 0, baseline=True)


def label(study: Study, trial: Trial) -> str:
    """By what it differs from the baseline."""
    return differs(study, study.params_of(trial.config))
