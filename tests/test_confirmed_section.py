"""The report's part on the confirmation: nothing before all has run, then the ranking and one sentence of verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_replicates import SITE, Made

from study.confirmed_section import Confirmed
from study.confirmed_section import told as told_of
from study.looks import LOOKS, read_looks
from study.report import write
from study.section import Section
from study.trials import read_trials


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A search of two settings and its confirmation on three declared replicates, of which two have run."""
    told = Made(tmp_path / "study")
    told.study = {**told.study, "search": {**told.study["search"], "sampler": "tpe", "replicates": 1}}
    told.trial({SITE: "input"}, 0, 0.5, origin="baseline")
    told.trial({SITE: "stage4"}, 0, 3.0)
    told.confirm([("baseline", {SITE: "input"}, True), ("site=stage4", {SITE: "stage4"}, False)], [1, 2, 3], [])
    for replicate in (1, 2):
        told.trial({SITE: "input"}, replicate, 0.5, origin="confirm")
        told.trial({SITE: "stage4"}, replicate, 2.5, origin="confirm")
    return told


def finish(made: Made) -> None:
    made.trial({SITE: "input"}, 3, 0.5, origin="confirm")
    made.trial({SITE: "stage4"}, 3, 2.5, origin="confirm")


def part(made: Made) -> Confirmed:
    told = told_of(made.folder, read_trials(made.folder / "trials.jsonl"))
    assert told is not None
    return told


def section(made: Made) -> Section:
    return part(made).section


def test_before_all_has_run_nothing_is_compared_and_no_look_is_spent(made: Made) -> None:
    told = section(made)
    assert "3 replicates were declared, 2 of them are whole" in told.sentences[0]
    assert [one.title for one in told.exhibits] == ["Settings so far"]
    assert not (made.folder / LOOKS).exists()


def test_when_all_has_run_there_is_a_verdict_and_one_look_is_on_record(made: Made) -> None:
    finish(made)
    for _ in range(2):
        verdicts, told = part(made).verdicts, section(made)
    assert verdicts[0].startswith("score: site=stage4 is better than baseline by ")
    assert any(line.startswith("Highest mean over 3 fresh replicates: site=stage4") for line in told.sentences)
    assert [one.title for one in told.exhibits] == ["Confirmed settings", "Against the baseline"]
    assert [(one.declared, one.seen) for one in read_looks(made.folder)] == [(3, 3)]


def test_the_report_shows_it_right_after_the_answer(made: Made) -> None:
    finish(made)
    for path in write(made.folder):
        text = path.read_text()
        assert text.index("site=stage4 is better than baseline by") < text.index("The best of 2 finished trials")
        assert text.count("score: site=stage4 is better than baseline by") == 1
        assert "The replicates are the evidence." in text
        assert "Nothing is confirmed yet" not in text


def test_a_comparison_that_is_refused_leaves_the_ranking_and_says_why(made: Made) -> None:
    finish(made)
    (made.folder / "listed.npz").unlink()
    told = section(made)
    assert any(line.startswith("Nothing is compared. ") for line in told.sentences)
    assert [one.title for one in told.exhibits] == ["Confirmed settings"]


def test_the_arms_of_the_asked_knob_are_compared_where_one_was_asked_about(made: Made) -> None:
    finish(made)
    path = made.folder / "confirm.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"by": SITE}))
    told = part(made)
    assert told.verdicts[0].startswith("score: stage4 is better than input by ")
    assert told.section.exhibits[1].title == f"Arms of {SITE}"


def test_without_a_declaration_there_is_no_such_part(made: Made) -> None:
    (made.folder / "confirm.json").unlink()
    assert told_of(made.folder, read_trials(made.folder / "trials.jsonl")) is None
