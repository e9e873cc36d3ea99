"""The report of a grid in replicates: its verdict comes first once all have run, and before that no look is spent."""

from __future__ import annotations

from pathlib import Path

from made_replicates import GRID, SITE, Made, grid

from study.confirmed_section import Confirmed
from study.looks import LOOKS, read_looks
from study.replicated_section import told as told_of
from study.report import write
from study.trials import read_trials


def told(made: Made) -> Confirmed | None:
    return told_of(made.folder, made.study, read_trials(made.folder / "trials.jsonl"))


def test_the_verdict_is_the_answer_and_one_look_is_on_record(tmp_path: Path) -> None:
    made = grid(tmp_path, {"input": 1.0, "stage4": 2.0})
    for path in write(made.folder):
        text = path.read_text()
        assert text.index("stage4 is better than input by") < text.index("The best of 10 finished trials")
        assert "The replicates are the evidence." in text
        assert "Nothing is confirmed yet" not in text
    assert [(one.declared, one.seen) for one in read_looks(made.folder)] == [(5, 5)]


def test_before_all_replicates_are_over_nothing_is_compared(tmp_path: Path) -> None:
    made = grid(tmp_path, {"input": 1.0, "stage4": 2.0}, replicates=4)
    assert told(made) is None
    made.trial({SITE: "input"}, 4, 1.0)
    made.trial({SITE: "stage4"}, 4, 2.0, "RUNNING")
    assert told(made) is None
    assert not (tmp_path / LOOKS).exists()


def test_a_failed_trial_is_over_too_and_is_said(tmp_path: Path) -> None:
    made = grid(tmp_path, {"input": 1.0, "stage4": 2.0}, replicates=4)
    made.trial({SITE: "input"}, 4, 1.0)
    made.trial({SITE: "stage4"}, 4, 2.0, "FAILED")
    found = told(made)
    assert found is not None
    assert "4 replicates" in found.verdicts[0]
    assert any("replicate 4 (stage4: failed)" in line for line in found.section.sentences)


def test_of_listed_arms_the_sites_are_asked_about_and_what_holds_here_alone_stands_below(tmp_path: Path) -> None:
    arms = [{"regime": "small", "params": {SITE: site}, "published": {}} for site in ("input", "stage4")]
    made = Made(tmp_path, {**GRID, "arms": arms})
    for replicate in range(5):
        made.trial({SITE: "input"}, replicate, 1.0)
        made.trial({SITE: "stage4"}, replicate, 2.0)
    text = write(made.folder)[1].read_text()
    answer, replicates, below = (text.index(f"\n## {title}\n") for title in ("Answer", "Replicates", "Arms"))
    assert answer < text.index("stage4 is better than input by") < replicates
    assert text.index("Intervals are 95 % t-intervals over replicates") > below


def test_several_verdicts_are_counted_first(tmp_path: Path) -> None:
    found = told(grid(tmp_path, {"input": 1.0, "stage4": 2.0, "none": 1.0}))
    assert found is not None
    assert found.verdicts[0] == "Verdicts on 2 differences: 1 better or worse, 1 practically equal."
    assert len(found.verdicts) == 3


def test_a_question_that_is_refused_says_why(tmp_path: Path) -> None:
    made = grid(tmp_path, {"input": 1.0, "stage4": 2.0})
    (made.folder / "listed.npz").unlink()
    found = told(made)
    assert found is not None
    assert found.verdicts == ()
    assert found.section.sentences[0].startswith(f"By `{SITE}` nothing is compared. ")


def test_other_studies_have_no_such_part(tmp_path: Path) -> None:
    once = grid(tmp_path / "once", {"input": 1.0, "stage4": 2.0}, replicates=1)
    once.study = {**GRID, "search": {**GRID["search"], "replicates": 1}}
    assert told(once) is None
    searched = grid(tmp_path / "searched", {"input": 1.0, "stage4": 2.0})
    searched.study = {**GRID, "search": {**GRID["search"], "sampler": "tpe"}}
    assert told(searched) is None
