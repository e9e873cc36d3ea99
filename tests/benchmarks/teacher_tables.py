"""The rows of the teachers' benchmark as Markdown: means, paired differences to `own`, and every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import t as student_t
from teacher_rows import SCHEMES, Row

FIGURES: Final = {
    "purity": ".3f",
    "recall": ".3f",
    "labels": ".0f",
    "lwlrap": ".4f",
    "precision": ".4f",
    "tpfp_auc": ".4f",
    "diary_lwlrap": ".4f",
    "test_lwlrap": ".4f",
    "fold_epochs": ".0f",
    "seconds": ".0f",
}
NAMES: Final = ("scheme", "round")
Groups = dict[tuple[str, int], pd.DataFrame]


def tables(rows: Sequence[Row], *, by_forest: bool, each: bool) -> str:
    """All tables. With `by_forest` a forest's mean is one observation, else each of its replicates is."""
    if not rows:
        return "no row yet"
    frame = pd.DataFrame([asdict(row) for row in rows]).set_index(["forest", "replicate"])
    found = [(scheme, round_) for scheme in SCHEMES for round_ in sorted(set(frame["round"]))]
    groups: Groups = {(s, r): frame[(frame["scheme"] == s) & (frame["round"] == r)] for s, r in found}
    groups = {key: group for key, group in groups.items() if len(group)}
    forests = frame.index.get_level_values("forest").nunique()
    parts = [
        _table(
            f"Means of {frame.index.nunique()} runs; forests: {forests}",
            {
                key: [_number(float(group[name].mean()), form) for name, form in FIGURES.items()]
                for key, group in groups.items()
            },
        ),
        f"Of the unknown cells {frame['prevalence'].mean():.1%} hold an audible call.",
        _against(groups, "the first round of own", dict.fromkeys(groups, ("own", 1)), by_forest=by_forest),
        _against(groups, "own in the same round", {key: ("own", key[1]) for key in groups}, by_forest=by_forest),
    ]
    return "\n\n".join([*parts, _every_row(frame)] if each else parts)


def _against(groups: Groups, title: str, others: dict[tuple[str, int], tuple[str, int]], *, by_forest: bool) -> str:
    lines = {
        key: _differences(groups[key], groups[other], by_forest=by_forest)
        for key, other in others.items()
        if other in groups and other != key
    }
    return _table(f"Paired difference to {title}, with its 95 % t-interval", lines)


def _differences(group: pd.DataFrame, other: pd.DataFrame, *, by_forest: bool) -> list[str]:
    """Mean ± half the interval of each figure over the runs that both have; a single run has no interval."""
    told = []
    for name, form in FIGURES.items():
        difference = (group[name] - other[name]).dropna()
        if by_forest:
            difference = difference.groupby("forest").mean()
        count, mean, half = len(difference), float(difference.mean()), float("nan")
        if count > 1:
            half = float(student_t.ppf(0.975, count - 1) * difference.std() / np.sqrt(count))
        told.append(f"{_number(mean, '+' + form)} ± {_number(half, form)}")
    return told


def _every_row(frame: pd.DataFrame) -> str:
    head = ["forest", "replicate", *NAMES, *FIGURES]
    ordered = frame.reset_index().sort_values(["forest", "replicate"], kind="stable")
    cells = [
        [_number(row[name], FIGURES[name]) if name in FIGURES else str(row[name]) for name in head]
        for row in ordered.to_dict("records")
    ]
    return _markdown("Every row", head, cells)


def _number(value: float, form: str) -> str:
    return "–" if np.isnan(value) else f"{value:{form}}"


def _table(title: str, lines: dict[tuple[str, int], list[str]]) -> str:
    return _markdown(
        title, [*NAMES, *FIGURES], [[scheme, str(round_), *told] for (scheme, round_), told in lines.items()]
    )


def _markdown(title: str, head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    rule = ["---:" if name in FIGURES else "---" for name in head]
    table = [f"| {' | '.join(row)} |" for row in (head, rule, *cells)]
    return "\n".join([f"**{title}**", "", *table])
