"""audited: a person's answers → how precise a model is and how much it misses, species by species."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from rfcx_model.errors import InputError
from study import audit_folder
from study.audit_folder import Audit, Sample
from study.horvitz import Cell, Estimate, Quality, quality
from study.label_track import NO, OPEN, UNSURE, YES
from study.strata import STRATA

ALL: Final = "all"
SEED: Final = 0


@dataclass(frozen=True)
class Unsure:
    """Estimates if every unsure answer went against the model, and if every one went for it."""

    worst: Quality  # absent above the threshold, present below it
    best: Quality


@dataclass(frozen=True)
class Row:
    """What is known of one species, or of all together (each window counted once a species)."""

    species: str
    windows: int
    above: int  # that score above the threshold
    drawn: int
    judged: int  # answered y or n; the estimates rest on these
    unsure: int
    unanswered: int
    quality: Quality
    if_unsure: Unsure | None  # None where nothing is unsure

    def __str__(self) -> str:
        shares = (self.quality.precision, self.quality.recall, self.quality.present)
        judged = f"{self.judged}/{self.drawn}"
        return f"{self.species:<8} {judged:>9} {self.above:>8}  " + "  ".join(map(_told, shares))


@dataclass(frozen=True)
class Told:
    """An audit's answer."""

    model: str
    data: str
    threshold: float
    windows: int
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        head = (
            f"{self.model} on {self.windows} windows of {self.data}, heard where a window scores above "
            f"{self.threshold:g}; 95 % intervals over the draw of windows, for these recordings only"
        )
        columns = f"{'species':<8} {'judged':>9} {'above':>8}  {'precision':<20}  {'recall':<20}  present"
        lines = [head, columns, *map(str, self.rows)]
        for row in self.rows:
            if row.if_unsure is not None:
                lines.append(f"{row.species}: {row.unsure} unsure, left out; {_range(row.if_unsure)}")
        return "\n".join([*lines, *self.warnings])


def audited(folder: Path, threshold: float | None = None) -> Told:
    """Read the answers of an audit's folder; `threshold` instead of that of the draw.

    Raises:
        InputError: the folder or an answer is unsound, or nothing is judged yet.
    """
    audit = audit_folder.read(folder)
    if not {YES, NO} & {answer for answers in audit.answers for answer in answers}:
        raise InputError(
            f"{folder}: at least one window must be judged y or n, but none is. See {audit_folder.INSTRUCTIONS} there."
        )
    at = audit.design.threshold if threshold is None else threshold
    counts = [_count(audit, place, at) for place in range(len(audit.design.species))]
    rows = [_row(sample.name, [count]) for sample, count in zip(audit.design.species, counts, strict=True)]
    if len(rows) > 1:
        rows.append(_row(ALL, counts))
    warnings = [
        line
        for sample, answers, count in zip(audit.design.species, audit.answers, counts, strict=True)
        for line in _warnings(sample, answers, count)
    ]
    return Told(
        model=audit.design.model,
        data=audit.design.data,
        threshold=at,
        windows=len(audit.population.scores),
        rows=tuple(rows),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True)
class _Part:
    """A cell before it is known how unsure answers count."""

    stratum: str
    above: bool
    windows: int
    answers: Counter[str]

    def cell(self, unsure: str | None = None) -> Cell:
        """Unsure answers left out, or counted as YES or NO."""
        present, judged = self.answers[YES], self.answers[YES] + self.answers[NO]
        if unsure is not None:
            judged += self.answers[UNSURE]
            present += self.answers[UNSURE] if unsure == YES else 0
        return Cell(self.windows, judged, present, self.above)


def _count(audit: Audit, place: int, threshold: float) -> list[_Part]:
    """The cells of one species: strata, each cut by the threshold."""
    stratum = audit.population.stratum[:, place]
    above = audit.population.scores[:, place].astype(np.float64) > threshold
    windows = [one.window for one in audit.design.species[place].drawn]
    parts = []
    for number, name in enumerate(STRATA):
        for side in (True, False):
            inside = (stratum == number) & (above == side)
            if inside.any():
                said = [a for window, a in zip(windows, audit.answers[place], strict=True) if inside[window]]
                parts.append(_Part(name, side, int(inside.sum()), Counter(said)))
    return parts


def _row(name: str, counts: Sequence[list[_Part]]) -> Row:
    parts = [part for count in counts for part in count]
    answers = sum((part.answers for part in parts), Counter[str]())
    return Row(
        species=name,
        windows=sum(part.windows for part in parts),
        above=sum(part.windows for part in parts if part.above),
        drawn=answers.total(),
        judged=answers[YES] + answers[NO],
        unsure=answers[UNSURE],
        unanswered=answers[OPEN],
        quality=_quality([part.cell() for part in parts]),
        if_unsure=_unsure(parts) if answers[UNSURE] else None,
    )


def _quality(cells: list[Cell]) -> Quality:
    return quality(cells, np.random.default_rng(SEED))


def _unsure(parts: list[_Part]) -> Unsure:
    return Unsure(
        worst=_quality([part.cell(NO if part.above else YES) for part in parts]),
        best=_quality([part.cell(YES if part.above else NO) for part in parts]),
    )


def _warnings(sample: Sample, answers: Sequence[str], parts: list[_Part]) -> Iterator[str]:
    answered = [answer != OPEN for answer in answers]
    if sum(answered) < len(answered):
        yield (
            f"{sample.name}: {len(answered) - sum(answered)} of {len(answered)} windows are not judged yet; "
            "the others stand for all"
        )
        if sorted(answered, reverse=True) != answered:
            yield (
                f"{sample.name}: windows were skipped. If those are the hard ones the estimates are wrong: "
                "judge them, or answer `u`"
            )
    for part in parts:
        if part.cell().judged == 0:
            yield (
                f"{sample.name}: none of the {part.windows} windows of stratum {part.stratum} that score "
                f"{'above' if part.above else 'not above'} the threshold is judged, so "
                f"{'precision and recall are' if part.above else 'recall is'} not known"
            )
    found = {side: sum(part.answers[YES] for part in parts if part.above == side) for side in (True, False)}
    if found[True] and not found[False] and not all(part.above for part in parts):
        yield (
            f"{sample.name}: no missed call was drawn, so recall has an estimate of 1; with few draws that is "
            "likely too high: go by its interval, or draw more"
        )
    if not any(part.above for part in parts):
        yield f"{sample.name}: no window scores above the threshold, so there is no precision; a lower one may have one"


def _told(estimate: Estimate) -> str:
    value = "–" if estimate.value is None else f"{estimate.value:.3f}"
    return f"{value:<5} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _range(unsure: Unsure) -> str:
    """Both ends of each interval too."""
    ends = []
    for name in ("precision", "recall"):
        worst: Estimate = getattr(unsure.worst, name)
        best: Estimate = getattr(unsure.best, name)
        low, high = ("–" if one.value is None else f"{one.value:.3f}" for one in (worst, best))
        ends.append(f"{name} {low} to {high} [{worst.low:.3f}, {best.high:.3f}]")
    return "if all of them went against the model, or for it: " + "; ".join(ends)
