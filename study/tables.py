"""The report's tables: facts as rows of text, the same for HTML and Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rfcx_model.hyperparameters import knobs as all_knobs
from study.facts import Facts, Failure, Row, running_best, shown
from study.knob import Knob
from study.prose import numbers

ROW_CAP = 500
BEST = 10
VALUES = 20
BINS = 6
UNKNOWN = "–"
_PLANNED: Final = {
    "total": "planned, at most",
    "shared": "in shared stages",
    "trials": "in trials",
    "alone": "if nothing were shared",
    "unshared": "in the diary's scheme, unshared",
}
"""How the parts of `study.json`'s plan are called."""


@dataclass(frozen=True)
class Table:
    """Headers and rows of text; columns from `numbers_from` on are numbers. `note` says what was left out."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers_from: int = 1
    note: str = ""


def number(value: float | None, digits: int = 4) -> str:
    """A fixed number of decimals, or a dash for what is not known."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 4) -> str:
    """As `number`, with its sign."""
    return UNKNOWN if value is None else f"{value:+.{digits}f}".replace("-", "−")


def best(facts: Facts) -> Table:
    """The best finished trials and, wherever it stands, the baseline."""
    shown_rows = list(facts.ranked[:BEST])
    if facts.baseline is not None and facts.baseline not in shown_rows:
        shown_rows.append(facts.baseline)
    left = len(facts.ranked) - BEST
    table = _trials(facts, shown_rows, f"{left} more finished trials stand below." if left > 0 else "")
    place = table.headers.index("state")
    rows = tuple((*row[:place], *row[place + 1 :]) for row in table.rows)
    return Table((*table.headers[:place], *table.headers[place + 1 :]), rows, place, table.note)


def every_trial(facts: Facts) -> Table:
    """Every trial of the search, finished ones first by score; at most `ROW_CAP` rows."""
    finished = {row.number for row in facts.ranked}
    others = [row for row in facts.rows if row.number not in finished]
    ordered = [*facts.ranked, *others]
    note = ""
    if len(ordered) > ROW_CAP:
        note = f"The first {ROW_CAP} of {len(ordered):,} trials; all of them stand in trials.jsonl."
    return _trials(facts, ordered[:ROW_CAP], note)


def history(facts: Facts) -> Table:
    """The trials that raised the running best."""
    rows, highest = [], float("-inf")
    for row, level in running_best(facts.ranked):
        if level > highest:
            rows.append((str(row.number), row.label, number(row.score)))
            highest = level
    return Table(("trial", "what differs", "new best score"), _capped(rows), 2, _cap_note(rows))


def pareto(facts: Facts) -> Table:
    """The Pareto front of LWLRAP and precision."""
    rows = [
        (str(row.number), row.label, number(row.metric("lwlrap")), number(row.metric(facts.precision_form)))
        for row in facts.pareto
    ]
    return Table(("trial", "what differs", "lwlrap", facts.precision_form), _capped(rows), 2, _cap_note(rows))


def sliced(facts: Facts, knob: Knob) -> Table:
    """A knob's finished trials, by choice, or in bins of equal counts for a numeric knob."""
    pairs = [(value, row.score or 0.0) for value, row in facts.slice(knob)]
    if knob.choices:
        wanted = [shown(choice) for choice in knob.choices]
        groups = [(choice, [score for value, score in pairs if shown(value) == choice]) for choice in wanted]
    else:
        groups = _bins(sorted(pairs))
    rows = tuple(
        (
            name,
            str(len(scores)),
            number(max(scores, default=None)),
            number(statistics.median(scores) if scores else None),
        )
        for name, scores in groups
    )
    return Table((knob.name, "finished", "best score", "median score"), rows)


def arms(facts: Facts, knob: Knob) -> Table:
    """The arms of one scientific knob."""
    rows = tuple(
        (arm.value, str(arm.finished), str(arm.pruned), number(arm.best), number(arm.median))
        for arm in facts.arms
        if arm.knob == knob.name
    )
    return Table((knob.name, "finished", "pruned", "best score", "median score"), rows)


def importances(facts: Facts) -> Table:
    """What each knob explains alone, with its interval, and how often it got more than a knob that does nothing."""
    rows = tuple(
        (
            item.knob,
            number(item.share, 2),
            f"{number(item.low, 2)} to {number(item.high, 2)}",
            f"{100 * item.above:.0f} %",
            "yes" if item.stands_out else "no",
            f"{item.trials:,}",
        )
        for item in facts.ranking.items
    )
    return Table(("knob", "share", "95 % interval", "above nothing", "stands out", "among trials"), rows)


def values(facts: Facts, knobs: Sequence[Knob]) -> Table:
    """The knobs of the best finished trials, as the parallel coordinates show them."""
    rows = tuple(
        (
            str(row.number),
            *(shown(row.values[knob.name]) if knob.name in row.values else UNKNOWN for knob in knobs),
            number(row.score),
        )
        for row in facts.ranked[:VALUES]
    )
    left = len(facts.ranked) - VALUES
    note = f"The best {VALUES} of {len(facts.ranked):,} finished trials; all of them stand in trials.jsonl."
    return Table(("trial", *(knob.name for knob in knobs), "score"), rows, 1, note if left > 0 else "")


def failures(told: Sequence[Failure]) -> Table:
    """Causes of failure and the trials that met them."""
    rows = [(failure.reason, str(len(failure.trials)), numbers(failure.trials, most=20)) for failure in told]
    return Table(("cause", "trials", "which"), _capped(rows), 3, _cap_note(rows))


def cost(facts: Facts) -> Table:
    """Trials by state, epochs and hours."""
    spent, planned = facts.cost, facts.cost.planned_fold_epochs
    counted = ", ".join(f"{count} {state.lower()}" for state, count in sorted(spent.states.items()))
    rows = [
        ("trials of the search", counted or "none"),
        ("confirmation trials", str(spent.confirmations)),
        ("epochs trained (all folds of a trial)", f"{spent.epochs_trained:,}"),
        ("epochs reused instead of trained", f"{spent.epochs_reused:,}"),
        ("hours of training, trials added up", number(_hours(spent.training_s), 2)),
        ("hours from first start to last event, pauses included", number(_hours(spent.span_s), 2)),
    ]
    counts = {name: value for name, value in planned.items() if isinstance(value, int | float)}
    rows += [(f"fold-epochs {_PLANNED.get(name, name)}", f"{value:,}") for name, value in counts.items()]
    return Table(("what", "how much"), tuple(rows), 2)


def provenance(facts: Facts) -> Table:
    """Data, folds, versions, commit and command; a dash where study.json does not say."""
    study = facts.study
    data, versions = study.get("data") or {}, study.get("versions") or {}
    search, objective = study.get("search") or {}, study.get("objective") or {}
    rows = [
        (
            "data",
            ", ".join(f"{name} {len(value) if isinstance(value, list) else value}" for name, value in data.items()),
        ),
        ("folds' hash", study.get("folds_hash")),
        ("seed", study.get("seed")),
        ("signature", study.get("signature")),
        ("objective", ", ".join(f"{name} {shown(value)}" for name, value in objective.items())),
        ("search", ", ".join(f"{name} {shown(value)}" for name, value in search.items())),
        ("fixed knobs away from their defaults", _fixed(study.get("fixed") or {})),
        ("versions", ", ".join(f"{name} {value}" for name, value in versions.items())),
        ("commit", study.get("commit")),
        ("command", study.get("command")),
    ]
    return Table(("what", "value"), tuple((name, _told(value)) for name, value in rows), 2)


def space(facts: Facts) -> Table:
    """The searched knobs and their ranges."""
    rows = tuple((knob.name, knob.role, _range(knob), _condition(knob)) for knob in facts.knobs)
    return Table(("knob", "role", "values", "acts when"), rows, 4)


def _trials(facts: Facts, rows: Sequence[Row], note: str) -> Table:
    metrics = ("lwlrap", "precision", "precision_avg", "tpfp_auc", "recall")
    present = [name for name in metrics if any(row.metric(name) is not None for row in facts.rows)]
    body = tuple(
        (
            str(row.number),
            row.label,
            row.state,
            number(row.score),
            signed(row.difference),
            *(number(row.metric(name)) for name in present),
            str(row.epochs),
        )
        for row in rows
    )
    headers = ("trial", "what differs", "state", "score", "vs baseline", *present, "epochs")
    return Table(headers, body, 3, note)


def _bins(pairs: Sequence[tuple[float, float]]) -> list[tuple[str, list[float]]]:
    size = max(1, -(-len(pairs) // BINS))
    parts = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    return [(_span(part[0][0], part[-1][0]), [score for _value, score in part]) for part in parts]


def _span(low: float, high: float) -> str:
    return shown(low) if low == high else f"{shown(low)} to {shown(high)}"


def _range(knob: Knob) -> str:
    if knob.choices:
        return ", ".join(shown(choice) for choice in knob.choices)
    extra = (" log" if knob.log else "") + (f" step {shown(knob.step)}" if knob.step else "")
    return f"{shown(knob.low)} to {shown(knob.high)}{extra}"


def _condition(knob: Knob) -> str:
    parts = [f"{name} is {' or '.join(shown(value) for value in allowed)}" for name, allowed in knob.when]
    return " and ".join(parts) or "always"


def _fixed(values: Mapping[str, Any]) -> str:
    known = all_knobs()
    away = [f"{name} = {shown(value)}" for name, value in values.items() if known.get(name) != value]
    return ", ".join(away) or "none"


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3600


def _told(value: object) -> str:
    if value is None or value == "":
        return "not known"
    return " ".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _capped(rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(rows[:ROW_CAP])


def _cap_note(rows: Sequence[object]) -> str:
    return f"The first {ROW_CAP} of {len(rows):,} rows." if len(rows) > ROW_CAP else ""
