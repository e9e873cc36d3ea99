"""Which sampler should propose the trials? Studies without training, on made-up surfaces whose best value is known.

The study's own searcher and scheduler are driven; what a trial scores is a made-up surface over its knobs, plus noise
(see sampler_surfaces.py and sampler_runs.py). Each repetition draws all surfaces anew and deals them the levels of
noise in turn. Printed as Markdown: the regret of the setting that would be exported, less that of random search.

Example: python tests/benchmarks/samplers.py --samplers random qmc nsga2 tpe --slots 8
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import pandas as pd
from sampler_runs import Setting, measure
from sampler_surfaces import kinds
from sampler_tables import tables

from study.machine import parse_settings
from study.space import Study, load

SPACE: Final = Path(__file__).parents[2] / "search_spaces" / "mixup.toml"
SAMPLERS: Final = ("random", "qmc", "nsga2", "tpe", "gp")


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    asked = _parser().parse_args(words)
    results: Path | None = asked.results
    rows = pd.read_json(results, lines=True) if results and results.exists() else pd.DataFrame()
    for made in [] if asked.look else _measured(asked, rows):
        rows = pd.concat([rows, made], ignore_index=True)
        if results:
            made.to_json(results, orient="records", lines=True, mode="a")
    print(tables(rows, asked.at))


def _parser() -> argparse.ArgumentParser:
    about, _, example = (__doc__ or "").rpartition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--space", type=Path, default=SPACE, help="whose knobs are searched")
    add("--fix", action="append", default=[], metavar="KNOB=VALUE", help="search a knob less; repeatable")
    add(
        "--samplers",
        nargs="+",
        default=list(SAMPLERS),
        help="tpe:20 means 20 random trials first, nsga2:10 ten a generation",
    )
    add(
        "--schedulers",
        nargs="+",
        choices=("asha", "none"),
        default=["asha", "none"],
        help="with the space's grace and factor",
    )
    add("--slots", type=int, nargs="+", default=[1, 8], help="trials at once")
    add("--noise", type=float, nargs="+", default=[0.0, 0.5, 1.0, 2.0], help="of a trial, in spreads of the surface")
    add("--trials", type=int, nargs="+", default=[25, 50, 100], help="budgets; the largest is played")
    add("--at", type=int, default=50, help="the budget of the tables by noise, by surface, and of the cost")
    add("--repetitions", type=int, default=20, help="each draws its surfaces anew")
    add("--results", type=Path, help="a line of JSON a study; what it holds is told too, not played again")
    add("--look", action="store_true", help="play nothing, print what the results file holds")
    return parser


def _measured(asked: argparse.Namespace, rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows of each study that is not there yet; repetition by repetition, so that a look tells pairs."""
    study = _without(load(asked.space), parse_settings(asked.fix))
    space = " ".join([study.name, *asked.fix])
    names = [field.name for field in fields(Setting)]
    known = set(rows[names].itertuples(index=False, name=None)) if len(rows) else set()
    for repetition in range(asked.repetitions):
        for (index, kind), scheduler, slots in product(enumerate(kinds(study.knobs)), asked.schedulers, asked.slots):
            noise = asked.noise[(repetition + index) % len(asked.noise)]
            for sampler in asked.samplers:
                setting = Setting(space, scheduler, slots, noise, kind, repetition, sampler)
                if astuple(setting) not in known:
                    yield pd.DataFrame([asdict(setting) | asdict(row) for row in measure(study, setting, asked.trials)])
        print(f"repetition {repetition + 1} of {asked.repetitions}", file=sys.stderr)


def _without(study: Study, fixed: Mapping[str, Any]) -> Study:
    """The study with some of its searched knobs fixed, and nothing to try but its baseline."""
    return replace(
        study,
        knobs=tuple(knob for knob in study.knobs if knob.name not in fixed),
        fixed={**study.fixed, **fixed},
        baseline={name: value for name, value in study.baseline.items() if name not in fixed},
        tries=() if fixed else study.tries,
    )


if __name__ == "__main__":
    main()
