"""A sampler for one proposal: seeded with the study and the trial's number, and bounded in what it looks at.

The cost of a proposal must not grow with the study: TPE's grows with every finished trial, that of the Gaussian process
with their cube and with the trials that run. So both see the best and the latest finished trials only. Which those are
follows from the trials alone, so a searcher that is rebuilt from the ledger proposes what the unbroken one would.

Numbers below: CPU milliseconds of a proposal on one core of a laptop-like machine, knobs of `search_spaces/mixup.toml`;
`tests/benchmarks/driver.py` measures them again.
"""

from __future__ import annotations

import copy
import heapq
import math
import warnings
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from study.space import Params, Study, distribution, suggest
from study.space_settings import POPULATION, RANDOM_FIRST

_TPE_SEES: Final = 1000
"""Finished trials that TPE sees: 57 ms with 1,000 of them, 141 ms with 3,000. It models the best 25 apart from all
others, and among those older ones count less and less."""

_GP_SEES: Final = 150
"""COMPLETE trials that the Gaussian process sees: 230 ms with 100, 480 with 300, 1,220 with 500, 5,600 with 1,000."""

_GP_POINTS: Final = 2048 * 33
"""Points that are tried before its best ones are improved, times trials at once: with more than 32 that run there are
fewer than Optuna's 2,048. With 256 that run, 2,048 points took 2,500 ms and 1.7 GB, 256 took 450 ms and 0.2 GB."""
_GP_FEWEST: Final = 32

_BEST_SHARE: Final = 4  # one in so many of the trials that are seen is there for its score. Assumption


def sampler(study: Study, number: int, index: int) -> BaseSampler:
    """The sampler for one proposal: the `index`-th that is not given, for the trial `number`."""
    search = study.search
    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    if search.sampler == "random" or index < 0:
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group and QMC are called experimental
        if search.sampler == "tpe":
            tpe = optuna.samplers.TPESampler(
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=RANDOM_FIRST,
                seed=seed,
            )
            return Bounded(tpe, Bound(_TPE_SEES, (TrialState.COMPLETE, TrialState.PRUNED), _weights(study)))
        if search.sampler == "gp":
            gp = _Gp(seed=seed, n_startup_trials=RANDOM_FIRST, warn_independent_sampling=False)
            return Bounded(gp, Bound(_GP_SEES, (TrialState.COMPLETE,), _weights(study)))
        if search.sampler == "nsga2":
            return _Nsga2(population_size=POPULATION, seed=seed)
        return _Sobol(study, index)


def drawn(study: Study, number: int, knob: str, value: Any) -> Params:
    """A random setting for the trial `number` in which a knob has this value; drawn again until the knob acts."""
    seed = int(np.random.SeedSequence([study.search.seed, number]).generate_state(1)[0])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    while True:
        asked.enqueue_trial({knob: value})
        params = suggest(study, asked.ask())
        if knob in params:
            return params


def _weights(study: Study) -> tuple[float, ...]:
    return (study.objective.lwlrap, study.objective.precision) if study.objective.rule == "pareto" else (1.0,)


@dataclass(frozen=True)
class Bound:
    """Of the finished trials in `states`, a sampler sees `most`: the best quarter, and of the others the latest."""

    most: int
    states: tuple[TrialState, ...]
    weights: tuple[float, ...]  # make one number of the values that Optuna is told, to say which are best

    def seen(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The trials without those finished ones that are not seen. PRUNED ones are never among the best."""
        finished = [index for index, trial in enumerate(trials) if trial.state in self.states]
        if len(finished) <= self.most:
            return list(trials)
        complete = [index for index in finished if trials[index].state == TrialState.COMPLETE]
        best = set(heapq.nlargest(self.most // _BEST_SHARE, complete, key=lambda index: self._merit(trials[index])))
        others = [index for index in finished if index not in best]
        hidden = set(others[: len(finished) - self.most])
        return [trial for index, trial in enumerate(trials) if index not in hidden]

    def _merit(self, trial: FrozenTrial) -> float:
        return math.fsum(weight * value for weight, value in zip(self.weights, trial.values, strict=True))


class Bounded(BaseSampler):
    """Another sampler, for one proposal, with a bound on what it sees."""

    def __init__(self, bounded: BaseSampler, bound: Bound) -> None:
        self._sampler = bounded
        self._bound = bound
        self._view: _View | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See Optuna's `BaseSampler`."""
        return self._sampler.infer_relative_search_space(self._seen(study), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See Optuna's `BaseSampler`."""
        return self._sampler.sample_relative(self._seen(study), trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See Optuna's `BaseSampler`."""
        return self._sampler.sample_independent(self._seen(study), trial, param_name, param_distribution)

    def _seen(self, study: optuna.Study) -> optuna.Study:
        if self._view is None:
            self._view = _View(study, self._bound.seen(study.get_trials(deepcopy=False)))
        return self._view


class _View(optuna.Study):
    """A study with fewer trials, as they were when it was made; Optuna's samplers ask for trials here alone."""

    def __init__(self, study: optuna.Study, seen: Sequence[FrozenTrial]) -> None:
        vars(self).update(vars(study))
        self._seen = seen

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        del use_cache
        trials = [trial for trial in self._seen if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials


class _Gp(optuna.samplers.GPSampler):
    """The Gaussian process with fewer points where many trials run: each point is weighed beside each of those."""

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        at_once = len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        allowed = max(_GP_FEWEST, _GP_POINTS // at_once)
        self._n_preliminary_samples = min(self._n_preliminary_samples, 2 ** (allowed.bit_length() - 1))  # as Sobol asks
        return super().sample_relative(study, trial, search_space)


class _Nsga2(optuna.samplers.NSGAIISampler):
    """NSGA-II, with a generation's parents on record in the trial whose proposal first asked for them.

    Optuna keeps them in its study. After a restart it would choose anew, now also among trials that ended meanwhile,
    from the first generation on and each within the next: 200 of them are more than Python's stack holds.
    """

    _asking: int  # Optuna's id of the trial that is proposed

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._asking = trial._trial_id
        return super().sample_relative(study, trial, search_space)

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        if generation == 0:
            return []
        key, trials = f"parents:{generation}", study.get_trials(deepcopy=False)
        parents = next((trial.system_attrs[key] for trial in trials if key in trial.system_attrs), None)
        if parents is None:
            parents = [trial.number for trial in self.select_parent(study, generation)]
            study._storage.set_trial_system_attr(self._asking, key, parents)
        chosen = set(parents)
        return [trial for trial in trials if trial.number in chosen]


class _Sobol(optuna.samplers.QMCSampler):
    """One scrambled Sobol sequence over all knobs, conditional ones too, whose points are taken by index."""

    def __init__(self, study: Study, index: int) -> None:
        super().__init__(qmc_type="sobol", scramble=True, seed=study.search.seed, warn_independent_sampling=False)
        self._index = index
        self._knobs = {knob.name: distribution(knob) for knob in study.knobs}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        del study, trial
        return dict(self._knobs)

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, Any]) -> int:
        del study, search_space
        return self._index
