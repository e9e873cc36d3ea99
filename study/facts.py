"""A study's facts, computed from study.json and the ledger alone; nothing here draws or writes.

Only trials of the search (origin baseline or search) are ranked; confirmation trials are counted apart. Leaky ones,
whose teachers saw the fold that the score was measured on, are marked, and neither ranked nor compared.
A trial's score counts when the trial is COMPLETE: a pruned trial's last score was measured after less training.
Every key of study.json but `name` may be missing; what is not known is None.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rfcx_model.hyperparameters import leaks
from study.importance import Ranking
from study.knob import Knob
from study.pruning import Pruning, pruning
from study.study_json import active_values, searched_knobs
from study.trials import Trial

LEAKY: Final = "leaky: teachers saw the held-out fold"
"""How a leaky trial is marked wherever it is shown."""


@dataclass(frozen=True)
class Row:
    """A trial as the report shows it. `values` holds the searched knobs that act in it."""

    number: int
    origin: str
    state: str
    score: float | None
    difference: float | None
    metrics: Mapping[str, float]
    values: Mapping[str, Any]
    label: str
    epochs: int
    reason: str
    ended: float | None
    leaky: bool = False
    troubles: tuple[str, ...] = ()

    def metric(self, name: str) -> float | None:
        """The metric of the last epoch; None when absent or not finite."""
        return finite(self.metrics.get(name))


@dataclass(frozen=True)
class Arm:
    """The trials that share one value of a scientific knob. Finished are those that are ranked: whole, not leaky."""

    knob: str
    value: str
    finished: int
    pruned: int
    best: float | None
    median: float | None


@dataclass(frozen=True)
class Cost:
    """What the study took. `states` counts the trials of the search by state."""

    states: Mapping[str, int]
    confirmations: int
    epochs_trained: int
    epochs_reused: int
    training_s: float | None
    span_s: float | None
    planned_fold_epochs: Mapping[str, int]


@dataclass(frozen=True)
class Failure:
    """One cause and the trials that ended with it."""

    reason: str
    trials: tuple[int, ...]


@dataclass(frozen=True)
class Facts:
    """All that a report tells. `rows` are in the order of their numbers; `ranked` best first."""

    name: str
    question: str | None
    knobs: tuple[Knob, ...]
    rows: tuple[Row, ...]
    ranked: tuple[Row, ...]
    baseline: Row | None
    precision_form: str
    arms: tuple[Arm, ...]
    replicates: int
    cost: Cost
    pruning: Pruning
    failures: tuple[Failure, ...]
    retries: tuple[Failure, ...]
    study: Mapping[str, Any]
    ranking: Ranking = field(default_factory=Ranking)

    @property
    def leaky(self) -> tuple[Row, ...]:
        """Finished trials whose score says nothing of recordings that nobody has seen."""
        return tuple(row for row in self.rows if row.leaky and row.state == "COMPLETE")

    @property
    def pareto(self) -> tuple[Row, ...]:
        """Finished trials that no other beats in LWLRAP and precision at once, by falling LWLRAP."""
        return pareto_front(self.ranked, self.precision_form)

    @property
    def coloured(self) -> Knob | None:
        """The knob whose arms are coloured: the first scientific one with choices."""
        return next((knob for knob in self.knobs if knob.role == "scientific" and knob.choices), None)

    def slice(self, knob: Knob) -> list[tuple[Any, Row]]:
        """(value, row) of every ranked trial in which the knob acts."""
        return [(row.values[knob.name], row) for row in self.ranked if row.values.get(knob.name) is not None]


def compute(study: Mapping[str, Any], trials: Sequence[Trial]) -> Facts:
    """All facts but the knobs' ranking, which takes seconds (study.report adds it)."""
    knobs = searched_knobs(study)
    searched = [trial for trial in trials if trial.origin != "confirm"]
    rows = rows_of(searched, knobs)
    ranked = tuple(sorted((row for row in rows if _counts(row)), key=lambda row: (-(row.score or 0.0), row.number)))
    objective = study.get("objective") or {}
    return Facts(
        name=str(study.get("name") or "unnamed study"),
        question=study.get("question") or None,
        knobs=knobs,
        rows=rows,
        ranked=ranked,
        baseline=next((row for row in rows if row.origin == "baseline"), None),
        precision_form=str(objective.get("precision_form") or "precision"),
        arms=tuple(arm for knob in knobs if knob.role == "scientific" for arm in arms_of(knob, rows)),
        replicates=len({trial.replicate for trial in searched if trial.state == "COMPLETE"}),
        cost=_cost(study, trials),
        pruning=pruning(searched, [row.number for row in ranked], frozenset(row.number for row in rows if row.leaky)),
        failures=_failures((row.reason or "no reason on record", row.number) for row in rows if row.state == "FAILED"),
        retries=_failures((trouble, row.number) for row in rows for trouble in row.troubles),
        study=study,
    )


def rows_of(trials: Sequence[Trial], knobs: Sequence[Knob]) -> tuple[Row, ...]:
    """Trials as rows, each with its difference from the finished baseline of its replicate."""
    first = next((trial for trial in trials if trial.origin == "baseline"), None)
    if first is None:
        return tuple(_row(trial, knobs, {}, None) for trial in trials)
    same = [trial for trial in trials if trial.config == first.config]
    honest = [trial for trial in same if trial.state == "COMPLETE" and not leaks(trial.config)]
    levels = {trial.replicate: finite(trial.score) for trial in honest}
    reference = active_values(knobs, first.config)
    return tuple(
        _row(trial, knobs, reference, None if trial in same else levels.get(trial.replicate)) for trial in trials
    )


def arms_of(knob: Knob, rows: Sequence[Row]) -> list[Arm]:
    """One arm per choice, also for those without a trial; none for a numeric knob."""
    return [_arm(knob, shown(choice), rows) for choice in knob.choices]


def pareto_front(rows: Sequence[Row], precision_form: str) -> tuple[Row, ...]:
    """Rows that no other row beats in both metrics, by falling LWLRAP; rows without both metrics are left out."""
    points = [(row.metric("lwlrap"), row.metric(precision_form), row) for row in rows]
    whole = [(x, y, row) for x, y, row in points if x is not None and y is not None]
    front: list[Row] = []
    highest = -math.inf
    for _x, y, row in sorted(whole, key=lambda point: (-point[0], -point[1], point[2].number)):
        if y > highest:
            front.append(row)
            highest = y
    return tuple(front)


def running_best(rows: Sequence[Row]) -> list[tuple[Row, float]]:
    """Ranked rows in the order they ended, each with the best score so far."""
    best, history = -math.inf, []
    for row in sorted(rows, key=lambda row: (row.ended or 0.0, row.number)):
        best = max(best, row.score if row.score is not None else best)
        history.append((row, best))
    return history


def is_ranked(trial: Trial) -> bool:
    """Whether a trial's score may be held against others': it ran to its end, has one, and its teachers were blind."""
    return trial.state == "COMPLETE" and finite(trial.score) is not None and not leaks(trial.config)


def is_ranked_in_search(trial: Trial) -> bool:
    """The same for the search's own; a confirmation's trials have other partitions."""
    return trial.origin != "confirm" and is_ranked(trial)


def finite(value: Any) -> float | None:
    """A finite number as float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def short_names(knobs: Sequence[Knob]) -> dict[str, str]:
    """For each knob the last words of its name that no other searched knob's name ends with."""
    tails = {knob.name: knob.name.rpartition(".")[2].split("_") for knob in knobs}
    names = {}
    for name, words in tails.items():
        others = [other for key, other in tails.items() if key != name]
        lengths = range(1, len(words) + 1)
        length = next((n for n in lengths if all(other[-n:] != words[-n:] for other in others)), None)
        names[name] = name if length is None else "_".join(words[-length:])
    return names


def shown(value: Any) -> str:
    """A knob's value as text: four significant digits, `none` for None."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _row(trial: Trial, knobs: Sequence[Knob], reference: Mapping[str, Any], level: float | None) -> Row:
    values = active_values(knobs, trial.config)
    score = finite(trial.score)
    if score is None and trial.state == "PRUNED":
        score = finite(trial.metrics.get("score"))
    leaky = leaks(trial.config)
    compared = trial.state == "COMPLETE" and not leaky
    changed = {name: value for name, value in values.items() if name not in reference or reference[name] != value}
    names = short_names(knobs)
    label = " ".join(f"{names[name]}={_brief(value)}" for name, value in changed.items())
    label = "baseline" if trial.origin == "baseline" else label or "the baseline's values"
    return Row(
        number=trial.number,
        origin=trial.origin,
        state=trial.state,
        score=score,
        difference=score - level if compared and score is not None and level is not None else None,
        metrics=trial.metrics,
        values=values,
        label=f"{label} ({LEAKY})" if leaky else label,
        epochs=sum(trial.spans),
        reason=trial.reason,
        ended=trial.ended,
        leaky=leaky,
        troubles=trial.troubles,
    )


def _brief(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else shown(value)


def _counts(row: Row) -> bool:
    return row.state == "COMPLETE" and row.score is not None and not row.leaky


def _arm(knob: Knob, value: str, rows: Sequence[Row]) -> Arm:
    members = [row for row in rows if knob.name in row.values and shown(row.values[knob.name]) == value]
    scores = [row.score for row in members if _counts(row) and row.score is not None]
    return Arm(
        knob=knob.name,
        value=value,
        finished=len(scores),
        pruned=sum(row.state == "PRUNED" for row in members),
        best=max(scores, default=None),
        median=statistics.median(scores) if scores else None,
    )


def _cost(study: Mapping[str, Any], trials: Sequence[Trial]) -> Cost:
    epochs = [(record, span) for trial in trials for record, span in zip(trial.epochs, trial.spans, strict=True)]
    seconds = [finite(record.metrics.get("seconds")) for record, _ in epochs if not record.reused]
    known = [value for value in seconds if value is not None]
    times = [time for trial in trials for time in (trial.started, *(e.time for e in trial.epochs), trial.ended) if time]
    return Cost(
        states=Counter(trial.state for trial in trials if trial.origin != "confirm"),
        confirmations=sum(trial.origin == "confirm" for trial in trials),
        epochs_trained=sum(span for record, span in epochs if not record.reused),
        epochs_reused=sum(span for record, span in epochs if record.reused),
        training_s=sum(known) if known else None,
        span_s=max(times) - min(times) if times else None,
        planned_fold_epochs=study.get("fold_epochs") or {},
    )


def _failures(told: Iterable[tuple[str, int]]) -> tuple[Failure, ...]:
    """Causes with the trials that met them, the most frequent first."""
    causes: dict[str, list[int]] = {}
    for reason, number in told:
        causes.setdefault(reason, []).append(number)
    ordered = sorted(causes.items(), key=lambda item: -len(item[1]))
    return tuple(Failure(reason=reason, trials=tuple(numbers)) for reason, numbers in ordered)
