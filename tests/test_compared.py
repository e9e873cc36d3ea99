"""From a study's folder to the verdict: which trials count, what is refused, and what is said when little can be."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_replicates import ALPHA, GRID, RECORDINGS, SITE, THRESHOLD, Made, grid
from made_study import STUDY
from scipy import stats

from rfcx_model.errors import InputError
from rfcx_model.metrics import OutOfFold
from study.compare import Evidence, Plan
from study.compared import Answer, Compared, Question, compared
from study.compared_sentences import all_of, verdicts
from study.compared_tables import as_markdown, results
from study.looks import LOOKS
from study.scored import out_of_fold
from study.trials import read_trials

BY = Question(by=SITE)


def only(told: Compared) -> Answer:
    (answer,) = told.answers
    return answer


def test_a_clearly_better_arm_is_called_better(tmp_path: Path) -> None:
    made = grid(tmp_path, {"input": 1.0, "stage4": 2.0})
    answer = only(compared(tmp_path, BY))
    assert (answer.names, answer.word) == (("input", "stage4"), "better")
    score = {one: 0.5 * told["lwlrap"] + 0.5 * told["precision"] for one, told in made.metrics.items()}
    expected = [score[2 * replicate + 1] - score[2 * replicate] for replicate in range(5)]
    assert list(answer.differences.values()) == pytest.approx(expected, abs=1e-12)
    golden = stats.ttest_1samp(expected, 0)
    assert answer.these.p_value == pytest.approx(golden.pvalue)
    (said,) = verdicts(compared(tmp_path, BY))
    assert re.fullmatch(
        r"score: stage4 is better than input by 0\.\d{3} for new recordings "
        r"\(stage4 less input \[\+0\.\d{3}, \+0\.\d{3}\], 5 replicates, p = \S+\)\.",
        said,
    )


def test_the_worse_arm_names_the_better_one(tmp_path: Path) -> None:
    grid(tmp_path, {"input": 2.0, "stage4": 1.0})
    told = compared(tmp_path, BY)
    assert only(told).word == "worse"
    assert "input is better than stage4 by 0." in verdicts(told)[0]


def test_identical_arms_are_practically_equal(tmp_path: Path) -> None:
    grid(tmp_path, {"input": 1.0, "stage4": 1.0})
    answer = only(compared(tmp_path, BY))
    assert (answer.word, answer.interval, answer.holm) == ("practically equal", (0.0, 0.0), 1.0)
    assert "practically equal" in verdicts(compared(tmp_path, BY))[0]


def test_a_difference_that_cannot_be_told_says_what_would_settle_it(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for replicate, gain in enumerate((1.1, 0.9, 1.2, 0.8, 1.05)):
        made.trial({SITE: "input"}, replicate, 1.0, origin="search" if replicate else "baseline")
        made.trial({SITE: "stage4"}, replicate, gain)
    told = compared(tmp_path, BY)
    answer = only(told)
    assert answer.word == "not known yet"
    assert answer.detectable is not None
    assert answer.plan is not None
    assert answer.interval is not None
    assert answer.interval[0] < 0 < answer.interval[1]
    assert re.search(
        r"not known yet whether stage4 is better than input; .* With \d+ replicates a "
        r"difference of 0\.\d{3} or more can be found \(80 % power\)\. "
        r"(It takes about \d+ replicates in all to find one of 0|A difference of 0\.\d{3} is too small)",
        verdicts(told)[0],
    )


@pytest.mark.parametrize("sites", [0, 12])
def test_the_order_of_recordings_changes_nothing(tmp_path: Path, sites: int) -> None:
    order = np.random.default_rng(3).permutation(RECORDINGS)
    told = []
    for name, one in (("a", np.arange(RECORDINGS)), ("b", order)):
        made = Made(tmp_path / name, sites=sites, order=one)
        for replicate in range(3):
            made.trial({SITE: "input"}, replicate, 1.0, origin="search" if replicate else "baseline")
            made.trial({SITE: "stage4"}, replicate, 1.3)
        told.append(compared(tmp_path / name, BY))
    first, second = (only(one) for one in told)
    assert first.new is not None
    assert second.new is not None
    assert second.new.variance == pytest.approx(first.new.variance, rel=1e-9)
    assert second.holm == pytest.approx(first.holm)
    assert told[0].groups == ("sites" if sites else "recordings")
    assert first.spread is not None
    assert (first.spread.groups <= 12) == bool(sites)
    assert [one.holm for one in second.species] == pytest.approx([one.holm for one in first.species])


def test_several_arms_are_held_against_the_baseline_with_holm(tmp_path: Path) -> None:
    grid(tmp_path, {"input": 1.0, "stage4": 1.25, "none": 0.8})
    told = compared(tmp_path, BY)
    assert [answer.names for answer in told.answers] == [("input", "stage4"), ("input", "none")]
    raw = [answer.new.p_value for answer in told.answers if answer.new]
    assert None not in raw
    small, large = sorted(p for p in raw if p is not None)
    assert sorted(answer.holm or 0 for answer in told.answers) == pytest.approx([2 * small, max(2 * small, large)])
    for answer in told.answers:
        assert answer.new is not None
        assert answer.interval is not None
        low, high = answer.new.interval(0.05 / 2)
        if answer.word == "not known yet":
            assert answer.interval == pytest.approx((low, high))
        else:  # stands by Holm, so the interval ends at 0 at the latest
            assert answer.interval == pytest.approx((max(low, 0), high) if answer.new.mean > 0 else (low, min(high, 0)))
    assert any("the 2 of a figure hold all at once" in line for line in all_of(told))


def test_one_replicate_is_not_known_yet_with_the_corrected_t_beside_it(tmp_path: Path) -> None:
    grid(tmp_path, {"input": 1.0, "stage4": 1.4}, replicates=1)
    told = compared(tmp_path, BY)
    answer = only(told)
    assert (answer.word, answer.new) == ("not known yet", None)
    assert answer.folds is not None
    assert answer.folds.freedom == 2
    assert not (tmp_path / LOOKS).exists()
    assert re.search(r"one replicate .* corrected resampled t .* p = .* 80 % power, so its silence", verdicts(told)[0])
    assert all_of(told)


def test_one_arm_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    grid(tmp_path, {"input": 1.0})
    told = compared(tmp_path, BY)
    assert told.answers == ()
    assert "one arm only" in verdicts(told)[0]
    assert "nothing beside it" in verdicts(compared(tmp_path, Question()))[0]
    assert as_markdown(told)


def test_what_is_not_whole_is_left_out_and_said(tmp_path: Path) -> None:
    made = Made(tmp_path, {**GRID, "search": {**GRID["search"], "replicates": 8}})
    numbers = {}
    for replicate in range(8):
        numbers[replicate] = made.trial({SITE: "input"}, replicate, 1.0, origin="search" if replicate else "baseline")
    for replicate, state in enumerate(("COMPLETE", "COMPLETE", "PRUNED", "FAILED", "COMPLETE", "RUNNING", "COMPLETE")):
        made.trial({SITE: "stage4"}, replicate, 2.0, state)
    said = out_of_fold(tmp_path, read_trials(tmp_path / "trials.jsonl")[numbers[4]])
    assert said is not None
    made.save(numbers[4], OutOfFold(np.full_like(said.recording_scores, np.nan), said.box_scores, said.folds))
    (tmp_path / made.path(numbers[6])).unlink()
    told = compared(tmp_path, BY)
    answer = only(told)
    assert list(answer.differences) == [0, 1]
    assert answer.left_out == {
        2: "stage4: pruned",
        3: "stage4: failed",
        4: "input: a score is NaN",
        5: "stage4: running",
        6: "input: its scores are not on file",
        7: "stage4: not yet tried",
    }
    assert any("replicate 4 (input: a score is NaN)" in line for line in all_of(told))
    assert told.look is not None
    assert (told.look.seen, told.declared) == (6, 8)


def test_leaky_arms_are_never_compared(tmp_path: Path) -> None:
    made = Made(tmp_path)
    leaky = {SITE: "stage4", "stage3.teacher_scheme": "diary", "stage3.pseudo_threshold": 0.5}
    for replicate in range(2):
        made.trial({SITE: "input"}, replicate, 1.0, origin="search" if replicate else "baseline")
        made.trial(leaky, replicate, 2.0)
    told = compared(tmp_path, Question())
    assert told.answers == ()
    assert len(told.leaky) == 1
    assert "leaky" in told.why


def test_a_look_before_all_replicates_is_strict_and_kept(tmp_path: Path) -> None:
    made = grid(tmp_path, {"input": 1.0, "stage4": 1.1}, replicates=3)
    early = compared(tmp_path, BY)
    assert early.look is not None
    assert early.look.level < 0.02
    assert any(line.startswith("A look at 3 of 5 declared replicates") for line in all_of(early))
    written = (tmp_path / LOOKS).read_text()
    assert compared(tmp_path, BY) == early
    assert (tmp_path / LOOKS).read_text() == written
    for replicate in (3, 4):
        for site, gain in (("input", 1.0), ("stage4", 1.1)):
            made.trial({SITE: site}, replicate, gain)
    last = compared(tmp_path, BY)
    assert last.look is not None
    assert 0.04 < last.look.level < 0.05
    assert last.total == pytest.approx(0.05)


def test_a_look_that_could_find_nothing_says_so_and_shows_no_interval(tmp_path: Path) -> None:
    made = Made(tmp_path, {**GRID, "search": {**GRID["search"], "replicates": 60}})
    for replicate in range(2):
        for site, gain in (("input", 1.0), ("stage4", 2.0)):
            made.trial(
                {SITE: site}, replicate, gain, origin="baseline" if (site, replicate) == ("input", 0) else "search"
            )
    told = compared(tmp_path, BY)
    assert (only(told).word, only(told).interval, only(told).detectable) == ("not known yet", None, None)
    assert "a look after 2 replicates is too early to tell anything" in verdicts(told)[0]
    assert any("2 of 60 declared replicates: it spends nothing" in line for line in all_of(told))
    assert not any("intervals" in line for line in all_of(told))
    assert as_markdown(told)


CONFIRMED: dict[str, Any] = {**STUDY, "search": {**STUDY["search"], "sampler": "tpe"}}
BASELINE = {SITE: "input", ALPHA: 0.1, THRESHOLD: 0.9}
ARMS = [
    ("the baseline", BASELINE, True),
    ("input", {SITE: "input", ALPHA: 0.4, THRESHOLD: 0.6}, False),
    ("stage4", {SITE: "stage4", ALPHA: 0.7, THRESHOLD: 0.5}, False),
]


def confirmed(folder: Path, replicates: list[int], raised: list[int]) -> Made:
    made = Made(folder, CONFIRMED)
    made.trial(BASELINE, 0, 1.0, origin="baseline")
    made.trial(ARMS[2][1], 0, 5.0)
    made.confirm(ARMS, replicates, raised)
    for replicate in replicates:
        for (_, params, _), gain in zip(ARMS, (1.0, 1.3, 2.0), strict=True):
            made.trial(params, replicate, gain, origin="confirm")
    return made


def test_confirmed_settings_are_compared_with_the_baseline(tmp_path: Path) -> None:
    confirmed(tmp_path, [3, 4, 5, 6], [])
    told = compared(tmp_path, Question())
    assert [answer.names for answer in told.answers] == [("the baseline", "input"), ("the baseline", "stage4")]
    assert list(told.answers[0].differences) == [3, 4, 5, 6]
    assert told.answers[1].word == "better"


def test_confirmed_arms_may_differ_in_their_own_tuned_nuisances(tmp_path: Path) -> None:
    confirmed(tmp_path, [3, 4, 5, 6], [])
    told = compared(tmp_path, BY)
    answer = only(told)
    assert (answer.names, set(answer.tuned)) == (("input", "stage4"), {ALPHA, THRESHOLD})
    assert f"Each arm has its own tuned {ALPHA}, {THRESHOLD}." in all_of(told)


@pytest.mark.parametrize(("among", "said"), [((6, 2), True), ((4, 4), False), ((None, 2), False)])
def test_arms_that_are_the_best_of_unequally_many_trials_are_called_so(
    tmp_path: Path, among: tuple[int | None, int | None], said: bool
) -> None:
    confirmed(tmp_path, [3, 4, 5, 6], [])
    path = tmp_path / "confirm.json"
    told = json.loads(path.read_text())
    for arm, count in zip(told["arms"][1:], among, strict=True):
        arm |= {"by": SITE, "among": count}
    path.write_text(json.dumps(told))
    sentence = (
        "Each arm was the best of its trials, input of 6, stage4 of 2: the best of fewer is worse by chance alone."
    )
    assert (sentence in all_of(compared(tmp_path, BY))) == said
    assert sentence not in all_of(compared(tmp_path, Question()))


def test_replicates_raised_after_the_last_look_are_told_with_what_all_looks_spend(tmp_path: Path) -> None:
    made = confirmed(tmp_path, [3, 4], [])
    compared(tmp_path, BY)
    made.confirm(ARMS, [3, 4, 5, 6], [2])
    for replicate in (5, 6):
        for (_, params, _), gain in zip(ARMS, (1.0, 1.3, 2.0), strict=True):
            made.trial(params, replicate, gain, origin="confirm")
    told = compared(tmp_path, BY)
    assert told.total == pytest.approx(0.0831, abs=5e-4)
    assert any("after 2: together the looks find a difference that is not there in 8.31 %" in s for s in all_of(told))


def test_arms_that_differ_in_more_than_was_asked_are_refused_by_name(tmp_path: Path) -> None:
    made = Made(tmp_path, {**GRID, "scientific": {SITE: {"choices": ["input", "stage4"]}, THRESHOLD: {"choices": [1]}}})
    for replicate in range(2):
        made.trial({SITE: "input", THRESHOLD: 0.9}, replicate, 1.0)
        made.trial({SITE: "stage4", THRESHOLD: 0.5}, replicate, 2.0)
    with pytest.raises(InputError, match=rf"{SITE}=input and {SITE}=stage4 differ in {THRESHOLD} \(0.9 against 0.5\)"):
        compared(tmp_path, BY)
    assert not (tmp_path / LOOKS).exists()


def test_settings_are_paired_with_those_that_share_the_other_knobs(tmp_path: Path) -> None:
    knobs = {SITE: {"choices": ["input", "stage4"]}, THRESHOLD: {"choices": [0.5, 0.9]}}
    made = Made(tmp_path, {**GRID, "scientific": knobs})
    for replicate in range(2):
        for site, threshold in (("input", 0.5), ("input", 0.9), ("stage4", 0.9), ("stage4", 0.5)):
            made.trial({SITE: site, THRESHOLD: threshold}, replicate, 1.0 + threshold)
    told = compared(tmp_path, BY)
    assert [answer.where for answer in told.answers] == ["threshold=0.5", "threshold=0.9"]
    assert {answer.names for answer in told.answers} == {("input", "stage4")}
    other = compared(tmp_path, Question(by=THRESHOLD))
    assert [answer.where for answer in other.answers] == ["site=input", "site=stage4"]
    assert {answer.names for answer in other.answers} == {("threshold=0.5", "threshold=0.9")}


def test_a_grid_over_nuisances_needs_one_setting_an_arm(tmp_path: Path) -> None:
    made = Made(tmp_path, {**GRID, "nuisance": {THRESHOLD: {"low": 0.3, "high": 0.95}}})
    for site, threshold in (("input", 0.5), ("input", 0.6), ("stage4", 0.9)):
        made.trial({SITE: site, THRESHOLD: threshold}, 0, 1.0)
    with pytest.raises(InputError, match=r"of .* there are several, which differ in .* confirm --by"):
        compared(tmp_path, BY)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (Question(by="stage3.mixup_sit"), r"is no knob that this study searched\. Did you mean `stage3.mixup_site`"),
        (Question(by=SITE, figure="f1"), r"--figure must be score, lwlrap, .* but got 'f1'"),
    ],
)
def test_wrong_questions_are_refused(tmp_path: Path, question: Question, said: str) -> None:
    grid(tmp_path, {"input": 1.0, "stage4": 2.0}, replicates=1)
    with pytest.raises(InputError, match=said):
        compared(tmp_path, question)


def test_a_search_without_confirmation_is_refused(tmp_path: Path) -> None:
    Made(tmp_path, CONFIRMED).trial(BASELINE, 0, 1.0, origin="baseline")
    with pytest.raises(InputError, match=r"reads replicated trials only.*confirm"):
        compared(tmp_path, BY)
    (tmp_path / "confirm.json").write_text("{}")
    with pytest.raises(InputError, match=r"confirm\.json: must be what `confirm` wrote"):
        compared(tmp_path, BY)


def test_a_score_with_a_floor_is_compared_by_each_of_its_parts(tmp_path: Path) -> None:
    study = {**GRID, "objective": {"rule": "floor", "precision_form": "tpfp_auc"}}
    made = Made(tmp_path, study)
    for replicate in range(3):
        for site, gain in (("input", 1.0), ("stage4", 2.0)):
            made.trial({SITE: site}, replicate, gain)
    told = compared(tmp_path, BY)
    assert [answer.figure for answer in told.answers] == ["lwlrap", "tpfp_auc"]
    assert told.answers[1].differences[0] == pytest.approx(made.metrics[1]["tpfp_auc"] - made.metrics[0]["tpfp_auc"])


def test_tables_and_json_hold_what_the_sentences_say(tmp_path: Path) -> None:
    grid(tmp_path, {"input": 1.0, "stage4": 2.0}, sites=15)
    told = compared(tmp_path, BY)
    (row,) = results(told).rows
    assert row[0] == "stage4 − input"
    assert row[-1] == "better"
    assert "new sites" in results(told).headers
    plain = json.loads(json.dumps(told.as_dict(), allow_nan=False))
    assert plain["answers"][0]["word"] == "better"
    assert plain["answers"][0]["species"][0]["species"] == 2
    assert verdicts(told)[0] in as_markdown(told)


def test_replicates_that_could_have_seen_nothing_are_said_to(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for replicate, gain in enumerate((1.5, 0.5)):  # two of five, judged at less than 0.1 %
        made.trial({SITE: "input"}, replicate, 1.0, origin="search" if replicate else "baseline")
        made.trial({SITE: "stage4"}, replicate, gain)
    (said,) = verdicts(compared(tmp_path, BY))
    assert said.endswith(
        "With 2 replicates no difference can be found, however large (80 % power). The 5 declared replicates may "
        "settle it."
    )


def test_two_replicates_tell_too_little_to_say_how_many_would_settle_it(tmp_path: Path) -> None:
    made = Made(tmp_path, {**GRID, "search": {**GRID["search"], "replicates": 2}})
    for replicate, gain in enumerate((1.6, 1.4)):
        made.trial({SITE: "input"}, replicate, 1.5, origin="search" if replicate else "baseline")
        made.trial({SITE: "stage4"}, replicate, gain)
    told = compared(tmp_path, BY)
    assert only(told).plan is not None
    (said,) = verdicts(told)
    assert said.endswith("can be found (80 % power).") or said.endswith("however large (80 % power).")


def test_where_recordings_differ_too_much_more_of_them_are_asked_for(tmp_path: Path) -> None:
    grid(tmp_path, {"input": 1.0, "stage4": 1.0})
    told = compared(tmp_path, BY)
    answer = replace(
        only(told),
        word="not known yet",
        new=Evidence(0.004, 0.003**2, 20),
        interval=(-0.002, 0.01),
        detectable=0.009,
        plan=Plan(0.005, 12, 3),
    )
    (said,) = verdicts(replace(told, answers=(answer,)))
    assert said.endswith(
        "A difference of 0.005 is too small for these recordings, however many replicates are run: it takes about 3 "
        "times as many recordings, and 12 replicates."
    )


def test_after_a_second_choice_the_newest_of_each_arm_is_compared(tmp_path: Path) -> None:
    made = Made(tmp_path, {**GRID, "nuisance": {THRESHOLD: {"low": 0.3, "high": 0.95}}})
    settings = [("input", 0.5), ("stage4", 0.9), ("stage4", 0.6)]
    made.confirm([(f"{site} {one}", {SITE: site, THRESHOLD: one}, False) for site, one in settings], [1, 2, 3], [])
    for replicate in (1, 2, 3):
        for place, (site, one) in enumerate(settings):
            made.trial({SITE: site, THRESHOLD: one}, replicate, (0.5, 3.0, 0.1)[place], origin="confirm")
    with pytest.raises(InputError, match="there are several"):
        compared(tmp_path, BY)
    path = tmp_path / "confirm.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "arms": [{**arm, "by": SITE} for arm in told["arms"]]}))
    (answer,) = compared(tmp_path, BY).answers
    assert answer.names == ("input", "stage4")
    assert answer.word == "better"


def test_no_pair_gets_a_look_that_is_not_counted(tmp_path: Path) -> None:
    """Two arms are whole and one has failed in a replicate: it is judged with the others, and once it has ended."""
    made = confirmed(tmp_path, [3, 4, 5, 6, 7], [])
    made.confirm(ARMS, [3, 4, 5, 6, 7, 8], [])
    for (_, params, _), state in zip(ARMS, ("COMPLETE", "COMPLETE", "FAILED"), strict=True):
        made.trial(params, 8, 1.0, state=state, origin="confirm")
    first = compared(tmp_path, Question())
    assert [list(answer.differences) for answer in first.answers] == [[3, 4, 5, 6, 7]] * 2
    assert [answer.left_out[8] for answer in first.answers] == ["not over in every arm", "stage4: failed"]
    assert first.look is not None
    assert (first.look.seen, first.look.final) == (5, False)
    made.trial(ARMS[2][1], 8, 2.0, origin="confirm")
    last = compared(tmp_path, Question())
    assert [len(answer.differences) for answer in last.answers] == [6, 6]
    assert last.look is not None
    assert (last.look.seen, last.look.final) == (6, True)
    assert last.look.level < 0.05
    assert last.total == pytest.approx(0.05)


def test_confirmations_that_failed_leave_the_look_open_since_they_are_run_again(tmp_path: Path) -> None:
    made = confirmed(tmp_path, [3, 4, 5], [])
    made.confirm(ARMS, [3, 4, 5, 6], [])
    for _, params, first in ARMS:
        made.trial(params, 6, 1.0, state="COMPLETE" if first else "FAILED", origin="confirm")
    told = compared(tmp_path, Question())
    assert told.look is not None
    assert (told.look.seen, told.look.final) == (3, False)


def test_pairs_that_differ_in_species_are_named_each_and_the_others_together(tmp_path: Path) -> None:
    grid(tmp_path, {"input": 1.0, "stage3": 1.0, "none": 1.0, "stage4": 6.0})
    told = all_of(compared(tmp_path, BY))
    (apart,) = [line for line in told if "differ in species" in line]
    assert re.fullmatch(
        r"stage4 and input differ in species (\d by \+0\.\d{3} \(p = \S+\)(; )?)+: average precision of recordings, "
        r"3 species, after Holm's correction over them\.",
        apart,
    )
    assert (
        "stage3 and input, none and input can be told apart in no single species: average precision of recordings, "
        "3 species, after Holm's correction over them."
    ) in told
