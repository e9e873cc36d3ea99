"""The tables of a comparison, for the report, the terminal and a README."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from study import compared_sentences, markdown
from study.arms_sentences import signed
from study.arms_tables import grid, interval
from study.compared import Answer, Compared
from study.tables import UNKNOWN, Table


def results(told: Compared) -> Table:
    """Every pair and figure: the difference for new recordings and for these, and the verdict."""
    rows = tuple(
        (
            *_named(answer),
            answer.figure,
            str(len(answer.differences)),
            _new(answer),
            UNKNOWN if answer.holm is None else f"{answer.holm:.2g}",
            interval(answer.these.estimate, signed),
            UNKNOWN if answer.detectable is None else f"{answer.detectable:.3f}",
            answer.word,
        )
        for answer in told.answers
    )
    headers = ("pair", "figure", "n", f"new {told.groups}", "p", "these recordings", "can be found", "verdict")
    return Table(headers, rows, 2, "a pair is a difference, as it stands there; p after Holm's correction")


def replicates(told: Compared) -> Table:
    """Each replicate's difference, of which a pair's mean is made."""
    numbers = sorted({one for answer in told.answers for one in (*answer.differences, *answer.left_out)})
    rows = tuple(
        (
            *_named(answer),
            answer.figure,
            *(signed(answer.differences[one]) if one in answer.differences else UNKNOWN for one in numbers),
        )
        for answer in told.answers
    )
    return Table(("pair", "figure", *map(str, numbers)), rows, 2)


def species(told: Compared) -> Table:
    """Species whose own interval leaves out 0; how many were tested is in the note."""
    firsts = [answer for answer in told.answers if answer.figure == told.answers[0].figure]
    rows = tuple(
        (
            *_named(answer),
            str(one.species),
            f"{signed(one.new.mean)} [{signed(one.low)}, {signed(one.high)}]",
            UNKNOWN if one.holm is None else f"{one.holm:.2g}",
        )
        for answer in firsts
        for one in answer.species
        if one.low > 0 or one.high < 0
    )
    tested = sum(len(answer.species) for answer in firsts)
    note = f"Of {tested} tested, those whose own 95 % interval leaves out 0; p after Holm's correction over a pair's."
    return Table(("pair", "species", "average precision", "p"), rows, 2, note)


def show(told: Compared, console: Console) -> None:
    """Tables and sentences on a terminal."""
    if told.answers:
        console.print(grid(results(told), "Paired differences"))
        console.print(grid(replicates(told), "Replicate by replicate"))
        if (table := species(told)).rows:
            console.print(grid(table, "Species"))
    for sentence in compared_sentences.all_of(told):
        console.print(Text(f"- {sentence}"))


def as_markdown(told: Compared) -> str:
    """The same, to be pasted into a README."""
    shown = [results(told), replicates(told), species(told)] if told.answers else []
    parts = [part for one in shown if one.rows for part in (markdown.table(one), markdown.cell(one.note)) if part]
    return "\n\n".join([*parts, "\n".join(f"- {markdown.cell(line)}" for line in compared_sentences.all_of(told))])


def _named(answer: Answer) -> tuple[str]:
    named = f"{answer.names[1]} − {answer.names[0]}"
    return (f"{answer.where}: {named}" if answer.where else named,)


def _new(answer: Answer) -> str:
    if answer.new is None or answer.interval is None:
        return UNKNOWN
    return f"{signed(answer.new.mean)} [{signed(answer.interval[0])}, {signed(answer.interval[1])}]"
