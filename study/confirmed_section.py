"""The report's part on what was confirmed: the settings on fresh replicates, and the verdict once all have run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rfcx_model.errors import InputError
from study import compared_sentences, compared_tables, confirmed
from study.compared import Question, compared
from study.confirmed import Confirmation
from study.section import Section, confirmation_section
from study.tables import Table
from study.trials import Trial


@dataclass(frozen=True)
class Confirmed:
    """`verdicts` are one sentence a pair, for the head of the report; none before all that was declared has run."""

    section: Section
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class _Told:
    verdicts: list[str]
    sentences: list[str]
    tables: list[tuple[str, Table]]


def told(folder: Path, trials: Sequence[Trial]) -> Confirmed | None:
    """None where nothing was declared. Settings are compared only when all that was declared has run: no look is spent.

    Raises:
        InputError: confirm.json cannot be read.
    """
    known = confirmed.confirmation(folder, trials)
    if known is None:
        return None
    judged = _judged(folder, known) if known.whole else _Told([], [], [])
    ranked = ("Confirmed settings" if known.whole else "Settings so far", confirmed.table(known))
    sentences = [*confirmed.sentences(known), *judged.sentences]
    return Confirmed(confirmation_section(sentences, [ranked, *judged.tables]), tuple(judged.verdicts))


def _judged(folder: Path, known: Confirmation) -> _Told:
    """Of the asked knob's arms where one was asked about, else of every setting against the baseline."""
    by = known.declared.by
    try:
        answer = compared(folder, Question(by))
    except InputError as error:
        return _Told([], [f"Nothing is compared. {error}"], [])
    if not answer.answers:
        return _Told([], compared_sentences.verdicts(answer), [])
    verdicts = compared_sentences.verdicts(answer)
    table = (f"Arms of {by}" if by else "Against the baseline", compared_tables.results(answer))
    return _Told(verdicts, compared_sentences.all_of(answer)[len(verdicts) :], [table])
