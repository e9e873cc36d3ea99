"""The experiment's rows as Markdown: the candidates, the forests, and every row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np
import pandas as pd
from agreement import Draws, Figures, Floats, Measured, ceiling, crossed_regret, figures, interval, measured, resamples
from candidates import CANDIDATES, PLAIN
from forests import LISTED, Size, drawn
from rows import METRICS, Row

HEAD: Final = (
    "objective",
    "Spearman",
    "ceiling",
    f"less {PLAIN}",
    "crossed",
    "top half",
    "regret",
    f"less {PLAIN}",
    "crossed regret",
    f"less {PLAIN}",
)
FEWEST: Final = 2  # forests, for an interval


def tables(rows: Sequence[Row], n_configs: int, *, each: bool) -> str:
    """All tables of the forests that are whole."""
    forests = measured(rows, n_configs)
    if not forests:
        return f"no forest is whole yet; rows: {len(rows)}"
    by_candidate = {c.name: [figures(forest, c) for forest in forests] for c in CANDIDATES}
    left_out = sorted({row.forest for row in rows} - {forest.forest for forest in forests})
    codes = len({row.code for row in rows})
    parts = [_candidates(forests, by_candidate), _forests(forests, by_candidate[PLAIN])]
    if left_out:
        parts.append(f"Not whole yet and left out: forests {', '.join(map(str, left_out))}.")
    if codes > 1:
        parts.append(f"The rows were made by {codes} versions of the model package.")
    return "\n\n".join([*parts, _by_forest(forests, by_candidate), _every_row(rows)] if each else parts)


def _candidates(forests: Sequence[Measured], by_candidate: dict[str, list[Figures]]) -> str:
    draws = resamples(len(forests))
    plain = by_candidate[PLAIN]
    repeats = _column(plain, "truth_repeats")
    lines = []
    for name, found in by_candidate.items():
        own = ceiling(repeats, _column(found, "score_repeats"))
        told = [name, _with_interval(_column(found, "spearman"), draws, ".2f"), f"{own:.2f}"]
        told += [_difference(found, plain, "spearman", draws, ".2f")]
        told += [f"{_column(found, kind).mean():.2f}" for kind in ("crossed", "top_half")]
        for kind in ("regret", "crossed_regret"):
            told += [_with_interval(_column(found, kind), draws, ".4f"), _difference(found, plain, kind, draws, ".4f")]
        lines.append(told)
    lines += [_blind("a config at random", forests, draws, _at_random), _blind("the default", forests, draws, _default)]
    limit = _told(float(ceiling(repeats)), interval(ceiling(repeats[draws])), ".2f") if len(forests) >= FEWEST else "–"
    title = f"Forests: {len(forests)}, configs: {len(forests[0].truth)}, replicates: 2; 95 % intervals over forests"
    return f"{_markdown(title, HEAD, lines)}\n\nCeiling of a score without noise: {limit}."


def _blind(
    name: str, forests: Sequence[Measured], draws: Draws, regrets: Callable[[Measured], list[float]]
) -> list[str]:
    """The line of a choice that looks at no score."""
    plain, crossed = np.array([regrets(forest) for forest in forests]).T
    told = [_with_interval(values, draws, ".4f") for values in (plain, crossed)]
    return [name, *"–––––", told[0], "–", told[1], "–"]


def _at_random(forest: Measured) -> list[float]:
    mean, n_configs = forest.truth.mean(axis=1), len(forest.truth)
    crossed = [crossed_regret(forest.truth, (config, config)) for config in range(n_configs)]
    return [float(mean.max() - mean.mean()), float(np.mean(crossed))]


def _default(forest: Measured) -> list[float]:
    mean = forest.truth.mean(axis=1)
    return [float(mean.max() - mean[0]), crossed_regret(forest.truth, (0, 0))]


def _forests(forests: Sequence[Measured], plain: Sequence[Figures]) -> str:
    """How far configs differ in truth, against how far replicates do."""
    head = ("forest", "chance", "worst", "best", "SD of configs", "SD of replicates", "truth repeats")
    lines = []
    for forest, found in zip(forests, plain, strict=True):
        mean = forest.truth.mean(axis=1)
        within = np.sqrt(forest.truth.var(axis=1, ddof=1).mean())
        told = (forest.chance, mean.min(), mean.max(), mean.std(ddof=1), within)
        lines.append([str(forest.forest), *(f"{value:.4f}" for value in told), f"{found.truth_repeats:.2f}"])
    return _markdown("Test LWLRAP: means of replicates, and the deviation of one replicate", head, lines)


def _by_forest(forests: Sequence[Measured], by_candidate: dict[str, list[Figures]]) -> str:
    options = [{name: getattr(drawn(forest.forest, Size()), name) for name in LISTED} for forest in forests]
    seeds = [str(forest.forest) for forest in forests]
    drawn_lines = [[seed, *(f"{value:g}" for value in one.values())] for seed, one in zip(seeds, options, strict=True)]
    lines = [
        [name, *(f"{one.spearman:.2f} ({one.regret:.4f})" for one in found)] for name, found in by_candidate.items()
    ]
    return "\n\n".join(
        [
            _markdown("Spearman (regret) by forest", ("objective", *seeds), lines),
            _markdown("Options of the forests", ("forest", *LISTED), drawn_lines),
        ]
    )


def _every_row(rows: Sequence[Row]) -> str:
    head = ("forest", "config", "replicate", *METRICS, "test_lwlrap", "seconds")
    frame = pd.DataFrame([asdict(row) for row in rows]).sort_values(["forest", "config", "replicate"], kind="stable")
    cells = [
        [str(row[name]) if name in head[:3] else f"{row[name]:.{0 if name == 'seconds' else 4}f}" for name in head]
        for row in frame.to_dict("records")
    ]
    return _markdown("Every row", head, cells)


def _column(found: Sequence[Figures], kind: str) -> Floats:
    return np.array([getattr(one, kind) for one in found])


def _difference(found: Sequence[Figures], plain: Sequence[Figures], kind: str, draws: Draws, form: str) -> str:
    """Paired by forest."""
    return "–" if found is plain else _with_interval(_column(found, kind) - _column(plain, kind), draws, "+" + form)


def _with_interval(values: Floats, draws: Draws, form: str) -> str:
    """Mean over forests, and its interval where there are forests enough for one."""
    if len(values) < FEWEST:
        return f"{values.mean():{form}}"
    return _told(float(values.mean()), interval(values[draws].mean(axis=1)), form)


def _told(value: float, ends: tuple[float, float], form: str) -> str:
    return f"{value:{form}} [{ends[0]:{form}}, {ends[1]:{form}}]"


def _markdown(title: str, head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join([f"**{title}**", "", *(f"| {' | '.join(row)} |" for row in (head, rule, *cells))])
