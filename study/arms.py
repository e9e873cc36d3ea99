"""A study that lists its arms: what each scores over its replicates, and by how much mixup's site changes that.

Notations
    d_r     figure of one arm less that of the other, in replicate r; both share partition and seeds     (replicate,)
    n       replicates in which the arm, or both arms of a pair, are COMPLETE
    t       interval: mean ± t(0.975, n−1) · s/√n, s the standard deviation of the n values (Student 1908)
    Holm    p-values of m comparisons, the k-th smallest times m−k+1, never falling (Holm 1979)

Replicates redraw partition and seeds on the same recordings: no interval here covers new recordings.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from scipy.stats import t

from rfcx_model.errors import InputError
from study import truth_table
from study.facts import finite
from study.study_json import read_study, recipe_of
from study.trials import Trial, read_trials
from study.truth_table import Judged

CONFIDENCE: Final = 0.95
FIGURES: Final = (
    "lwlrap",
    "precision",
    "recall",
    "score",
    "diary_lwlrap",
    "diary_precision",
    "test_lwlrap",
    "train_truth_lwlrap",
)
"""What an arm is judged by: the ledger's metrics, and what truth.csv says."""
COMPARED: Final = ("lwlrap", "precision", "test_lwlrap")
REFERENCE: Final = "input"


@dataclass(frozen=True)
class Estimate:
    """The mean over n replicates and its 95 % interval; one replicate has no interval."""

    n: int
    mean: float | None
    low: float | None
    high: float | None

    @property
    def half(self) -> float | None:
        """Half the width of the interval, which lies evenly about the mean."""
        return None if self.high is None or self.mean is None else self.high - self.mean


@dataclass(frozen=True)
class Difference:
    """The mean paired difference, the probability of one as large if there were none, and that by Holm."""

    estimate: Estimate
    p_value: float | None
    holm: float | None = None

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.p_value is not None and self.p_value < 1 - CONFIDENCE

    @property
    def stands(self) -> bool:
        """Whether that is so after all comparisons are taken into account."""
        return self.holm is not None and self.holm < 1 - CONFIDENCE


@dataclass(frozen=True)
class Arm:
    """One listed recipe. `values` are those of its COMPLETE replicates, `others` counts all its other trials."""

    regime: str
    site: str
    params: Mapping[str, Any]
    published: Mapping[str, float]
    leaky: bool  # its pseudo-labels come from models that had seen the recordings they are measured on
    finished: int
    others: Mapping[str, int]  # by state
    values: Mapping[str, Mapping[int, float]]  # figure → replicate → value

    def estimate(self, figure: str, beside: Iterable[str] = ()) -> Estimate:
        """Over the replicates that have the figure, and those of `beside` that any replicate has."""
        known = [self.values[name] for name in beside if self.values[name]]
        return estimate([v for r, v in self.values[figure].items() if all(r in other for other in known)])


@dataclass(frozen=True)
class Pair:
    """Two arms of a regime that mix at different sites, replicate by replicate: the second less the first."""

    first: Arm
    second: Arm
    also: tuple[str, ...]  # knobs other than the site in which the two differ
    differences: Mapping[str, Difference]

    @property
    def regime(self) -> str:
        """Of both."""
        return self.first.regime


@dataclass(frozen=True)
class Comparison:
    """All arms and pairs of a study."""

    replicates: int
    arms: tuple[Arm, ...]
    pairs: tuple[Pair, ...]

    def has(self, figure: str) -> bool:
        """Whether some replicate has the figure."""
        return any(arm.values[figure] for arm in self.arms)

    @property
    def comparisons(self) -> int:
        """How many differences have an interval."""
        return sum(one.p_value is not None for pair in self.pairs for one in pair.differences.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "replicates": self.replicates,
            "arms": [
                asdict(arm) | {"estimates": {name: asdict(arm.estimate(name)) for name in FIGURES}} for arm in self.arms
            ],
            "pairs": [
                {
                    "regime": pair.regime,
                    "sites": [pair.first.site, pair.second.site],
                    "also": pair.also,
                    "differences": {name: asdict(one) for name, one in pair.differences.items()},
                }
                for pair in self.pairs
            ],
        }


def compare(folder: Path) -> Comparison:
    """The arms of a study's folder; truth.csv is read where it is there.

    Raises:
        InputError: the folder is no study's, or the study lists no arms.
        LedgerError: the ledger is damaged in the middle.
    """
    study = read_study(folder)
    if not study.get("arms"):
        raise InputError(f"{folder}: the study lists no arms. Give one whose space has [[arm]], or see `report`.")
    return comparison(study, read_trials(folder / "trials.jsonl"), truth_table.read(folder))


def comparison(study: Mapping[str, Any], trials: Sequence[Trial], judged: Mapping[int, Judged]) -> Comparison:
    """The arms of study.json with what the ledger, and a truth where there is one, say of them."""
    searched = [trial for trial in trials if trial.origin != "confirm"]
    arms = tuple(_arm(study.get("fixed") or {}, told, searched, judged) for told in study["arms"])
    replicates = int((study.get("search") or {}).get("replicates") or 1)
    return Comparison(replicates, arms, _corrected(_pairs(arms)))


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % t-interval."""
    n = len(values)
    if n < 2:
        return Estimate(n, values[0] if n else None, None, None)
    mean = statistics.fmean(values)
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * statistics.stdev(values) / math.sqrt(n)
    return Estimate(n, mean, mean - half, mean + half)


def difference(first: Mapping[int, float], second: Mapping[int, float]) -> Difference:
    """Second less first, over the replicates that both have; a two-sided paired t-test."""
    values = [second[replicate] - first[replicate] for replicate in first if replicate in second]
    if len(values) < 2:
        return Difference(estimate(values), None)
    error = statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    if error < 1e-9 * max(map(abs, values)) or not any(values):  # the same each time: the test has nothing to say
        return Difference(estimate(values), None if any(values) else 1.0)
    return Difference(estimate(values), float(2 * t.sf(abs(mean) / error, len(values) - 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value as it stands after all comparisons are taken into account."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def _arm(
    fixed: Mapping[str, Any], told: Mapping[str, Any], trials: Sequence[Trial], judged: Mapping[int, Judged]
) -> Arm:
    params = told["params"]
    hyperparameters = recipe_of({**fixed, **params}, f"study.json, arm {told['regime']!r}")
    mine = [trial for trial in trials if all(trial.config.get(name) == value for name, value in params.items())]
    complete = [trial for trial in mine if trial.state == "COMPLETE"]
    values: dict[str, dict[int, float]] = {name: {} for name in FIGURES}
    # Labels that a model makes for itself from batch to batch are on no record to be scored against.
    unlabelled = hyperparameters.last_stage == "stage1" and hyperparameters.stage1.pseudo_threshold < 1
    for trial in complete:
        for name, value in _figures(trial, judged.get(trial.number)).items():
            if unlabelled and name.startswith("diary_"):
                continue
            if (number := finite(value)) is not None:
                values[name][trial.replicate] = number
    return Arm(
        regime=told["regime"],
        site=hyperparameters.site,
        params=params,
        published=told.get("published") or {},
        leaky=hyperparameters.leaky,
        finished=len(complete),
        others=dict(Counter(trial.state for trial in mine if trial.state != "COMPLETE")),
        values=values,
    )


def _figures(trial: Trial, judged: Judged | None) -> dict[str, float | None]:
    return {
        **{name: trial.metrics.get(name) for name in FIGURES},
        "score": trial.score,
        "test_lwlrap": judged.test_lwlrap if judged else None,
        "train_truth_lwlrap": judged.train_truth_lwlrap if judged else None,
    }


def _pairs(arms: Sequence[Arm]) -> list[Pair]:
    """In each regime every other site against the input, or against the first one listed."""
    found = []
    for regime in dict.fromkeys(arm.regime for arm in arms):
        members = [arm for arm in arms if arm.regime == regime]
        first = next((arm for arm in members if arm.site == REFERENCE), members[0])
        found += [_pair(first, arm) for arm in members if arm.site != first.site]
    return found


def _pair(first: Arm, second: Arm) -> Pair:
    differ = [name for name, value in first.params.items() if second.params.get(name) != value]
    also = tuple(name for name in differ if not name.endswith(".mixup_site"))
    told = {name: difference(first.values[name], second.values[name]) for name in COMPARED}
    if first.leaky or second.leaky:  # held-out labels have leaked into what is measured out of fold
        told |= {name: replace(one, p_value=None) for name, one in told.items() if name != "test_lwlrap"}
    return Pair(first, second, also, told)


def _corrected(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Holm's correction over all pairs, for each figure apart."""
    told = [dict(pair.differences) for pair in pairs]
    for name in COMPARED:
        known = [(one, p) for one in told if (p := one[name].p_value) is not None]
        for (one, _), corrected in zip(known, holm([p for _, p in known]), strict=True):
            one[name] = replace(one[name], holm=corrected)
    return tuple(replace(pair, differences=one) for pair, one in zip(pairs, told, strict=True))
