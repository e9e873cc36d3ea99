"""The report's part on what was confirmed: the settings on fresh replicates, and the verdict once all have run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rfcx_model.errors import InputError
from study import compared_sentences, compared_tables, confirmed
from study.compared import Question, compared
from study.confirmed import Confirmation
from study.section import Section, confirmation_section
from study.tables import Table
from study.trials import Trial

Told = tuple[list[str], list[tuple[str, Table]]]


def section(folder: Path, trials: Sequence[Trial]) -> Section | None:
    """None where nothing was declared. Settings are compared only when all that was declared has run: no look is spent.

    Raises:
        InputError: confirm.json cannot be read.
    """
    told = confirmed.confirmation(folder, trials)
    if told is None:
        return None
    sentences, tables = _verdict(folder, told) if told.whole else ([], [])
    ranked = ("Confirmed settings" if told.whole else "Settings so far", confirmed.table(told))
    return confirmation_section([*sentences, *confirmed.sentences(told)], [ranked, *tables])


def _verdict(folder: Path, told: Confirmation) -> Told:
    """Of the asked knob's arms where one was asked about, else of every setting against the baseline."""
    by = told.declared.by
    try:
        answer = compared(folder, Question(by))
    except InputError as error:
        return [f"Nothing is compared. {error}"], []
    title = f"Arms of {by}" if by else "Against the baseline"
    return compared_sentences.all_of(answer), [(title, compared_tables.results(answer))] if answer.answers else []
