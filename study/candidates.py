"""Which trials of a search run again to be believed, and how often: said before any of them runs. Knows no Ray.

The best of many trials is best partly by luck. So the chosen settings and the baseline run again on replicates that
the search has never used (new partitions into folds, new seeds, a fresh stage 1), and are scored on the lockbox too
where the space keeps one. `confirm.json` holds what was declared; the ledger holds what came of it, as trials of origin
"confirm".
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import leaks
from study.declaration import Candidate, Declaration, declaration, declare, refuse_fewer
from study.facts import finite, is_ranked_in_search
from study.knob import Knob, suggestion
from study.space import Study, differs
from study.trials import Trial


@dataclass(frozen=True)
class Wanted:
    """What a caller asks to have confirmed: the best `top`, or the best of each arm of the knob `by`."""

    replicates: int
    top: int | None = None
    by: str | None = None
    fill: bool = False

    def check(self, folder: Path, study: Study, trials: Sequence[Trial]) -> None:
        """Refuse what cannot be confirmed, as far as that is known before arms are filled.

        Raises:
            InputError: see `chosen` and `declare`.
        """
        if (self.top is None) == (self.by is None):
            raise InputError("confirm: one of --top K and --by KNOB must be given. Give --top 3, for example.")
        if self.fill and self.by is None:
            raise InputError("confirm: --fill evens out the arms of a knob, so --by KNOB must be given with it.")
        if self.fill and study.search.sampler == "grid":
            raise InputError("confirm: --fill is for a search; a grid gives all its arms the same. Leave --fill out.")
        refuse_fewer(folder, declaration(folder), self.replicates)
        if not self.fill or self.by is None:
            self.chosen(folder, study, trials)
        elif len(set(chances(study, trials, self.by).values())) > 1 and self.settled(folder, trials):
            raise InputError(
                f"{folder}: --fill must come before anything is known of the arms of {self.by}, but on the fresh "
                "replicates something is: an arm would be chosen anew by who has seen its result. Leave --fill out, "
                "or ask again in a study of its own: `run --out` elsewhere, then `confirm --fill`."
            )

    def chosen(self, folder: Path, study: Study, trials: Sequence[Trial]) -> tuple[Candidate, ...]:
        """The baseline and the settings that are asked for; see `best` and `best_of_arms`."""
        if self.by is not None:
            return best_of_arms(folder, study, trials, self.by, self.settled(folder, trials))
        return best(folder, study, trials, self.top or 1)

    def settled(self, folder: Path, trials: Sequence[Trial]) -> tuple[Candidate, ...]:
        """The arms that were declared for the knob and stay: of one at least a score on fresh replicates is known.

        Else who did not like what `compare` told could call until another setting stands for an arm.
        """
        before = declaration(folder)
        mine = {one.arm: one for one in reversed(before.arms if before else ()) if one.by and one.by == self.by}
        seen = [dict(trial.config) for trial in trials if trial.origin == "confirm" and trial.epochs]
        return tuple(mine.values()) if any(dict(one.config) in seen for one in mine.values()) else ()

    def declared(self, folder: Path, study: Study, trials: Sequence[Trial]) -> Declaration:
        """See `declare`."""
        return declare(folder, study, self.by, self.chosen(folder, study, trials), self.replicates)


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


def best(folder: Path, study: Study, trials: Sequence[Trial], count: int) -> tuple[Candidate, ...]:
    """The baseline, and the best settings other than it.

    Raises:
        InputError: there is none.
    """
    first = _baseline(folder, study, trials)
    others = [trial for trial in ranking(trials) if dict(trial.config) != dict(first.config)]
    if not others:
        raise InputError(
            f"{folder}: a finished trial other than the baseline is needed, but there is none. "
            "Carry on with `run`; pruned and leaky trials are never confirmed."
        )
    return (first, *(Candidate(_label(study, trial), None, trial.config, trial.number) for trial in others[:count]))


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
    first, counts = _baseline(folder, study, trials), chances(study, trials, by)
    stay = {json.dumps(dict(one.config), sort_keys=True): one for one in kept}
    ranked = sorted(ranking(trials), key=lambda one: json.dumps(dict(one.config), sort_keys=True) not in stay)
    usual = _others(study, first.config, knob)
    told = [(trial, _others(study, trial.config, knob)) for trial in ranked if _in_an_arm(study, trial, knob)]
    tried = [usual, *(others for _, others in told)]
    if kept:
        tried = [{name: value for one in kept for name, value in _others(study, one.config, knob).items()}]
    choices = [_alike(told, knob, others) for others in _distinct(tried)]
    most = max(len(arms) for arms in choices)
    arms = choices[0] if len(choices[0]) == most else max(choices, key=lambda arms: (len(arms), _worth(arms)))
    found = [
        stay.get(json.dumps(dict(one.config), sort_keys=True))
        or Candidate(_label(study, one), value, one.config, one.number, by=by, among=counts[value])
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


def _baseline(folder: Path, study: Study, trials: Sequence[Trial]) -> Candidate:
    config = study.config(study.baseline)
    if leaks(config):
        raise InputError(
            f"{folder}: the baseline must not be leaky, but `stage3.teacher_scheme` is 'diary': nothing that is "
            "measured out of fold can be held against it. Ask with 'own' or 'nested' teachers."
        )
    mine = next((trial for trial in trials if trial.origin != "confirm" and dict(trial.config) == config), None)
    return Candidate("baseline", None, config, mine.number if mine else 0, baseline=True)


def _label(study: Study, trial: Trial) -> str:
    return differs(study, study.params_of(trial.config))
