"""A study's arms compared: from its folder to facts. Nothing here prints, and the one thing written is the look.

Every figure is made again from the trials' out-of-fold scores, so that the ledger's and the draws' are of one making.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rfcx_model.errors import InputError
from study.arms import Difference, difference, holm
from study.compare import (
    MARGIN,
    Evidence,
    Plan,
    Spread,
    Word,
    detectable,
    on_new,
    over_folds,
    recommended,
    together,
    word,
)
from study.facts import finite
from study.looks import Look, look
from study.matched import Matched, Replicated, against_baseline, by_knob, replicated
from study.redrawn import Redrawn, Scores, redraw
from study.reweighted import FIGURES
from study.scored import Ruler, read_ruler
from study.spending import ALPHA, TOO_EARLY
from study.study_json import read_study
from study.trials import read_trials


@dataclass(frozen=True)
class Question:
    """What is asked: by which knob (None: against the baseline), in which figure, and what difference nobody minds."""

    by: str | None = None
    figure: str = "score"
    margin: float = MARGIN


@dataclass(frozen=True)
class SpeciesDifference:
    """A species' difference in average precision of recordings, for new recordings; `holm` over the pair's species."""

    species: int
    new: Evidence
    low: float
    high: float
    holm: float | None


@dataclass(frozen=True)
class Answer:
    """One pair in one figure, the second arm less the first. `new` is None where fewer than two replicates count."""

    figure: str
    names: tuple[str, str]
    where: str
    tuned: tuple[str, ...]
    differences: Mapping[int, float]
    left_out: Mapping[int, str]
    these: Difference
    new: Evidence | None = None
    spread: Spread | None = None
    holm: float | None = None
    interval: tuple[float, float] | None = None
    word: Word = "not known yet"
    detectable: float | None = None
    plan: Plan | None = None
    folds: Evidence | None = None
    species: tuple[SpeciesDifference, ...] = ()


@dataclass(frozen=True)
class Compared:
    """All pairs. `total` is how often all looks together find what is not there; `groups` are recordings or sites."""

    question: Question
    declared: int
    raised: tuple[int, ...]
    look: Look | None
    total: float
    answers: tuple[Answer, ...]
    leaky: tuple[str, ...]
    groups: str
    among: Mapping[str, int] = field(default_factory=dict)  # trials that each arm is the best of
    why: str = ""  # nothing is compared

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; what is not finite is null."""
        told = asdict(self)
        for one, answer in zip(told["answers"], self.answers, strict=True):
            one["p_value"] = answer.new.p_value if answer.new else None
        plain: dict[str, Any] = _plain(told)
        return plain


def compared(folder: Path, question: Question) -> Compared:
    """The answer to a question, as far as the study can give one; puts the look on record.

    Raises:
        InputError: the folder is no study's; nothing in it is replicated; settings differ in more than the asked knob.
        LedgerError: the ledger is damaged.
    """
    study = read_study(folder)
    figures = _figures(study, question.figure)
    told = replicated(folder, study, read_trials(folder / "trials.jsonl"))
    pairs = by_knob(folder, told, question.by) if question.by else against_baseline(told)
    leaky = tuple(dict.fromkeys(one.label for pair in pairs for one in (pair.first, pair.second) if one.leaky))
    honest = tuple(pair for pair in pairs if not pair.first.leaky and not pair.second.leaky)
    blank = Compared(question, len(told.replicates), told.raised, None, 0.0, (), leaky, "recordings")
    if not honest:
        return replace(blank, why=_why(pairs, question.by))
    ruler = read_ruler(folder)
    both = {name: one for pair in honest for name, one in zip(pair.names, (pair.first, pair.second), strict=True)}
    among = {name: one.among for name, one in both.items() if one.among is not None and one.by == question.by}
    blank = replace(blank, among=among, groups="recordings" if (ruler.sites == "").any() else "sites")
    scores = redraw(folder, ruler, [one for pair in honest for one in (pair.first, pair.second)], figures)
    over = _over(told, honest)
    answers = [_answer(pair, told.replicates, over, scores, name) for name in figures for pair in honest]
    answers = [_by_number(answer, ruler) for answer in answers]
    return _judged(folder, blank, told, len(over), answers)


def _figures(study: Mapping[str, Any], asked: str) -> dict[str, dict[str, float]]:
    """Each figure to compare, as a sum of the ruler's. A score with a floor, or a pair of aims, is no sum."""
    if asked in FIGURES:
        return {asked: {asked: 1.0}}
    if asked != "score":
        raise InputError(f"--figure must be score, {', '.join(FIGURES)}, but got {asked!r}. Give one of them.")
    objective = study.get("objective") or {}
    form = str(objective.get("precision_form") or "precision")
    parts = {"lwlrap": float(objective.get("lwlrap", 0.5)), form: float(objective.get("precision", 0.5))}
    if objective.get("rule", "weighted") != "weighted":
        return {name: {name: 1.0} for name in parts}
    return {"score": parts}


def _why(pairs: Sequence[Matched], by: str | None) -> str:
    if pairs:
        return "Every pair holds a leaky arm, so nothing is compared."
    if by:
        return f"All settings have one value of {by}, so there is one arm only and nothing to compare it with."
    return "There is no baseline, or nothing beside it, so nothing is compared. Give --by KNOB."


def _answer(pair: Matched, replicates: Sequence[int], over: Set[int], scores: Scores, figure: str) -> Answer:
    """A pair's differences and evidence, before it is known how strictly they are judged.

    A replicate that is not over for every pair waits: another look at one pair would be a look that is not counted.
    """
    used: dict[int, tuple[Redrawn, Redrawn]] = {}
    left_out: dict[int, str] = {}
    for replicate in replicates:
        first, second = (scores.of(one, replicate, figure) for one in (pair.first, pair.second))
        if isinstance(first, str) or isinstance(second, str):
            told = zip(pair.names, (first, second), strict=True)
            each = "; ".join(f"{name}: {why}" for name, why in told if isinstance(why, str))
            left_out[replicate] = str(first) if first == second else each
        elif replicate not in over:
            left_out[replicate] = "not over in every arm"
        else:
            used[replicate] = first, second
    drawn = {one: second.figures[figure] - first.figures[figure] for one, (first, second) in used.items()}
    differences = {one: float(values[0]) for one, values in drawn.items()}
    these = difference(dict.fromkeys(differences, 0.0), differences)
    answer = Answer(figure, pair.names, pair.where, pair.tuned, differences, left_out, these)
    if len(used) == 1:
        ((first, second),) = used.values()
        return replace(answer, folds=over_folds(second.folds[figure] - first.folds[figure]))
    told_new = on_new(list(differences.values()), np.array([*drawn.values()]).T[1:], scores.groups) if used else None
    if told_new is None:
        return answer
    return replace(answer, new=told_new[0], spread=told_new[1], species=_species(list(used.values()), scores))


def _species(used: Sequence[tuple[Redrawn, Redrawn]], scores: Scores) -> tuple[SpeciesDifference, ...]:
    """Every species that stands in more than one group, by its place among the ruler's, with Holm over them."""
    drawn = np.array([second.precisions - first.precisions for first, second in used])  # (replicate, 1 + draw, species)
    found: list[tuple[int, Evidence]] = []
    for species, groups in enumerate(scores.groups_of):
        if not np.isnan(drawn[:, 0, species]).any():
            told = on_new(drawn[:, 0, species], drawn[:, 1:, species].T, groups)
            found += [(species, told[0])] if told is not None else []
    corrected = _corrected([one.p_value for _, one in found])
    return tuple(
        SpeciesDifference(species, one, *one.interval(ALPHA), by_holm)
        for (species, one), by_holm in zip(found, corrected, strict=True)
    )


def _by_number(answer: Answer, ruler: Ruler) -> Answer:
    """The same with species by the data's own numbers."""
    return replace(
        answer, species=tuple(replace(one, species=int(ruler.species[one.species])) for one in answer.species)
    )


def _corrected(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's p-values; None where there was none."""
    known = iter(holm([p for p in p_values if p is not None]))
    return [None if p is None else next(known) for p in p_values]


def _judged(folder: Path, blank: Compared, told: Replicated, seen: int, answers: Sequence[Answer]) -> Compared:
    """The answers with their verdicts, by what this look, at so many replicates, may spend."""
    if not any(answer.new for answer in answers):
        return replace(blank, answers=tuple(answers))
    now, total = look(folder, told.replicates, seen)
    judged: list[Answer] = []
    for figure in dict.fromkeys(answer.figure for answer in answers):
        mine = [answer for answer in answers if answer.figure == figure]
        corrected = _corrected([answer.new.p_value if answer.new else None for answer in mine])
        tested = max(1, sum(answer.new is not None for answer in mine))
        judged += [
            _said_of(replace(answer, holm=by_holm), now.level, tested, blank.question.margin)
            for answer, by_holm in zip(mine, corrected, strict=True)
        ]
    return replace(blank, look=now, total=total, answers=tuple(judged))


def _over(told: Replicated, pairs: Sequence[Matched]) -> set[int]:
    """Replicates of which nothing more is to come in any pair."""
    settings = [one for pair in pairs for one in (pair.first, pair.second)]
    over = ("COMPLETE", "PRUNED") if told.confirmed else ("COMPLETE", "PRUNED", "FAILED")  # `confirm` tries those again
    return {
        replicate
        for replicate in told.replicates
        if all(replicate in one.trials and one.trials[replicate].state in over for one in settings)
    }


def _said_of(answer: Answer, level: float, tested: int, margin: float) -> Answer:
    if answer.new is None or answer.spread is None or level < TOO_EARLY:
        return answer
    share = level / tested
    interval = together(answer.new, answer.holm is not None and answer.holm < level, share)
    said = word(answer.new, answer.holm, level, interval, margin)
    effect = max(margin, abs(answer.new.mean))
    varies = answer.new.variance > 0 and effect > 0
    return replace(
        answer,
        interval=interval,
        word=said,
        detectable=detectable(answer.new, share),
        plan=recommended(effect, answer.spread, ALPHA / tested) if varies and said == "not known yet" else None,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(member) for key, member in value.items()}
    return [_plain(member) for member in value] if isinstance(value, list | tuple) else value
