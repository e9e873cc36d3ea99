"""The report: a study's folder → facts → report.html (one file that opens offline) and report.md.

Both are made from the same sections; every figure has its numbers in a table.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from study import arms_sentences, arms_tables, figures, sentences, tables
from study.arms import Comparison, compare
from study.facts import Facts, Importance, Row, compute
from study.knob import Knob
from study.markdown import cell
from study.study_json import read_study
from study.tables import Table
from study.trials import read_trials
from study.whole_file import write_whole

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST_FOR_IMPORTANCE = 8
MOST_FOR_IMPORTANCE = 200  # a forest's time grows with the square; every n-th in rank stands for its neighbours


@dataclass(frozen=True)
class Exhibit:
    """A table, with the figure drawn from it where there is one. `figure` is a data URI of an SVG."""

    title: str
    table: Table
    figure: str | None = None


@dataclass(frozen=True)
class Section:
    """A heading, plain sentences, exhibits. In `grid` sections figures stand side by side where there is room."""

    title: str
    sentences: Sequence[str]
    exhibits: Sequence[Exhibit] = ()
    grid: bool = False

    @property
    def anchor(self) -> str:
        """The title as a link's target."""
        return self.title.lower().replace(" ", "-")


def facts(study_folder: Path) -> Facts:
    """What study.json and trials.jsonl tell, importances included.

    Raises:
        InputError: the folder is not a study's.
        LedgerError: the ledger is damaged in the middle.
    """
    told = compute(read_study(study_folder), read_trials(study_folder / "trials.jsonl"))
    shares, gap = importances(told)
    return replace(told, importances=shares, importance_gap=gap)


def write(study_folder: Path) -> tuple[Path, Path]:
    """Write report.html and report.md into the study's folder, each whole or not at all; returns their paths.

    Raises:
        InputError: the folder is not a study's.
        LedgerError: the ledger is damaged in the middle.
    """
    told = facts(study_folder)
    parts = sections(told, compare(study_folder) if told.study.get("arms") else None)
    return (
        write_whole(study_folder / "report.html", render("report.html.j2", told, parts)),
        write_whole(study_folder / "report.md", render("report.md.j2", told, parts)),
    )


def importances(told: Facts) -> tuple[tuple[Importance, ...], str | None]:
    """Share of the score's variance that each knob explains alone (fANOVA, Hutter et al. 2014), or why there is none.

    A knob that does not act in every trial is judged among those in which it acts.
    """
    finished = told.ranked
    if len(finished) < FEWEST_FOR_IMPORTANCE:
        need = f"at least {FEWEST_FOR_IMPORTANCE} needed"
        return (), f"Too few finished trials to rank the knobs: {len(finished)}, {need}."
    if len({row.score for row in finished}) == 1:
        return (), "All finished trials have the same score, so no knob can be ranked."
    groups: dict[tuple[int, ...], list[Knob]] = {}
    for knob in told.knobs:
        groups.setdefault(tuple(row.number for row in finished if knob.name in row.values), []).append(knob)
    found = [item for group in groups.values() for item in _importances_of(group, told)]
    if not found:
        return (), "No searched knob took two values in enough finished trials, so none can be ranked."
    return tuple(sorted(found, key=lambda item: -item.share)), None


def sections(told: Facts, compared: Comparison | None = None) -> list[Section]:
    """The report in reading order. Where the study lists its arms they are compared as they stand, not by knob."""
    drawn = bool(told.ranked)
    answer = sentences.verdict(told) if compared is None else arms_sentences.all_of(compared)
    return [
        Section("Answer", answer),
        *([] if compared is None else [_listed_arms(compared)]),
        Section("Cost", [], [Exhibit("Cost", tables.cost(told))]),
        Section("Best trials", [], [Exhibit("Best trials and the baseline", tables.best(told))] if told.rows else []),
        Section(
            "History",
            sentences.history(told),
            [_exhibit("History of the search", tables.history(told), lambda: figures.history(told))] if drawn else [],
        ),
        Section(
            "LWLRAP and precision",
            sentences.trade_off(told),
            [_exhibit("The Pareto front", tables.pareto(told), lambda: figures.trade_off(told))] if told.pareto else [],
        ),
        *(_by_knob(told) if compared is None else []),
        Section("Pruning", sentences.pruning(told)),
        Section(
            "Failures",
            sentences.failures(told),
            [
                Exhibit(title, tables.failures(which))
                for title, which in (("Causes", told.failures), ("Tried again", told.retries))
                if which
            ],
        ),
        Section(
            "Every trial", [], [Exhibit("Every trial of the search", tables.every_trial(told))] if told.rows else []
        ),
        Section("Search space", [], [Exhibit("Searched knobs", tables.space(told))] if told.knobs else []),
        Section("Data and versions", [], [Exhibit("Where this comes from", tables.provenance(told))]),
    ]


def _listed_arms(compared: Comparison) -> Section:
    pairs = [Exhibit("Paired differences", arms_tables.differences(compared))] if compared.pairs else []
    return Section(
        "Arms",
        ["Means over finished replicates ± half their 95 % interval, and beside them what was published."],
        [
            Exhibit("Arms over replicates", arms_tables.results(compared)),
            *pairs,
            Exhibit("LWLRAP of the same out-of-fold scores against three sets of labels", arms_tables.ruler(compared)),
        ],
    )


def _by_knob(told: Facts) -> list[Section]:
    """What each knob does while the others vary too; of no use where arms differ in many knobs at once."""
    choices = [knob for knob in told.knobs if knob.role == "scientific" and knob.choices]
    slices = [_slice(told, knob) for knob in told.knobs] if told.ranked else []
    return [
        Section("Arms", _arm_words(choices), [Exhibit(f"Arms of {k.name}", tables.arms(told, k)) for k in choices]),
        Section("Slices", sentences.slices(told), slices, grid=True),
        Section("Importance of the knobs", sentences.importances(told), _importance(told)),
    ]


def render(template: str, told: Facts, parts: Sequence[Section]) -> str:
    """A template of this package, filled. HTML is escaped everywhere; Markdown text is made safe by `cell`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("study", "templates"),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    shown = [part for part in parts if part.sentences or part.exhibits]
    return environment.get_template(template).render(facts=told, sections=shown)


def _importances_of(group: Sequence[Knob], told: Facts) -> list[Importance]:
    among = [row for row in told.ranked if group[0].name in row.values]
    if len(among) < FEWEST_FOR_IMPORTANCE or len({row.score for row in among}) == 1:
        return []
    beside = [knob for knob in told.knobs if all(knob.name in row.values for row in among)]
    varied = [knob for knob in beside if len({row.values[knob.name] for row in among}) > 1]
    if not any(knob in varied for knob in group):
        return []
    shares = _fanova(varied, among[:: -(-len(among) // MOST_FOR_IMPORTANCE)])
    return [Importance(knob.name, shares[knob.name], len(among)) for knob in group if knob in varied]


def _fanova(varied: Sequence[Knob], rows: Sequence[Row]) -> dict[str, float]:
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize")
    finally:
        optuna.logging.set_verbosity(level)
    domains = {knob.name: _domain(knob) for knob in varied}
    for row in rows:
        params = {knob.name: math.log(row.values[knob.name]) if knob.log else row.values[knob.name] for knob in varied}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=domains, value=row.score))
    return optuna.importance.FanovaImportanceEvaluator(seed=0).evaluate(study, params=list(domains))


def _domain(knob: Knob) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if knob.choices:
        return CategoricalDistribution(knob.choices)
    return (
        FloatDistribution(math.log(knob.low), math.log(knob.high))
        if knob.log
        else FloatDistribution(knob.low, knob.high)
    )


def _exhibit(title: str, table: Table, draw: Callable[[], str]) -> Exhibit:
    return Exhibit(title, table, "data:image/svg+xml;base64," + base64.b64encode(draw().encode()).decode())


def _slice(told: Facts, knob: Knob) -> Exhibit:
    return _exhibit(f"Score by {knob.name}", tables.sliced(told, knob), lambda: figures.sliced(told, knob))


def _importance(told: Facts) -> list[Exhibit]:
    if not told.importances:
        return []
    return [_exhibit("Importance of the knobs", tables.importances(told), lambda: figures.importances(told))]


def _arm_words(choices: Sequence[Knob]) -> list[str]:
    if not choices:
        return ["No scientific knob with choices is on record, so there are no arms."]
    return [
        "Finished trials only; pruned ones are counted but not scored. An arm's best grows with its number of tries."
    ]
