"""The report: a study's folder → facts → report.html (one file that opens offline) and report.md.

Both are made from the same sections; every figure has its numbers in a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from study import (
    arms_sentences,
    arms_tables,
    confirmed_section,
    edges,
    figures,
    figures_knobs,
    pruning_told,
    replicated_section,
    sentences,
    species_precision,
    tables,
)
from study.arms import Comparison, compare
from study.confirmed_section import Confirmed
from study.coordinates import axes_of, drawn_knobs
from study.facts import Facts, compute
from study.floor import Floor, of_trial
from study.importance import Scored, ranking
from study.knob import Knob
from study.page import HTML, MARKDOWN, Page, render
from study.section import Exhibit, Section, confirmation_section, exhibit
from study.species_precision import SpeciesPrecision
from study.study_json import read_study, sound
from study.trials import Trial, read_trials
from study.whole_file import write_whole

REPORT: Final = "report.html"


def facts(study_folder: Path) -> Facts:
    """What study.json and trials.jsonl tell, the knobs' ranking included.

    Raises:
        InputError: the folder is not a study's.
        LedgerError: the ledger is damaged in the middle.
    """
    return _facts(study_folder, read_trials(study_folder / "trials.jsonl"))


def write(study_folder: Path) -> tuple[Path, Path]:
    """Write report.html and report.md into the study's folder, each whole or not at all; returns their paths.

    Raises:
        InputError: the folder is not a study's.
        LedgerError: the ledger is damaged in the middle.
    """
    trials = read_trials(study_folder / "trials.jsonl")
    told = _facts(study_folder, trials)
    compared = compare(study_folder) if told.study.get("arms") else None
    confirmed = confirmed_section.told(study_folder, trials) or replicated_section.told(
        study_folder, told.study, trials
    )
    best = next((one for one in trials if told.ranked and one.number == told.ranked[0].number), None)
    shown = sections(
        told, compared, _species(study_folder, told, trials), confirmed, of_trial(study_folder, best, trials)
    )
    return (
        write_whole(study_folder / REPORT, render(HTML, page(told), shown)),
        write_whole(study_folder / "report.md", render(MARKDOWN, page(told), shown)),
    )


def sections(
    told: Facts,
    compared: Comparison | None = None,
    species: SpeciesPrecision | None = None,
    confirmed: Confirmed | None = None,
    floor: Floor | None = None,
) -> list[Section]:
    """The report in reading order. Where the study lists its arms they are compared as they stand, not by knob.

    `confirmed` is what replicates say, of a confirmation or of a grid; its verdicts are the answer. Without it the
    report says there is none. `floor` lies under the best trial; one that has not left it comes before any answer.
    """
    verdicts = list(confirmed.verdicts) if confirmed is not None else []
    answer = sentences.verdict(told, bool(verdicts)) if compared is None else _answer_of_arms(compared, bool(verdicts))
    unconfirmed = confirmation_section((), confirmations=told.cost.confirmations)
    return [
        Section("Answer", _with_floor([*verdicts, *answer], told, floor)),
        confirmed.section if confirmed is not None else unconfirmed,
        *([] if compared is None else [_listed_arms(compared, bool(verdicts))]),
        Section("Cost", [], [Exhibit("Cost", tables.cost(told))]),
        Section("Best trials", [], [Exhibit("Best trials and the baseline", tables.best(told))] if told.rows else []),
        *_course(told),
        *(_by_knob(told) if compared is None else []),
        _pruning(told),
        _failures(told),
        *([] if species is None else [_by_species(species)]),
        Section(
            "Every trial", [], [Exhibit("Every trial of the search", tables.every_trial(told))] if told.rows else []
        ),
        Section("Search space", [], [Exhibit("Searched knobs", tables.space(told))] if told.knobs else []),
        Section("Data and versions", [], [Exhibit("Where this comes from", tables.provenance(told))]),
    ]


def _with_floor(answer: list[str], told: Facts, floor: Floor | None) -> list[str]:
    if floor is None or not told.ranked:
        return answer
    sentence = floor.sentence(f"Trial {told.ranked[0].number}, the best,")
    return [*answer, sentence] if floor.left else [sentence, *answer]


def page(told: Facts) -> Page:
    """Head and foot of the report."""
    return Page(
        name=told.name,
        title=f"{told.name}: study report",
        lead=told.question or "The question is not on record.",
        foot="Made by rfcx-study from what stands in the study's folder alone.",
    )


def _facts(study_folder: Path, trials: Sequence[Trial]) -> Facts:
    told = compute(sound(read_study(study_folder)), trials)
    ranked = [Scored(dict(row.values), row.score) for row in told.ranked if row.score is not None]
    return replace(told, ranking=ranking(told.knobs, ranked))


def _species(study_folder: Path, told: Facts, trials: Sequence[Trial]) -> SpeciesPrecision:
    by_number = {trial.number: trial for trial in trials}
    first = told.baseline if told.baseline in told.ranked else None
    return species_precision.species_precision(
        study_folder,
        by_number[told.ranked[0].number] if told.ranked else None,
        by_number[first.number] if first is not None else None,
    )


def _answer_of_arms(compared: Comparison, judged: bool) -> list[str]:
    """Where verdicts for new recordings come first, what holds for these alone stands with the arms."""
    if not judged:
        return arms_sentences.all_of(compared)
    return [*arms_sentences.on_record(compared), *arms_sentences.ruler(compared)]


def _listed_arms(compared: Comparison, judged: bool) -> Section:
    these = [*arms_sentences.answer(compared), *arms_sentences.limits(compared)] if judged else []
    pairs = [Exhibit("Paired differences", arms_tables.differences(compared))] if compared.pairs else []
    return Section(
        "Arms",
        ["Means over finished replicates ± half their 95 % interval, and beside them what was published.", *these],
        [
            Exhibit("Arms over replicates", arms_tables.results(compared)),
            *pairs,
            Exhibit("LWLRAP of the same out-of-fold scores against three sets of labels", arms_tables.ruler(compared)),
        ],
    )


def _course(told: Facts) -> list[Section]:
    """How the search went, and what it found to trade off."""
    course, front = [], []
    if told.ranked:
        course = [exhibit("History of the search", tables.history(told), lambda: figures.history(told))]
    if told.pareto:
        front = [exhibit("The Pareto front", tables.pareto(told), lambda: figures.trade_off(told))]
    return [
        Section("History", sentences.history(told), course),
        Section("LWLRAP and precision", sentences.trade_off(told), front),
    ]


def _by_knob(told: Facts) -> list[Section]:
    """What each knob does while the others vary too; of no use where arms differ in many knobs at once."""
    choices = [knob for knob in told.knobs if knob.role == "scientific" and knob.choices]
    drawn = bool(told.ranked and told.knobs)
    slices = [_slice(told, knob) for knob in told.knobs] if drawn else []
    ends = edges.places(told.knobs, told.ranked)
    return [
        Section("Arms", sentences.arms(choices), [Exhibit(f"Arms of {k.name}", tables.arms(told, k)) for k in choices]),
        Section("Importance of the knobs", sentences.importances(told), _importance(told)),
        Section("Slices", sentences.slices(told), slices, grid=True),
        *([_coordinates(told)] if drawn else []),
        Section(
            "Edges of the space", edges.sentences(ends), [Exhibit("Best values", edges.table(ends))] if ends else []
        ),
    ]


def _slice(told: Facts, knob: Knob) -> Exhibit:
    return exhibit(f"Score by {knob.name}", tables.sliced(told, knob), lambda: figures.sliced(told, knob))


def _importance(told: Facts) -> list[Exhibit]:
    if not told.ranking.items:
        return []
    return [exhibit("Importance of the knobs", tables.importances(told), lambda: figures_knobs.importances(told))]


def _coordinates(told: Facts) -> Section:
    knobs = drawn_knobs(told)
    axes = axes_of(knobs, told.ranked)
    return Section(
        "Parallel coordinates",
        sentences.coordinates(told, len(told.knobs) - len(knobs)),
        [exhibit("The best trials", tables.values(told, knobs), lambda: figures_knobs.coordinates(told.ranked, axes))],
    )


def _pruning(told: Facts) -> Section:
    known = told.pruning
    if not any(rung.stopped for rung in known.rungs):
        return Section("Pruning", pruning_told.sentences(known))
    drawn = exhibit("Stopped trials", pruning_told.table(known), lambda: figures.pruning(known))
    return Section("Pruning", pruning_told.sentences(known), [drawn])


def _failures(told: Facts) -> Section:
    causes = (("Causes", told.failures), ("Tried again", told.retries))
    return Section(
        "Failures",
        sentences.failures(told),
        [Exhibit(title, tables.failures(which)) for title, which in causes if which],
    )


def _by_species(told: SpeciesPrecision) -> Section:
    said = species_precision.sentences(told)
    if not any(one.best is not None or one.baseline is not None for one in told.species):
        return Section("Precision by species", said)
    drawn = exhibit("Precision by species", species_precision.table(told), lambda: figures_knobs.species(told))
    return Section("Precision by species", said, [drawn])
