"""The rows of the samplers' benchmark as Markdown. One repetition's mean over its surfaces is an observation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

REFERENCE: Final = "random"
_PLAYED: Final = ["space", "scheduler", "slots"]
_RUN: Final = [*_PLAYED, "noise", "kind", "repetition", "trials"]


def tables(rows: pd.DataFrame, at: int) -> str:
    """All tables of what was played; those by noise, by surface and of the cost are of studies of `at` trials."""
    reference = rows[rows["sampler"] == REFERENCE].set_index(_RUN)["regret"].rename("reference")
    rows = rows.join(reference, on=_RUN)
    rows["less"] = rows["regret"] - rows["reference"]
    rows["wins"] = ((rows["less"] < 0) + 0.5 * (rows["less"] == 0)).where(rows["less"].notna())
    groups = {
        f"{space}, {rule}, {slots} at once": one for (space, rule, slots), one in rows.groupby(_PLAYED, sort=False)
    }
    parts = []
    for name, played in groups.items():
        parts += [_table(f"{name}: regret, by trials", _by(played, "trials", "regret")), *_compared(name, played, at)]
        parts += [_table(f"{name}, {at} trials: cost of a study, and of a proposal", _costs(played, at))]
    return "\n\n".join([*parts, *(_compared("all of these", rows, at) if len(groups) > 1 else [])])


def _compared(name: str, rows: pd.DataFrame, at: int) -> list[str]:
    """Tables against the reference, each as a difference and as a share, which a few large regrets cannot sway."""
    less, share = f"regret less that of {REFERENCE}", f"share of studies with less regret than {REFERENCE}"
    small, told = rows[rows["trials"] == at], f"{name}, {at} trials"
    return [
        _table(f"{name}: {less}, by trials", _by(rows, "trials", "less", "+")),
        _table(f"{name}: {share}, by trials", _by(rows, "trials", "wins")),
        _table(f"{told}: {less}, by noise", _by(small, "noise", "less", "+")),
        _table(f"{told}: {share}, by noise", _by(small, "noise", "wins")),
        _table(f"{told}: {less}, by surface", _by(small, "kind", "less", "+")),
        _table(f"{told}: {share}, by surface", _by(small, "kind", "wins")),
    ]


def _by(rows: pd.DataFrame, column: str, figure: str, sign: str = "") -> pd.DataFrame:
    """(sampler, value of the column): mean ± half the 95 % t-interval over repetitions, whose number stands in ()."""
    heads, lines = rows[column].unique(), {}
    for sampler, mine in rows.groupby("sampler", sort=False):
        if figure != "regret" and sampler == REFERENCE:
            continue
        known = {value: mine[mine[column] == value].dropna(subset=figure) for value in heads}
        lines[f"{sampler} ({mine['repetition'].nunique()})"] = [
            _interval(group.groupby("repetition")[figure].mean(), sign) for group in known.values()
        ]
    return pd.DataFrame.from_dict(lines, orient="index", columns=[str(value) for value in heads])


def _interval(values: pd.Series[float], sign: str) -> str:
    if values.empty:
        return "–"
    if len(values) == 1:
        return f"{values.mean():{sign}.3f} ± –"
    half = student_t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))
    return f"{values.mean():{sign}.3f} ± {half:.3f}"


def _costs(rows: pd.DataFrame, at: int) -> pd.DataFrame:
    figures = rows[rows["trials"] == at].groupby("sampler", sort=False)[["complete", "epochs", "proposal_ms"]]
    return figures.mean().map(lambda value: f"{value:.1f}")


def _table(title: str, cells: pd.DataFrame) -> str:
    lines: list[Iterable[str]] = [["sampler", *cells.columns], ["---", *["---:"] * len(cells.columns)]]
    lines += [[str(name), *line] for name, line in zip(cells.index, cells.to_numpy(), strict=True)]
    return "\n".join([f"**{title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])
