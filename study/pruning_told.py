"""What pruning saved and whether anything good was pruned, in sentences and a table."""

from __future__ import annotations

import statistics

from study.prose import numbers
from study.pruning import Pruning
from study.tables import UNKNOWN, Table, number


def sentences(told: Pruning) -> list[str]:
    """What was saved, and whether a stopped trial had kept up with the finally best."""
    if told.pruned == 0:
        return ["No trial was pruned."]
    lines = [f"{told.pruned:,} of {told.trials:,} trials were stopped early."]
    if told.epochs_saved is None:
        return [*lines, "How many epochs that saved is not known: no trial has finished."]
    hours = "" if told.saved_s is None else f", about {told.saved_s / 3600:.2g} hours of training"
    lines.append(
        f"Against the {told.full_epochs} epochs of a finished trial this saved {told.epochs_saved:,} epochs{hours}."
    )
    return [*lines, *_good(told)]


def table(told: Pruning) -> Table:
    """A row a rung."""
    rows = tuple(
        (
            str(rung.step),
            f"{len(rung.stopped) + rung.unscored:,}",
            number(max(rung.stopped.values(), default=None)),
            number(min(rung.best, default=None)),
            number(statistics.median(rung.best) if rung.best else None),
            str(len(rung.as_good)) if rung.best else UNKNOWN,
            number(rung.agreement, 2),
        )
        for rung in told.rungs
    )
    headers = (
        "epochs measured",
        "stopped",
        "highest of them",
        "lowest of the finally best",
        "median of the finally best",
        "stopped at or above the lowest",
        "agreement with the end",
    )
    return Table(headers, rows, 0)


def _good(told: Pruning) -> list[str]:
    known = [rung for rung in told.rungs if rung.best and rung.stopped]
    if not known:
        return ["Whether anything good was pruned cannot be said: no score of both is on record at the same epoch."]
    count = len(told.best)
    who = f"the {count} trials that ended best" if count > 1 else "the only finished trial"
    good = [trial for rung in known for trial in rung.as_good]
    if not good:
        lines = [
            f"No stopped trial had kept up with {who}: each lay below the lowest of their scores at the same epoch. "
            "Nothing that looked good was pruned; a late riser would not show."
        ]
    else:
        one = len(good) == 1
        lines = [
            f"{len(good):,} stopped {'trial' if one else 'trials'} ({numbers(good)}) had scored no less at the same "
            f"epoch than the lowest of {who}. What {'it' if one else 'they'} would have become was not measured."
        ]
    agreed = [rung for rung in known if rung.agreement is not None]
    if agreed:
        first = agreed[0]
        lines.append(
            f"Among the {first.finished} finished trials the order after {first.step} measured epochs agrees with "
            f"the final one by {number(first.agreement, 2)} (Spearman; trials that were stopped are not in it)."
        )
    return lines
