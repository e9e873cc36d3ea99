"""A space file (TOML) becomes a frozen `Study`; every error that the file can hold is found here, before Ray starts.

`load` is the door, `suggest` asks Optuna for the knobs that are active, `differs` names a trial by its knobs.
The contract of the file is in search_spaces/README.md; the knobs themselves stand in `rfcx_model.hyperparameters`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from rfcx_model.hyperparameters import READS, STAGES, Hyperparameters, StageName, build, flatten, knobs
from study.knob import Knob, Value
from study.space_settings import Budget, Objective, Resources, Search

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution

Params = dict[str, Any]
"""`{"stage3.mixup_site": "input", ...}`: the active searched knobs of one trial."""


@dataclass(frozen=True)
class Arm:
    """One recipe of a list that is tried as it stands: a regime, with its mixup site as the other label."""

    regime: str
    params: Mapping[str, Any]  # every searched knob
    named: tuple[str, ...]  # those that the arm itself names
    published: Mapping[str, float]  # what its author reported, by the author's names of the figures


@dataclass(frozen=True)
class Study:
    """One question: what is asked, tuned and fixed, how it is searched, and what it may cost."""

    name: str
    path: Path
    question: str
    knobs: tuple[Knob, ...]  # each after those that its `when` asks about
    fixed: Mapping[str, Any]  # as written, `--set` included
    baseline: Mapping[str, Any]
    tries: tuple[Mapping[str, Any], ...]
    objective: Objective
    search: Search
    budget: Budget
    resources: Resources
    arms: tuple[Arm, ...] = ()  # of a grid that is a list instead of a product

    def hyperparameters(self, params: Mapping[str, Any]) -> Hyperparameters:
        """`params` over the fixed knobs over the defaults."""
        return build({**self.fixed, **params})

    def config(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Every knob of a trial, flat: what the ledger records."""
        return flatten(self.hyperparameters(params))

    @cached_property
    def constants(self) -> Mapping[str, Any]:
        """Every knob that is not searched, with its value."""
        searched = self.searched()
        return {name: value for name, value in {**knobs(), **self.fixed}.items() if name not in searched}

    def searched(self) -> tuple[str, ...]:
        """Names of the searched knobs, in the order in which they are drawn."""
        return tuple(knob.name for knob in self.knobs)

    def active(self, knob: Knob, params: Mapping[str, Any]) -> bool:
        """Whether `knob` is asked for, given the knobs drawn before it."""
        seen = {**self.constants, **params}
        return all(name in seen and seen[name] in values for name, values in knob.when)

    def params_of(self, config: Mapping[str, Any]) -> Params:
        """The active searched knobs of a full config; the inverse of `config`."""
        params: Params = {}
        for knob in self.knobs:
            if self.active(knob, params):
                params[knob.name] = config[knob.name]
        return params

    def grid(self) -> Iterator[Params]:
        """The arms, else every combination of active values, the last knob turning fastest. For finite domains."""
        if self.arms:
            yield from (dict(arm.params) for arm in self.arms)
        else:
            yield from self._grid(self.knobs, {})

    def _grid(self, left: tuple[Knob, ...], params: Params) -> Iterator[Params]:
        if not left:
            yield params
        elif not self.active(left[0], params):
            yield from self._grid(left[1:], params)
        else:
            for value in left[0].values():
                yield from self._grid(left[1:], {**params, left[0].name: value})

    def points(self) -> list[tuple[int, Params]]:
        """What is tried before a sampler is asked, with its replicate: all of a grid, one replicate after another."""
        if self.search.sampler != "grid":
            first: list[Params] = []
            for point in (self.baseline, *self.tries):
                if dict(point) not in first:
                    first.append(dict(point))
            return [(0, point) for point in first]
        baseline = dict(self.baseline)
        arms = [baseline, *(point for point in self.grid() if point != baseline)]
        return [(replicate, arm) for replicate in range(self.search.replicates) for arm in arms]

    @property
    def first_stage(self) -> StageName:
        """The first stage that a searched knob changes."""
        groups = {name.partition(".")[0] for name in self.searched()}
        return next(stage for stage in STAGES if groups & set(READS[stage]))

    def first_own(self, last: StageName) -> StageName:
        """The first stage of its own of a trial that ends with stage `last`.

        A grid is known in advance, so only the last stage is the trial's own. A search has each trial train, report
        and be judged from the first stage on that a searched knob changes.
        """
        return last if self.search.sampler == "grid" else min(self.first_stage, last)

    def planned_epochs(self, params: Mapping[str, Any]) -> int:
        """The steps that a trial reports when it is not pruned: measured epochs of its own stages 1 and 3.

        Stage 2 trains teachers, which are not the trial's model; it is reported where it is the last stage.
        """
        config = {**knobs(), **self.fixed, **params}
        last = max(stage for stage in STAGES if config[f"{stage}.epochs"] or stage == "stage1")
        own = STAGES[STAGES.index(self.first_own(last)) : STAGES.index(last) + 1]
        cycles = {"stage3": int(config["stage3.cycles"])}
        return sum(
            cycles.get(stage, 1) * math.ceil(config[f"{stage}.epochs"] / config["ruler.every_epochs"])
            for stage in own
            if stage != "stage2" or stage == last
        )

    def epoch_range(self) -> tuple[int, int]:
        """The fewest and the most steps that a trial of this study can have."""
        if self.arms:
            steps = [self.planned_epochs(arm.params) for arm in self.arms]
            return min(steps), max(steps)
        deciding = [k for k in self.knobs if k.name.endswith(".epochs") or k.name == "stage3.cycles"]
        corners = product(*[[(knob.name, value) for _, value in knob.extremes()] for knob in deciding])
        steps = [self.planned_epochs({**self.baseline, **dict(corner)}) for corner in corners]
        return min(steps), max(steps)

    def values_of(self, name: str) -> tuple[Any, ...]:
        """All values that a knob with choices, or a fixed one, can have in this study."""
        return next((knob.values() for knob in self.knobs if knob.name == name), (self.constants.get(name),))

    def arm(self, params: Mapping[str, Any]) -> Arm | None:
        """The arm that these searched knobs are, where the study is a list of arms."""
        return next((arm for arm in self.arms if dict(arm.params) == dict(params)), None)

    def resolved(self) -> dict[str, Any]:
        """Everything, as JSON takes it: what `study.json` records."""
        return {
            "name": self.name,
            "question": self.question,
            "scientific": {knob.name: knob.domain() for knob in self.knobs if knob.role == "scientific"},
            "nuisance": {knob.name: knob.domain() for knob in self.knobs if knob.role == "nuisance"},
            "order": list(self.searched()),
            "fixed": dict(self.constants),
            "baseline": dict(self.baseline),
            "try": [dict(point) for point in self.tries],
            "objective": asdict(self.objective),
            "search": asdict(self.search),
            "budget": asdict(self.budget),
            "resources": asdict(self.resources),
            **({"arms": [_told(arm) for arm in self.arms]} if self.arms else {}),
        }

    def signature(self, data_fingerprint: str) -> str:
        """Hash of the question and the data; name, comments, budget, resources and published figures are no part."""
        question = {key: value for key, value in self.resolved().items() if key not in _UNASKED}
        if self.arms:
            question["arms"] = [{"regime": arm.regime, "params": dict(arm.params)} for arm in self.arms]
        text = json.dumps([question, data_fingerprint], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _told(arm: Arm) -> dict[str, Any]:
    return {"regime": arm.regime, "params": dict(arm.params), "published": dict(arm.published)}


_UNASKED: Final = ("name", "question", "budget", "resources")


def load(path: Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read and check a space file. `overrides` (`--set network.backbone=resnet18`) go into [fixed].

    A key whose first part is a table of settings (`search.folds`) goes into that table.

    Raises:
        InputError: the file cannot be read, or holds an error; the text says which and the way out.
    """
    from study.space_file import read

    return read(path, overrides or {})


def distribution(knob: Knob) -> BaseDistribution:
    """A knob's domain as Optuna knows it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if knob.choices:
        return CategoricalDistribution(knob.choices)
    if knob.whole:
        return IntDistribution(int(knob.low), int(knob.high), log=knob.log, step=int(knob.step or 1))
    return FloatDistribution(knob.low, knob.high, log=knob.log, step=knob.step)


def suggest(study: Study, trial: Trial) -> Params:
    """Draw the active knobs, one after the other, so that later ones may depend on earlier ones."""
    params: Params = {}
    for knob in study.knobs:
        if study.active(knob, params):
            params[knob.name] = _draw(knob, trial)
    return params


def _draw(knob: Knob, trial: Trial) -> Value:
    if knob.choices:
        return cast(Value, trial.suggest_categorical(knob.name, knob.choices))
    if knob.whole:
        return trial.suggest_int(knob.name, int(knob.low), int(knob.high), log=knob.log, step=int(knob.step or 1))
    return trial.suggest_float(knob.name, knob.low, knob.high, log=knob.log, step=knob.step)


def differs(study: Study, params: Mapping[str, Any]) -> str:
    """`site=stage4 alpha=0.2`: a trial by its searched knobs; safe as part of a file name. A leak is marked."""
    recipe, arm = study.hyperparameters(params), study.arm(params)
    mark = " leaky" if recipe.leaky else ""
    if arm is not None:
        return f"{_short(arm.regime)} site={recipe.site}{mark}"
    words = [f"{short_name(study, name)}={_short(value)}" for name, value in params.items()]
    return _within(words, _LONGEST - len(mark)) + mark


def _within(words: list[str], longest: int) -> str:
    """As many words as fit, and how many do not."""
    text = ""
    for index, word in enumerate(words):
        more = f" +{len(words) - index}"
        if len(text) + len(word) > longest - len(more):
            return text + more
        text = f"{text} {word}" if text else word
    return text


_LONGEST: Final = 160


def short_name(study: Study, name: str) -> str:
    """The last words of a knob's name that no other searched knob's name ends with: `site`, `alpha`."""
    short = name.partition(".")[2]
    words = short.split("_")
    others = [other.partition(".")[2] for other in study.searched() if other != name]
    for count in range(1, len(words) + 1):
        tail = "_".join(words[-count:])
        if not any(other == tail or other.endswith(f"_{tail}") for other in others):
            return tail
    return name


def _short(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
    return re.sub(r"[^A-Za-z0-9.+_-]+", "-", text)
