"""Arms over their replicates: means, intervals and paired differences by hand, and what the sentences claim."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_study import STUDY, ended, epoch, started, write
from rich.console import Console
from scipy import stats

from rfcx_model.errors import InputError
from study import arms_sentences, arms_tables, report, truth_table
from study.arms import FIGURES, Comparison, Estimate, compare, difference, estimate, holm
from study.truth_table import Judged

SITE, THRESHOLD, DECAY = "stage3.mixup_site", "stage3.pseudo_threshold", "stage3.positive_weight_decay"
EARLY, LATE = "pseudo 0.9 + focal", "pseudo 0.5 + focal + positive decay"
ARMS: list[dict[str, Any]] = [
    {"regime": regime, "params": {SITE: site, THRESHOLD: threshold, DECAY: decay}, "published": published}
    for regime, site, threshold, decay, published in (
        (EARLY, "input", 0.9, False, {"cv": 0.9392, "precision": 0.4406, "leaderboard": 0.912}),
        (EARLY, "stage4", 0.9, False, {"cv": 0.9434, "precision": 0.4375, "leaderboard": 0.907}),
        (LATE, "input", 0.5, True, {"cv": 0.9590}),
        (LATE, "stage4", 0.5, True, {}),
    )
]
LISTED = {
    **{key: value for key, value in STUDY.items() if key not in ("knobs", "baseline")},
    "scientific": {SITE: {"choices": ["input", "stage4"]}, THRESHOLD: {"choices": [0.9, 0.5]}},
    "search": {"sampler": "grid", "folds": 3, "seed": 0, "replicates": 3},
    "arms": ARMS,
}
FIRST = (0.60, 0.70, 0.65)
SECOND = (0.63, 0.72, 0.69)


@dataclass
class Told:
    """Events of a study of `LISTED` arms, added trial by trial."""

    events: list[dict[str, Any]] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)

    def trial(self, arm: int, replicate: int, lwlrap: float, state: str = "COMPLETE", origin: str = "search") -> Told:
        """One trial: precision 0.1 below LWLRAP, the run's own labels 0.2 above, the hidden truth 0.05 below."""
        number = len({event["trial"] for event in self.events})
        metrics: dict[str, float | None] = {"lwlrap": lwlrap, "precision": lwlrap - 0.1, "recall": 0.5}
        metrics |= {"diary_lwlrap": lwlrap + 0.2, "diary_precision": 0.4, "score": lwlrap}
        begin = started(number, 10.0 * number, ARMS[arm]["params"], origin)
        self.events += [begin | {"replicate": replicate}, epoch(number, 1, 10.0 * number + 1, metrics)]
        if state != "RUNNING":
            self.events.append(ended(number, 10.0 * number + 2, state, lwlrap))
        if state == "COMPLETE":
            self.judged.append(Judged(number, lwlrap - 0.05, lwlrap + 0.03))
        return self

    def compared(self, folder: Path, *, truth: bool = True, **facts: Any) -> Comparison:
        write(folder, {**LISTED, **facts}, self.events)
        if truth:
            truth_table.write(folder, self.judged)
        return compare(folder)


def whole() -> Told:
    """Three replicates of four arms; the late regime's site makes a large and steady difference."""
    told = Told()
    for replicate in range(3):
        told.trial(0, replicate, FIRST[replicate]).trial(1, replicate, SECOND[replicate])
        told.trial(2, replicate, 0.6 + 0.01 * replicate).trial(3, replicate, 0.7 + 0.0101 * replicate)
    return told


def test_an_arm_s_mean_and_interval_are_those_of_students_t_by_hand(tmp_path: Path) -> None:
    told = whole().compared(tmp_path)
    one = told.arms[0].estimate("lwlrap")
    deviation = math.sqrt((0.05**2 + 0.05**2 + 0.0) / 2)
    half = 4.302653 * deviation / math.sqrt(3)  # t(0.975, 2 degrees of freedom), from a printed table
    assert one.n == 3
    assert one.mean == pytest.approx(0.65)
    assert [one.low, one.high] == pytest.approx([0.65 - half, 0.65 + half], abs=1e-6)
    means = {name: told.arms[0].estimate(name).mean for name in FIGURES}
    assert means == pytest.approx(
        {
            "lwlrap": 0.65,
            "precision": 0.55,
            "recall": 0.5,
            "score": 0.65,
            "diary_lwlrap": 0.85,
            "diary_precision": 0.4,
            "test_lwlrap": 0.60,
            "train_truth_lwlrap": 0.68,
        }
    )


def test_a_figure_of_fewer_replicates_than_its_row_says_so_and_the_rulers_share_theirs(tmp_path: Path) -> None:
    told = whole()
    told.judged = [one for one in told.judged if one.trial < 8]  # the truth has not seen the third replicate
    compared = told.compared(tmp_path)
    assert arms_tables.results(compared).rows[0][-4] == "0.600 ± 0.635 (n 2)"
    assert arms_tables.ruler(compared).rows[0][3:6] == (
        "0.850 ± 0.635 (n 2)",
        "0.650 ± 0.635 (n 2)",
        "0.680 ± 0.635 (n 2)",
    )
    assert arms_tables.differences(compared).rows[0][-4].endswith("(n 2)")
    said = " ".join(arms_sentences.on_record(compared))
    assert f"Not yet judged by the truth: {EARLY}, input 1 of 3; " in said
    assert "Call `rfcx-study truth` again." in said


def test_what_leaks_is_not_tested_out_of_fold(tmp_path: Path) -> None:
    fixed = {**LISTED["fixed"], "stage3.teacher_scheme": "diary"}
    compared = whole().compared(tmp_path, fixed=fixed)
    assert all(arm.leaky for arm in compared.arms)
    for pair in compared.pairs:
        assert pair.differences["lwlrap"].p_value is pair.differences["precision"].p_value is None
        assert pair.differences["test_lwlrap"].p_value is not None
    head, first, _ = arms_sentences.answer(compared)
    assert "LWLRAP out of fold: not tested, leaky (last layer +0.030 " in first
    assert "of 2 differences" in head.lower()


def test_the_same_difference_each_time_is_told_but_not_tested(tmp_path: Path) -> None:
    told = Told()
    for replicate in range(2):
        told.trial(0, replicate, 0.5 + 0.1 * replicate).trial(1, replicate, 0.75 + 0.1 * replicate)
    compared = told.compared(tmp_path)
    assert compared.pairs[0].differences["lwlrap"].p_value is None
    assert "not tested, the same in each replicate (last layer +0.250" in arms_sentences.answer(compared)[0]


def test_labels_that_a_model_makes_from_batch_to_batch_are_no_ruler(tmp_path: Path) -> None:
    fixed = {**LISTED["fixed"], "stage1.pseudo_threshold": 0.7, "stage2.epochs": 0, "stage3.epochs": 0}
    compared = whole().compared(tmp_path, fixed=fixed)
    assert not compared.has("diary_lwlrap")
    assert arms_sentences.ruler(compared) == []


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=9))
def test_intervals_are_scipy_s(thousandths: list[int]) -> None:
    values = [value / 1000 for value in thousandths]
    one = estimate(values)
    error = stats.sem(values)
    if len(set(values)) == 1:
        assert one.half == pytest.approx(0, abs=1e-12)
        return
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error)
    assert [one.low, one.high] == pytest.approx([low, high], abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=9))
def test_paired_differences_are_scipy_s(pairs: list[tuple[float, float]]) -> None:
    first, second = ({k: pair[side] for k, pair in enumerate(pairs)} for side in (0, 1))
    differences = [b - a for a, b in pairs]
    if np.std(differences) < 1e-6:
        return
    one, expected = difference(first, second), stats.ttest_rel(list(second.values()), list(first.values()))
    interval = expected.confidence_interval(0.95)
    assert one.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert [one.estimate.low, one.estimate.high] == pytest.approx([interval.low, interval.high], abs=1e-9)


def test_differences_are_paired_by_replicate_and_not_by_order() -> None:
    one = difference({0: 0.1, 1: 0.5, 7: 0.9}, {7: 1.0, 1: 0.6, 3: 0.2})
    assert one.estimate.n == 2
    assert one.estimate.mean == pytest.approx(0.1)


def test_no_difference_at_all_and_the_same_one_each_time() -> None:
    assert difference({0: 0.5, 1: 0.5}, {0: 0.5, 1: 0.5}).p_value == 1
    assert difference({0: 0.5, 1: 0.5}, {0: 0.75, 1: 0.75}).p_value is None
    assert difference({0: 0.1, 1: 0.7}, {0: 0.1 + 0.2, 1: 0.7 + 0.2}).p_value is None  # but for rounding
    assert difference({0: 0.5}, {0: 0.75}).p_value is None
    assert difference({0: 0.5}, {1: 0.75}).estimate == Estimate(0, None, None, None)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_lies_between_the_p_value_and_bonferroni_s(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for p, one in zip(p_values, corrected, strict=True):
        assert p <= one <= min(1.0, len(p_values) * p)
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


def test_a_pair_is_the_last_layer_less_the_input_and_is_said_so(tmp_path: Path) -> None:
    told = whole().compared(tmp_path)
    assert [(pair.regime, pair.first.site, pair.second.site, pair.also) for pair in told.pairs] == [
        (EARLY, "input", "stage4", ()),
        (LATE, "input", "stage4", ()),
    ]
    early, late = (pair.differences["test_lwlrap"] for pair in told.pairs)
    assert early.estimate.mean == pytest.approx(0.03)
    assert early.p_value == pytest.approx(stats.ttest_rel(SECOND, FIRST).pvalue)
    assert early.holm == early.p_value  # the larger of two
    assert late.holm == pytest.approx(2 * (late.p_value or 0))
    head, first, second = arms_sentences.answer(told)
    assert head.startswith("Of 6 differences between mixup sites, in 2 pairs of arms, ")
    assert f"{EARLY} (LWLRAP on the hidden truth)" in head
    assert first.startswith(
        f"{EARLY}: LWLRAP on the hidden truth: last layer higher than input by 0.030 ([+0.005, +0.055], 3 replicates; "
        "stands after Holm's correction, p = 0.035)"
    )
    assert second.startswith(f"{LATE}: LWLRAP on the hidden truth: last layer higher than input by 0.100")
    assert any("6 differences are tested" in line for line in arms_sentences.limits(told))
    assert any("do not cover new recordings" in line for line in arms_sentences.limits(told))


def test_what_the_interval_leaves_open_is_not_called_a_difference(tmp_path: Path) -> None:
    told = Told()
    for replicate, (first, second) in enumerate(((0.6, 0.7), (0.7, 0.65), (0.65, 0.66))):
        told.trial(0, replicate, first).trial(1, replicate, second)
    head, said, *_ = arms_sentences.answer(told.compared(tmp_path))
    assert "of 3 differences in 2 pairs of arms none stands" in head
    assert said.count("cannot be told apart yet (last layer +0.020 [−0.168, +0.208], 3 replicates)") == 3
    assert "higher" not in said


def test_a_difference_that_the_correction_takes_away_is_said_to_be_taken(tmp_path: Path) -> None:
    told = Told()
    for replicate in range(3):
        told.trial(0, replicate, FIRST[replicate]).trial(1, replicate, SECOND[replicate])
        told.trial(2, replicate, 0.6).trial(3, replicate, 0.6 + 0.1 * (replicate - 1))
    compared = told.compared(tmp_path)
    one = compared.pairs[0].differences["lwlrap"]
    assert one.told_apart
    assert not one.stands
    head, said, *_ = arms_sentences.answer(compared)
    assert head.startswith("Mixup sites cannot be told apart yet: of 6 differences in 2 pairs of arms none stands")
    assert "last layer higher than input by 0.030 ([+0.005, +0.055], 3 replicates; does not stand after Holm" in said
    assert arms_tables.differences(compared).rows[0][3] == "+0.030 ± 0.025*"


def test_one_replicate_has_a_value_and_no_interval(tmp_path: Path) -> None:
    told = Told().trial(0, 0, 0.6).trial(1, 0, 0.7).compared(tmp_path)
    assert told.arms[0].estimate("lwlrap") == Estimate(1, 0.6, None, None)
    assert arms_tables.results(told).rows[0][3] == "0.600"
    assert "cannot be told apart from one replicate (last layer +0.100)" in arms_sentences.answer(told)[0]
    assert arms_sentences.limits(told) == [
        "One replicate gives no interval; nothing is known of how much the next one would differ."
    ]
    assert told.comparisons == 0


def test_an_arm_without_a_trial_and_a_failed_one_keep_their_rows_and_are_said(tmp_path: Path) -> None:
    told = Told().trial(0, 0, 0.6).trial(0, 1, 0.7, "FAILED").trial(1, 0, 0.8, "RUNNING").compared(tmp_path)
    table = arms_tables.results(told)
    assert [row[:4] for row in table.rows] == [
        (EARLY, "input", "1", "0.600"),
        (EARLY, "stage4", "0", "–"),
        (LATE, "input", "0", "–"),
        (LATE, "stage4", "0", "–"),
    ]
    assert arms_sentences.on_record(told) == [
        f"Replicates finished: {EARLY}, input 1 of 3 (1 failed); {EARLY}, stage4 0 of 3 (1 running); "
        f"{LATE}, input 0 of 3; {LATE}, stage4 0 of 3."
    ]
    assert "no replicate has both sites" in arms_sentences.answer(told)[0]


def test_no_trial_at_all_can_be_shown(tmp_path: Path) -> None:
    told = Told().compared(tmp_path, truth=False)
    assert arms_sentences.answer(told) == ["No arm has a finished replicate, so nothing can be said yet."]
    assert shown(told)


def test_confirmations_and_trials_of_no_arm_are_left_out(tmp_path: Path) -> None:
    told = Told().trial(0, 0, 0.6).trial(0, 1, 0.9, origin="confirm")
    told.events[0]["config"]["stage1.epochs"] = 99  # no knob of an arm
    other = started(2, 90.0, {**ARMS[0]["params"], THRESHOLD: 0.7})
    told.events += [other, epoch(2, 1, 91.0, {"lwlrap": 0.1}), ended(2, 92.0, "COMPLETE", 0.1)]
    assert told.compared(tmp_path).arms[0].values["lwlrap"] == {0: 0.6}


def test_a_score_that_is_not_a_number_is_left_out(tmp_path: Path) -> None:
    told = Told().trial(0, 0, 0.6).trial(0, 1, 0.7)
    told.events[1]["metrics"]["precision"] = None
    assert told.compared(tmp_path).arms[0].values["precision"] == {1: pytest.approx(0.6)}


@pytest.mark.parametrize(
    ("fixed", "leaky"),
    [
        ({"stage3.teacher_scheme": "diary"}, True),
        ({"stage3.teacher_scheme": "own"}, False),
        ({"stage3.teacher_scheme": "diary", "stage3.epochs": 0}, False),
    ],
)
def test_pseudo_labels_by_the_diary_s_teachers_are_marked_leaky(
    tmp_path: Path, fixed: dict[str, Any], leaky: bool
) -> None:
    told = Told().trial(0, 0, 0.6).compared(tmp_path, fixed=fixed)
    assert {arm.leaky for arm in told.arms} == {leaky}
    assert (arms_tables.results(told).rows[0][0] == f"{EARLY} (leaky)") is leaky
    assert any(line.startswith("Leaky: ") for line in arms_sentences.on_record(told)) is leaky


def test_without_pseudo_labels_nothing_leaks(tmp_path: Path) -> None:
    arms = [{**ARMS[0], "params": {**ARMS[0]["params"], THRESHOLD: 1.0}}]
    told = Told().compared(tmp_path, fixed={"stage3.teacher_scheme": "diary"}, arms=arms)
    assert not told.arms[0].leaky


def test_a_pair_that_differs_in_more_than_the_site_is_called_what_it_is(tmp_path: Path) -> None:
    arms = [{**ARMS[0], "regime": LATE}, {**ARMS[3], "regime": LATE}]
    told = Told().trial(0, 0, 0.6).trial(3, 0, 0.7).compared(tmp_path, arms=arms)
    assert told.pairs[0].also == (THRESHOLD, DECAY)
    assert f"The two arms differ in {THRESHOLD}, {DECAY} as well" in arms_sentences.answer(told)[0]


def test_published_figures_stand_beside_and_are_empty_where_there_is_none(tmp_path: Path) -> None:
    told = whole().compared(tmp_path)
    table = arms_tables.results(told)
    assert table.headers[-3:] == ("publ. CV", "publ. prec.", "publ. LB")
    assert [row[-3:] for row in table.rows] == [
        ("0.9392", "0.4406", "0.912"),
        ("0.9434", "0.4375", "0.907"),
        ("0.959", "", ""),
        ("", "", ""),
    ]
    assert arms_tables.differences(told).rows[0][-3:] == ("+0.0042", "−0.0031", "−0.0050")
    assert arms_tables.differences(told).rows[1][-3:] == ("", "", "")


def test_the_moving_ruler_is_shown_with_the_truth_where_there_is_one(tmp_path: Path) -> None:
    told = whole().compared(tmp_path)
    assert arms_tables.ruler(told).headers[3:6] == ("own labels (the diary's ruler)", "listed labels", "truth")
    assert [cell[:5] for cell in arms_tables.ruler(told).rows[0][3:6]] == ["0.850", "0.650", "0.680"]
    said = arms_sentences.ruler(told)[-1]
    assert "LWLRAP is 0.810 against its own labels, 0.610 against the listed labels, 0.640 against the truth" in said
    (tmp_path / "truth.csv").unlink()
    blind = compare(tmp_path)
    assert arms_tables.ruler(blind).headers[3:] == ("own labels (the diary's ruler)", "listed labels", "publ. CV")
    assert "test LWLRAP" not in arms_tables.results(blind).headers
    assert "hidden truth:" not in " ".join(arms_sentences.answer(blind))


def shown(told: Comparison) -> str:
    text = io.StringIO()
    arms_tables.show(told, Console(file=text, width=120, highlight=False))
    return text.getvalue()


def test_the_tables_fit_120_columns_whole(tmp_path: Path) -> None:
    text = shown(whole().compared(tmp_path))
    assert max(map(len, text.splitlines())) <= 120
    assert "…" not in text
    for cell in ("0.650 ± 0.124", "+0.030 ± 0.025**", "0.9392", "−0.0050", "publ. prec."):
        assert cell in text


def test_markdown_has_every_row_and_names_every_regime(tmp_path: Path) -> None:
    text = arms_tables.as_markdown(whole().compared(tmp_path))
    assert f"| {EARLY} | stage4 | 3 | 0.680 ± 0.114 |" in text
    assert text.count(f"| {EARLY} |") == 2 + 1 + 2
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {len(arms_tables.results(whole().compared(tmp_path)).headers) + 1, 10, 8}


def test_json_holds_every_value_and_estimate(tmp_path: Path) -> None:
    told = json.loads(json.dumps(whole().compared(tmp_path).as_dict(), allow_nan=False))
    assert told["arms"][1]["values"]["lwlrap"] == {"0": 0.63, "1": 0.72, "2": 0.69}
    assert told["arms"][1]["estimates"]["lwlrap"]["n"] == 3
    assert told["pairs"][0]["differences"]["lwlrap"]["estimate"]["mean"] == pytest.approx(0.03)


def test_a_study_that_lists_no_arms_is_refused(tmp_path: Path) -> None:
    write(tmp_path, STUDY, [])
    with pytest.raises(InputError, match=r"the study lists no arms. Give one whose space has \[\[arm\]\]"):
        compare(tmp_path)


def test_the_report_compares_listed_arms_as_they_stand_and_not_by_knob(tmp_path: Path) -> None:
    told = whole().compared(tmp_path)
    html, markdown = report.write(tmp_path)
    text = markdown.read_text()
    for table in (arms_tables.results(told), arms_tables.differences(told), arms_tables.ruler(told)):
        for row in table.rows:
            assert f"| {' | '.join(row)} |" in text
            assert row[3] in html.read_text()
    assert arms_sentences.answer(told)[1] in text
    assert "Arms of stage3" not in text
    assert "## Slices" not in text
    for title in ("Answer", "Arms", "Cost", "History", "Every trial", "Search space", "Data and versions"):
        assert text.count(f"\n## {title}\n") == 1
