"""The settings of a space file: [objective], [search], [budget] and [resources], with defaults and limits."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

RANDOM_FIRST: Final = 10  # trials before a sampler's model is trusted; Optuna's own default
POPULATION: Final = 20  # of NSGA-II; a study has tens of trials, not the thousands of Optuna's 50. Assumption
_strict: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, config=_strict)
class Objective:
    """How an epoch's metrics become one score; see `study.objective`."""

    rule: Literal["weighted", "floor", "pareto"] = "weighted"
    lwlrap: Annotated[float, Field(ge=0)] = 0.5
    precision: Annotated[float, Field(ge=0)] = 0.5
    precision_form: Literal["precision", "precision_avg", "tpfp_auc"] = "tpfp_auc"  # tests/benchmarks/objective
    floor: Annotated[float, Field(ge=0, le=1)] | None = None  # of LWLRAP; None: the baseline's less `noise`
    noise: Annotated[float, Field(ge=0, le=1)] = 0.01  # of one setting from run to run; assumption


@dataclass(frozen=True, config=_strict)
class Search:
    """How proposals are made, pruned and repeated."""

    sampler: Literal["tpe", "gp", "qmc", "random", "nsga2", "grid"] = "tpe"
    scheduler: Literal["asha", "median", "none"] = "asha"
    grace: Annotated[int, Field(ge=1)] = 1  # measured epochs of a trial's own before it may be pruned
    factor: Annotated[int, Field(ge=2)] = 2  # of the trials at a rung, the best 1/factor go on
    folds: Annotated[int, Field(ge=2)] = 5
    lockbox: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # share of recordings that only `confirm` scores
    replicates: Annotated[int, Field(ge=1)] = 1  # of a grid
    seed: Annotated[int, Field(ge=0)] = 0

    def rungs(self, planned: int) -> list[int]:
        """The steps after which ASHA compares: grace, grace · factor, ... below `planned`."""
        steps = []
        step = self.grace
        while step < planned:
            steps.append(step)
            step *= self.factor
        return steps


@dataclass(frozen=True, config=_strict)
class Budget:
    """When the search ends. Not part of the question: asking for more carries on."""

    trials: Annotated[int, Field(ge=1)] = 50  # the baseline among them
    hours: Annotated[float, Field(gt=0)] | None = None  # of one `run`; called again it has as many again
    trial_epochs: Annotated[int, Field(ge=1)] | None = None  # measured epochs of all trials together
    patience: Annotated[int, Field(ge=1)] | None = None  # trials in a row without a gain above [objective] noise


@dataclass(frozen=True, config=_strict)
class Resources:
    """What one trial takes, and how many run at once. None: what the machine has."""

    cpus: Annotated[float, Field(gt=0)] | None = None
    gpus: Annotated[float, Field(ge=0)] | None = None
    concurrent: Annotated[int, Field(ge=1)] | None = None
