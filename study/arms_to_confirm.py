"""Who stands for an arm: the best setting of each value of a knob, alike in the other scientific knobs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rfcx_model.errors import InputError
from study.declaration import Candidate
from study.facts import finite
from study.knob import Knob, suggestion
from study.ranked import baseline, label, ranking
from study.space import Study
from study.trials import Trial


def best_of_arms(
    folder: Path, study: Study, trials: Sequence[Trial], by: str, kept: Collection[Candidate] = ()
) -> tuple[Candidate, ...]:
    """The baseline, and the best setting of each value of a knob that has one.

    Arms must be alike in all other scientific knobs, else nobody could say which of them made a difference. Of the
    combinations of these that the search has tried, that counts which most arms have; of such the baseline's, else the
    one whose settings are best. What is `kept` stands for its arm whatever the search has found since.

    Raises:
        InputError: the knob has no arms, or fewer than two of them have a finished trial that is alike in the rest.
    """
    knob = _knob(study, by)
    first, counts = baseline(folder, study, trials), chances(study, trials, by)
    ranked = sorted(ranking(trials), key=lambda one: _standing(kept, one) is None)
    usual = _others(study, first.config, knob)
    told = [(trial, _others(study, trial.config, knob)) for trial in ranked if _in_an_arm(study, trial, knob)]
    tried = [usual, *(others for _, others in told)]
    if kept:
        tried = [{name: value for one in kept for name, value in _others(study, one.config, knob).items()}]
    choices = [_alike(told, knob, others) for others in _distinct(tried)]
    most = max(len(arms) for arms in choices)
    arms = choices[0] if len(choices[0]) == most else max(choices, key=lambda arms: (len(arms), _worth(arms)))
    found = [
        _standing(kept, one)
        or Candidate(label(study, one), value, one.config, one.number, by=by, among=_tries(study, trials, one, knob))
        for value, one in arms.items()
    ]
    if len(found) < 2:
        rest = list(usual)
        alike = f" that are alike in {', '.join(rest)}" if rest else ""
        uneven = len(set(counts.values())) > 1
        raise InputError(
            f"{folder}: two values of `{by}` with a finished trial{alike} are needed, but got {len(found)}. Carry on "
            f"with `run` and a larger --trials{', or give --fill' if uneven else ''}."
        )
    if any(dict(one.config) == dict(first.config) for one in found):
        return tuple(replace(one, baseline=dict(one.config) == dict(first.config)) for one in found)
    return (first, *found)


def _standing(kept: Iterable[Candidate], trial: Trial) -> Candidate | None:
    """What of the kept has the trial's setting."""
    return next((one for one in kept if dict(one.config) == dict(trial.config)), None)


def _others(study: Study, config: Mapping[str, Any], asked: Knob) -> dict[str, Any]:
    """What the other scientific knobs are set to, as far as they act."""
    acting = study.params_of(config)
    return {k.name: config[k.name] for k in study.knobs if k.role == "scientific" and k != asked and k.name in acting}


def _distinct(combinations: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each once, in order."""
    return list({json.dumps(one, sort_keys=True): one for one in combinations}.values())


def _alike(told: Sequence[tuple[Trial, dict[str, Any]]], knob: Knob, others: Mapping[str, Any]) -> dict[Any, Trial]:
    """The best trial of each value of the knob among those, the best first, in which the other knobs are set so."""
    found: dict[Any, Trial] = {}
    agreed = dict(others)
    for value in knob.choices:
        for trial, mine in told:
            if trial.config[knob.name] == value and all(agreed[name] == mine[name] for name in agreed.keys() & mine):
                found[value] = trial
                agreed |= mine
                break
    return found


def _tries(study: Study, trials: Sequence[Trial], best: Trial, knob: Knob) -> int:
    """Of how many trials it is the best: those of its arm that are alike in the rest, pruned and failed ones too."""
    mine, tries = _others(study, best.config, knob), 0
    for trial in trials:
        if trial.origin != "confirm" and trial.config[knob.name] == best.config[knob.name]:
            theirs = _others(study, trial.config, knob)
            tries += all(mine[name] == theirs[name] for name in mine.keys() & theirs)
    return tries


def _worth(arms: Mapping[Any, Trial]) -> float:
    return statistics.fmean(finite(trial.score) or 0.0 for trial in arms.values()) if arms else 0.0


def chances(study: Study, trials: Sequence[Trial], by: str) -> dict[Any, int]:
    """How many trials of the search each value of a knob has had, pruned and failed ones too."""
    knob = _knob(study, by)
    begun = [trial for trial in trials if trial.origin != "confirm"]
    mine = [trial.config[knob.name] for trial in begun if _in_an_arm(study, trial, knob)]
    return {value: sum(one == value for one in mine) for value in knob.choices}


def _in_an_arm(study: Study, trial: Trial, knob: Knob) -> bool:
    """Whether the knob acts in it."""
    return knob.name in study.params_of(trial.config)


def _knob(study: Study, by: str) -> Knob:
    found = next((knob for knob in study.knobs if knob.name == by), None)
    if found is None:
        hint = suggestion(by, study.searched()) or f" Searched are {', '.join(study.searched())}."
        raise InputError(f"--by {by}: it must be a knob that the study searches, but is none.{hint}")
    if not found.choices:
        raise InputError(f"--by {by}: it must be a knob with choices, but its domain is {found.domain()}. Use --top.")
    return found
