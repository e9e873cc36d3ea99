"""Which trials of a study may be compared: replicated settings, and pairs of them that differ in what was asked.

A confirmed study's settings stand in `confirm.json`, with the replicates that were declared. A grid's are its points,
with the replicates of its space. Trials that were pruned, failed or are leaky are never used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import leaks
from study.declaration import declaration
from study.facts import short_names, shown
from study.knob import Knob, suggestion
from study.study_json import active_values, searched_knobs
from study.trials import Trial


@dataclass(frozen=True)
class Setting:
    """One configuration and its trials by replicate; the COMPLETE one where there are several."""

    label: str
    config: Mapping[str, Any]
    trials: Mapping[int, Trial]
    baseline: bool = False
    regime: str = ""  # of a list of arms
    by: str | None = None  # the knob whose arm it was declared for
    among: int | None = None  # the trials of which it was the best

    @property
    def leaky(self) -> bool:
        """Whether its teachers saw the fold that it is measured on."""
        return leaks(self.config)


Near = tuple[Setting, Setting, list[str], tuple[str, ...]]
"""Two settings, what they differ in beside the asked knob, and the tuned nuisances in which they do."""


@dataclass(frozen=True)
class Replicated:
    """All settings, and the replicates that were declared before any was seen."""

    settings: tuple[Setting, ...]
    replicates: tuple[int, ...]
    knobs: tuple[Knob, ...]
    raised: tuple[int, ...] = ()  # what was declared before more were
    confirmed: bool = False


@dataclass(frozen=True)
class Matched:
    """Two settings to compare, the second with the first; `where` tells the pair from other pairs of the same names."""

    first: Setting
    second: Setting
    names: tuple[str, str]
    where: str = ""
    tuned: tuple[str, ...] = ()  # nuisances in which they differ as well


def replicated(folder: Path, study: Mapping[str, Any], trials: Sequence[Trial]) -> Replicated:
    """The settings of a confirmed study, else those of a grid.

    Raises:
        InputError: the study is neither, or confirm.json is damaged.
    """
    knobs = searched_knobs(study)
    declared = declaration(folder)
    if declared is not None:
        again = [trial for trial in trials if trial.origin == "confirm"]
        settings = tuple(
            Setting(
                label=one.label,
                config=one.config,
                trials=_by_replicate(again, one.config),
                baseline=one.baseline,
                by=one.by,
                among=one.among,
            )
            for one in declared.arms
        )
        return Replicated(settings, declared.replicates, knobs, declared.raised, confirmed=True)
    search = study.get("search") or {}
    if search.get("sampler") != "grid":
        raise InputError(
            f"{folder}: compare reads replicated trials only, but a search tries each setting once, and the best of "
            "many is best by luck in part. Call `rfcx-study confirm` first."
        )
    searched = [trial for trial in trials if trial.origin != "confirm"]
    return Replicated(_points(study, searched, knobs), tuple(range(int(search.get("replicates") or 1))), knobs)


def against_baseline(told: Replicated) -> tuple[Matched, ...]:
    """Every setting against the baseline; nothing where there is no baseline."""
    first = next((one for one in told.settings if one.baseline), None)
    if first is None:
        return ()
    others = [one for one in told.settings if one.config != first.config]
    return tuple(Matched(first, one, (first.label, one.label)) for one in others)


def by_knob(folder: Path, told: Replicated, by: str) -> tuple[Matched, ...]:
    """Settings that differ in one knob, and in nuisances tuned for each; nothing where the knob has one value.

    The reference is the baseline's value, else the first.

    Raises:
        InputError: the knob was not searched, or settings differ in more.
    """
    _refuse_unsearched(folder, told, by)
    arms = _arms(told, by)
    if len(arms) < 2:
        return ()
    baseline = next((one for one in told.settings if one.baseline), None)
    reference = shown(baseline.config.get(by)) if baseline else ""
    reference = reference if reference in arms else next(iter(arms))
    near = [
        (first, second, *_else(told.knobs, first, second, by))
        for first in arms[reference]
        for value, members in arms.items()
        if value != reference
        for second in members
    ]
    alone = all(len(members) == 1 for members in arms.values())
    fair = [(first, second, tuned) for first, second, other, tuned in near if not other and (alone or not tuned)]
    if not fair or (alone and len(fair) < len(near)):
        raise InputError(_differ(folder, near, by, alone))
    return tuple(
        Matched(a, b, (_named(told, a, by), _named(told, b, by)), _where(told, fair, a, by), tuned)
        for a, b, tuned in fair
    )


def _points(study: Mapping[str, Any], trials: Sequence[Trial], knobs: Sequence[Knob]) -> tuple[Setting, ...]:
    """The settings of a grid, in the order in which they were first tried."""
    regimes = [(str(arm["regime"]), arm["params"]) for arm in study.get("arms") or ()]
    settings: list[Setting] = []
    for trial in trials:
        if all(one.config != trial.config for one in settings):
            regime = next((name for name, params in regimes if params.items() <= trial.config.items()), "")
            mine = _by_replicate(trials, trial.config)
            settings.append(Setting("", trial.config, mine, trial.origin == "baseline", regime))
    return tuple(replace(one, label=_label(one, settings, knobs)) for one in settings)


def _label(setting: Setting, among: Sequence[Setting], knobs: Sequence[Knob]) -> str:
    """Its regime and the knobs in which others of its regime differ; a grid is one regime without a name."""
    others = [one for one in among if one.regime == setting.regime]
    names, values = short_names(knobs), active_values(knobs, setting.config)
    varied = [name for name in values if len({shown(one.config.get(name)) for one in others}) > 1]
    told = " ".join(f"{names[name]}={shown(values[name])}" for name in varied)
    named = f"{setting.regime}, {told}" if setting.regime and told else setting.regime or told
    return f"the baseline ({named})" if setting.baseline else named


def _by_replicate(trials: Sequence[Trial], config: Mapping[str, Any]) -> dict[int, Trial]:
    mine: dict[int, Trial] = {}
    for trial in trials:
        if trial.config == config and (trial.replicate not in mine or mine[trial.replicate].state != "COMPLETE"):
            mine[trial.replicate] = trial
    return mine


def _arms(told: Replicated, by: str) -> dict[str, list[Setting]]:
    """Settings by the knob's value.

    Of a confirmed study the arms are the settings that were declared for this knob last, which stand first. Where none
    were, they are its settings, and the baseline is no arm where another one has its value.
    """
    arms: dict[str, list[Setting]] = {}
    for one in told.settings:
        arms.setdefault(shown(one.config.get(by)), []).append(one)
    if not told.confirmed:
        return arms
    declared = {value: [one for one in mine if one.by == by][:1] for value, mine in arms.items()}
    if sum(map(bool, declared.values())) > 1:
        return {value: mine for value, mine in declared.items() if mine}
    return {
        value: declared[value] or [one for one in mine if len(mine) == 1 or not one.baseline]
        for value, mine in arms.items()
    }


def _else(knobs: Sequence[Knob], first: Setting, second: Setting, by: str) -> tuple[list[str], tuple[str, ...]]:
    """What else differs, and which tuned nuisances; knobs that act in one of the two alone are its own."""
    one, other = active_values(knobs, first.config), active_values(knobs, second.config)
    searched = {knob.name for knob in knobs}
    nuisances = {knob.name for knob in knobs if knob.role == "nuisance"}
    differ = [
        name
        for name in first.config
        if name != by
        and first.config[name] != second.config.get(name)
        and (name not in searched or (name in one and name in other))
    ]
    tuned = tuple(name for name in differ if name in nuisances)
    return [name for name in differ if name not in nuisances], tuned


def _differ(folder: Path, near: Sequence[Near], by: str, alone: bool) -> str:
    odd = [pair for pair in near if pair[2]] if alone else near
    first, second, other, tuned = min(odd, key=lambda pair: (len(pair[2]), len(pair[3])))
    named = [
        f"{name} ({shown(first.config[name])} against {shown(second.config.get(name))})" for name in other or tuned
    ]
    arms = f"{by}={shown(first.config.get(by))} and {by}={shown(second.config.get(by))}"
    if not other:
        return (
            f"{folder}: arms must have one setting each, but of {arms} there are several, which differ in "
            f"{', '.join(named)}. Choose the best of each with `rfcx-study confirm --by {by}`, or compare without --by."
        )
    return (
        f"{folder}: arms must differ in {by} and their own tuned nuisances alone, but {arms} differ in "
        f"{', '.join(named)} as well. Compare by that knob, or run a study in which it is fixed."
    )


def _named(told: Replicated, setting: Setting, by: str) -> str:
    """A choice by its own name, `threshold=0.5` for a number."""
    value = setting.config.get(by)
    return value if isinstance(value, str) else f"{short_names(told.knobs)[by]}={shown(value)}"


def _where(told: Replicated, fair: Sequence[tuple[Setting, Setting, tuple[str, ...]]], first: Setting, by: str) -> str:
    """What tells this reference from other references: its regime, or the knobs in which they differ."""
    references = [one for place, (one, *_) in enumerate(fair) if one not in [other for other, *_ in fair[:place]]]
    if len(references) < 2:
        return ""
    if len({one.regime for one in references}) == len(references):
        return first.regime
    names, values = short_names(told.knobs), active_values(told.knobs, first.config)
    varied = [name for name in values if len({shown(one.config.get(name)) for one in references}) > 1]
    return " ".join(f"{names[name]}={shown(values[name])}" for name in varied if name != by)


def _refuse_unsearched(folder: Path, told: Replicated, by: str) -> None:
    searched = [knob.name for knob in told.knobs]
    if by not in searched:
        hint = suggestion(by, searched) or f" Searched are {', '.join(searched)}."
        raise InputError(f"{folder}: `{by}` is no knob that this study searched.{hint}")
