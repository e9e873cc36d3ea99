from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_replicates import Made
from made_scores import leave_scores
from made_study import SITES, STUDY, ended, epoch, make_study, started, write
from matplotlib.cbook import STEP_LOOKUP_MAP

from rfcx_model.errors import InputError
from study import figures, report, sentences, tables
from study.confirmed_section import Confirmed
from study.facts import Row, finite, pareto_front, running_best, short_names, shown
from study.page import MARKDOWN, render
from study.section import confirmation_section
from study.study_json import active_values, searched_knobs

SITE, ALPHA = "stage3.mixup_site", "stage3.mixup_alpha"


def _row(number: int, x: float = 0.0, y: float = 0.0) -> Row:
    metrics = {"lwlrap": x, "precision": y}
    return Row(number, "search", "COMPLETE", x, None, metrics, {}, "", 1, "", float(number))


def _finished(number: int, site: str, score: float | None, origin: str = "search") -> list[dict[str, Any]]:
    at = 100.0 * number
    metrics = {"lwlrap": score, "precision": score, "score": score, "seconds": 1.0}
    return [
        started(number, at, {SITE: site}, origin),
        epoch(number, 1, at + 1, metrics),
        ended(number, at + 2, "COMPLETE", score),
    ]


class _Page(HTMLParser):
    """The tags, attributes and visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_report_tells_the_best_trial_and_its_difference_from_the_baseline(tmp_path: Path) -> None:
    events = [*_finished(0, "input", 0.5, "baseline"), *_finished(1, "stage4", 0.625), *_finished(2, "none", 0.25)]
    write(tmp_path, STUDY, events)
    told = report.facts(tmp_path)
    assert [row.number for row in told.ranked] == [1, 0, 2]
    assert [row.difference for row in told.ranked] == [0.125, None, -0.25]
    _html, markdown = report.write(tmp_path)
    text = markdown.read_text()
    assert "trial 1 (site=stage4), with a score of 0.6250: +0.1250 against the baseline's 0.5000" in text
    assert "−0.2500" in text
    assert "By `stage3.mixup_site`: `stage4` 0.6250 (best of 1), `input` 0.5000 (best of 1)" in text


def test_the_html_is_one_file_that_asks_for_nothing_else(tmp_path: Path) -> None:
    html, _markdown = report.write(make_study(tmp_path))
    page = _Page(html.read_text())
    assert {"script", "link", "iframe", "object"}.isdisjoint(page.tags)
    assert all(address.startswith(("#", "data:image/svg+xml;base64,")) for address in page.addresses)
    figures = [address for address in page.addresses if address.startswith("data:")]
    assert len(figures) == 9  # history, trade-off, importance, four slices, parallel coordinates, pruning
    for figure in figures:
        svg = base64.b64decode(figure.partition(",")[2]).decode()
        assert svg.rstrip().endswith("</svg>")
    assert page.tags.count("details") >= len(figures)


def test_html_and_markdown_tell_the_same_numbers(tmp_path: Path) -> None:
    html, markdown = report.write(make_study(tmp_path))
    number = re.compile(r"\b\d\.\d{4}\b")
    in_page = number.findall(" ".join(_Page(html.read_text()).words))
    assert sorted(in_page) == sorted(number.findall(markdown.read_text()))
    assert len(in_page) > 100


def test_names_with_html_or_mathematics_in_them_are_shown_as_they_are(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>|$\\frac{1$"
    study = {
        **STUDY,
        "name": evil,
        "question": evil,
        "commit": evil,
        "data": {evil: evil},
        "knobs": [{"name": "network.backbone", "role": "scientific", "distribution": {"choices": ["a", evil]}}],
    }
    events = []
    for number in range(10):
        begin = {**started(number, float(number), {"network.backbone": evil if number % 2 else "a"})}
        events += [begin, epoch(number, 1, number + 0.1, {"lwlrap": number / 10, "precision": 0.5})]
        events.append(ended(number, number + 0.5, "COMPLETE", number / 10))
    events += [started(10, 20.0, {"network.backbone": "a"}), ended(10, 21.0, "FAILED", None, evil)]
    write(tmp_path, study, events)
    html, markdown = report.write(tmp_path)
    page = _Page(html.read_text())
    assert "script" not in page.tags
    assert evil in " ".join(page.words)
    assert "<script" not in markdown.read_text()


def test_markup_in_names_is_text_in_both_files(tmp_path: Path) -> None:
    evil = "`a` <b>x</b> | ![i](http://example.org/i.png) **b**"
    knobs = [{"name": "network.backbone", "role": "scientific", "distribution": {"choices": ["a", evil]}}]
    study = {**STUDY, "name": evil, "question": f"# {evil}", "command": evil, "knobs": knobs}
    events = []
    for number in range(3):
        events += [started(number, float(number), {"network.backbone": evil if number else "a"})]
        events += [epoch(number, 1, number + 0.1, {"lwlrap": 0.5, "precision": 0.5, "score": 0.5 + number})]
        events += [ended(number, number + 0.5, "COMPLETE", 0.5 + number)]
    write(tmp_path, study, events)
    html, markdown = report.write(tmp_path)
    page, text = _Page(html.read_text()), markdown.read_text()
    assert "b" not in page.tags
    assert all(address.startswith(("#", "data:image/svg+xml;base64,")) for address in page.addresses)
    assert evil in page.words
    assert "<" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"(?<!\\)\*\*b", text)
    rows = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(rows) > 5
    for table in rows:
        assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1


def test_the_confirmation_stands_right_after_the_answer(tmp_path: Path) -> None:
    write(tmp_path, STUDY, [*_finished(0, "input", 0.5, "baseline"), *_finished(1, "stage4", 0.9, "confirm")])
    told = report.facts(tmp_path)
    assert [part.title for part in report.sections(told)][:3] == ["Answer", "Confirmation", "Cost"]
    assert "1 confirmation trial is on record" in report.sections(told)[1].sentences[0]
    differences = tables.Table(("arm", "difference"), (("a", "0.1"),))
    section = confirmation_section(["Better."], [("Differences", differences)])
    parts = report.sections(told, confirmed=Confirmed(section, ("Better.",)))
    assert parts[0].sentences[0] == "Better."
    assert [part.title for part in parts].count("Confirmation") == 1
    text = render(MARKDOWN, report.page(told), parts)
    assert "## Confirmation\n\nBetter.\n\n### Differences\n\n| arm | difference |\n| --- | ---: |\n| a | 0.1 |" in text


def test_without_a_confirmation_the_report_says_so(tmp_path: Path) -> None:
    write(tmp_path, STUDY, _finished(0, "input", 0.5, "baseline"))
    _html, markdown = report.write(tmp_path)
    assert "Nothing is confirmed yet" in markdown.read_text().partition("## Cost")[0]


def test_one_replicate_is_said_to_be_one(tmp_path: Path) -> None:
    events = [*_finished(0, "input", 0.5, "baseline"), *_finished(1, "none", 0.6)]
    write(tmp_path / "one", STUDY, events)
    again = [{**event, "replicate": 1} if event["trial"] == 1 and "seed" in event else event for event in events]
    write(tmp_path / "two", STUDY, again)
    said = ["one replicate" in " ".join(sentences.verdict(report.facts(tmp_path / name))) for name in ("one", "two")]
    assert said == [True, False]


def test_every_figure_has_its_numbers_in_a_table(tmp_path: Path) -> None:
    told = report.facts(make_study(tmp_path))
    drawn = [exhibit for part in report.sections(told) for exhibit in part.exhibits if exhibit.figure]
    assert len(drawn) == 9
    assert all(exhibit.table.rows for exhibit in drawn)


def test_precision_by_species_is_in_the_report_where_the_scores_are(tmp_path: Path) -> None:
    make_study(tmp_path, 4)
    leave_scores(tmp_path, {0: 0.5, 1: 1.0, 2: 1.0, 3: 1.0}, species=5)
    _html, markdown = report.write(tmp_path)
    assert "| species | TP boxes | FP boxes | trial 2 | baseline | difference |" in markdown.read_text()


def test_a_best_trial_that_tells_no_recordings_apart_comes_before_any_answer(tmp_path: Path) -> None:
    for gain, place in ((2.0, -1), (0.0, 0)):
        made = Made(tmp_path / str(gain))
        made.trial({SITE: "input"}, 0, gain, origin="baseline")
        markdown = report.write(made.folder)[1].read_text()
        answer = markdown.split("## Answer\n\n")[1].split("\n\n## ")[0].split("\n\n")
        assert answer[place].startswith("Trial 0, the best, " + ("tells recordings" if gain else "has not been shown"))
        assert sum(line.startswith("Trial 0, the best, ") for line in answer) == 1


def test_a_knob_that_never_varied_is_named(tmp_path: Path) -> None:
    events = []
    for number in range(9):
        events += [started(number, 9.0 * number, {SITE: SITES[number % 4], "stage3.focal_gamma": 2.0})]
        events += [epoch(number, 1, 9.0 * number + 1, {"score": number / 10})]
        events += [ended(number, 9.0 * number + 2, "COMPLETE", number / 10)]
    write(tmp_path, STUDY, events)
    _html, markdown = report.write(tmp_path)
    assert "`stage3.focal_gamma` (took one value only)" in markdown.read_text()


@pytest.mark.parametrize("key", [key for key in STUDY if key != "name"])
def test_any_key_of_study_json_may_be_missing_or_of_another_kind(tmp_path: Path, key: str) -> None:
    write(tmp_path, STUDY, [*_finished(0, "input", 0.5, "baseline"), *_finished(1, "none", 0.6)])
    for study in (
        {name: value for name, value in STUDY.items() if name != key},
        {**STUDY, key: 5},
        {**STUDY, key: "x"},
    ):
        (tmp_path / "study.json").write_text(json.dumps(study))
        told = report.facts(tmp_path)
        assert [row.number for row in told.ranked] == [1, 0]
        assert tables.provenance(told).rows
        assert tables.cost(told).rows


@pytest.mark.parametrize("lost", ["name", "role", "distribution", "when"])
def test_a_knob_of_which_little_is_on_record_is_shown_as_far_as_it_goes(tmp_path: Path, lost: str) -> None:
    knobs = [{key: value for key, value in knob.items() if key != lost} for knob in STUDY["knobs"]]
    write(tmp_path, {**STUDY, "knobs": knobs}, [*_finished(0, "input", 0.5, "baseline"), *_finished(1, "none", 0.6)])
    _html, markdown = report.write(tmp_path)
    assert "with a score of 0.6000" in markdown.read_text()


@pytest.mark.parametrize("study", [{"name": "bare"}, {}, {"name": None, "knobs": None, "data": None, "versions": None}])
def test_a_study_json_with_nothing_but_a_name_still_gives_a_report(tmp_path: Path, study: dict[str, Any]) -> None:
    write(tmp_path, study, _finished(0, "input", 0.5, "baseline"))
    _html, markdown = report.write(tmp_path)
    text = markdown.read_text()
    assert "The question is not on record." in text
    assert "| commit | not known |" in text


def test_a_study_without_a_ledger_says_that_nothing_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"name": "new"}))
    _html, markdown = report.write(tmp_path)
    assert "No trial is on record yet, so nothing can be said." in markdown.read_text()


def test_a_study_with_no_finished_trial_says_what_is_on_record(tmp_path: Path) -> None:
    running = [started(0, 1.0, {SITE: "input"}, "baseline"), epoch(0, 1, 2.0, {"score": 0.9, "lwlrap": 0.9})]
    write(tmp_path, STUDY, [*running, started(1, 3.0, {SITE: "none"}), ended(1, 4.0, "FAILED", None, "out of memory")])
    _html, markdown = report.write(tmp_path)
    text = markdown.read_text()
    assert "No trial has finished with a score" in text
    assert "1 failed, 1 running or interrupted" in text
    assert "| out of memory | 1 | 1 |" in text


def test_a_study_with_one_arm_says_that_arms_cannot_be_compared(tmp_path: Path) -> None:
    write(tmp_path, STUDY, [*_finished(0, "input", 0.5, "baseline"), *_finished(1, "input", 0.6)])
    _html, markdown = report.write(tmp_path)
    assert "only one arm has a finished trial (`input`), so arms cannot be compared" in markdown.read_text()


def test_a_score_that_is_not_a_number_is_named_and_left_out(tmp_path: Path) -> None:
    write(tmp_path, STUDY, [*_finished(0, "input", 0.5, "baseline"), *_finished(1, "stage4", None)])
    told = report.facts(tmp_path)
    assert [row.number for row in told.ranked] == [0]
    _html, markdown = report.write(tmp_path)
    assert "1 finished trial has no finite score (1) and is left out." in markdown.read_text()


def test_a_pruned_trial_is_never_among_the_best(tmp_path: Path) -> None:
    pruned = [started(1, 9.0, {SITE: "stage4"}), epoch(1, 1, 9.1, {"score": 0.99}), ended(1, 9.2, "PRUNED", 0.99)]
    write(tmp_path, STUDY, [*_finished(0, "input", 0.5, "baseline"), *pruned])
    told = report.facts(tmp_path)
    assert [row.number for row in told.ranked] == [0]
    assert {arm.value: (arm.finished, arm.pruned, arm.best) for arm in told.arms}["stage4"] == (0, 1, None)
    assert told.pruning.best_at_pruning == 0.99


def _leaky(number: int, site: str, score: float | None, origin: str = "search") -> list[dict[str, Any]]:
    begun, *others = _finished(number, site, score, origin)
    return [{**begun, "config": {**begun["config"], "stage3.teacher_scheme": "diary"}}, *others]


def test_a_leaky_trial_is_shown_and_never_ranked(tmp_path: Path) -> None:
    events = [*_finished(0, "input", 0.5, "baseline"), *_leaky(1, "stage4", 0.99), *_finished(2, "none", 0.25)]
    write(tmp_path, STUDY, events)
    told = report.facts(tmp_path)
    assert [row.number for row in told.ranked] == [0, 2]
    assert [row.number for row in told.leaky] == [1]
    assert [row.number for row in told.pareto] == [0]
    assert {arm.value: (arm.finished, arm.best) for arm in told.arms}["stage4"] == (0, None)
    assert told.rows[1].difference is None
    assert told.rows[1].label == "site=stage4 (leaky: teachers saw the held-out fold)"
    _html, markdown = report.write(tmp_path)
    text = markdown.read_text()
    assert "The best of 2 finished trials is the baseline itself" in text
    assert "1 finished trial is leaky (1): the teachers had trained on the fold that its score is measured on" in text
    assert "Leaky trials (1) are left out." in text
    assert "`stage4` 0.99" not in text
    last = [line for line in text.splitlines() if line.startswith("| 1 |")]
    assert len(last) == 1
    assert "leaky: teachers saw the held-out fold" in last[0]
    assert "0.9900" in last[0]


def test_a_study_of_leaky_trials_ranks_nothing_and_says_why(tmp_path: Path) -> None:
    write(tmp_path, STUDY, [*_leaky(0, "input", 0.5, "baseline"), *_leaky(1, "stage4", 0.6)])
    told = report.facts(tmp_path)
    assert told.ranked == told.pareto == ()
    assert [row.difference for row in told.rows] == [None, None]
    _html, markdown = report.write(tmp_path)
    text = markdown.read_text()
    assert "No trial has finished with a score to rank" in text
    assert "2 finished trials are leaky (0, 1)" in text
    assert "best of" not in text.partition("## Cost")[0]


def test_nothing_is_held_against_a_leaky_baseline(tmp_path: Path) -> None:
    write(tmp_path, STUDY, [*_leaky(0, "input", 0.9, "baseline"), *_finished(1, "stage4", 0.6)])
    assert [row.difference for row in report.facts(tmp_path).rows] == [None, None]
    _html, markdown = report.write(tmp_path)
    text = markdown.read_text()
    assert "The only finished trial is trial 1 (site=stage4), with a score of 0.6000. The baseline is leaky" in text
    assert "baseline (leaky: teachers saw the held-out fold)" in text


def test_pruning_counts_the_epochs_that_were_not_trained(tmp_path: Path) -> None:
    full = [started(0, 1.0, {SITE: "input"}, "baseline"), *(epoch(0, s, 1.0 + s, {"score": 0.5}) for s in range(1, 7))]
    short = [started(1, 20.0, {SITE: "none"}), epoch(1, 1, 21.0, {"score": 0.1}), epoch(1, 2, 22.0, {"score": 0.1})]
    write(tmp_path, STUDY, [*full, ended(0, 9.0, "COMPLETE", 0.5), *short, ended(1, 23.0, "PRUNED", 0.1)])
    told = report.facts(tmp_path)
    assert (told.pruning.pruned, told.pruning.full_epochs, told.pruning.epochs_saved) == (1, 6, 4)
    assert told.cost.epochs_trained == 8


def test_confirmation_trials_are_counted_but_not_ranked(tmp_path: Path) -> None:
    write(tmp_path, STUDY, [*_finished(0, "input", 0.5, "baseline"), *_finished(1, "stage4", 0.9, "confirm")])
    told = report.facts(tmp_path)
    assert [row.number for row in told.ranked] == [0]
    assert told.cost.confirmations == 1


def test_importance_finds_the_knob_that_decides_and_needs_eight_trials(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    many = []
    for number in range(60):
        site, noise = SITES[number % 4], float(generator.normal(0, 0.01))
        params = {SITE: site, "stage3.focal_gamma": float(generator.uniform(0, 4))}
        many += [started(number, float(number), params)]
        many += [ended(number, number + 0.5, "COMPLETE", 0.5 + noise + 0.1 * SITES.index(site))]
    write(tmp_path / "many", STUDY, many)
    told = report.facts(tmp_path / "many")
    assert told.ranking.items[0].knob == SITE
    assert told.ranking.items[0].share > 0.8
    assert {item.knob: item.trials for item in told.ranking.items}.get("stage3.focal_gamma") == 60
    events = [*_finished(0, "input", 0.5, "baseline"), *_finished(1, "stage4", 0.6)]
    write(tmp_path / "few", STUDY, events)
    few = report.facts(tmp_path / "few")
    assert few.ranking.items == ()
    assert few.ranking.gap == "Too few finished trials to rank the knobs: 2, at least 8 needed."


def test_importance_says_so_when_no_knob_varied_or_no_score_did(tmp_path: Path) -> None:
    write(tmp_path / "a", STUDY, [event for n in range(9) for event in _finished(n, "input", n / 10)])
    assert "No searched knob took two values" in str(report.facts(tmp_path / "a").ranking.gap)
    write(tmp_path / "b", STUDY, [event for n in range(9) for event in _finished(n, ["input", "none"][n % 2], 0.5)])
    assert "same score" in str(report.facts(tmp_path / "b").ranking.gap)


def test_a_knob_that_is_switched_off_has_no_value_in_the_trial() -> None:
    knobs = searched_knobs(STUDY)
    config = {SITE: "none", ALPHA: 0.3, "stage3.pseudo_threshold": 0.5, "stage3.focal_gamma": 1.0}
    assert ALPHA not in active_values(knobs, config)
    assert active_values(knobs, {**config, SITE: "stage4"})[ALPHA] == 0.3


def test_knobs_are_read_from_tables_by_role_as_well_as_from_a_list() -> None:
    items = STUDY["knobs"]
    tables_ = {
        role: {
            k["name"]: {**k["distribution"], **({"when": k["when"]} if "when" in k else {})}
            for k in items
            if k["role"] == role
        }
        for role in ("scientific", "nuisance")
    }
    assert searched_knobs({**tables_, "order": [k["name"] for k in items]}) == searched_knobs(STUDY)


def test_short_names_stay_apart() -> None:
    study = {"knobs": [{"name": name} for name in ("stage2.mixup_alpha", "stage3.mixup_alpha", "stage3.focal_gamma")]}
    assert list(short_names(searched_knobs(study)).values()) == ["stage2.mixup_alpha", "stage3.mixup_alpha", "gamma"]


def test_a_folder_that_is_no_study_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a study's folder, it has no study\.json"):
        report.write(tmp_path / "nothing")
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(InputError, match=r"study\.json: must be JSON"):
        report.write(tmp_path)
    assert not list(tmp_path.glob("*report*"))


def test_long_tables_are_capped_and_say_so(tmp_path: Path) -> None:
    events = [event for number in range(tables.ROW_CAP + 5) for event in _finished(number, "input", number / 1000)]
    write(tmp_path, STUDY, events)
    table = tables.every_trial(report.facts(tmp_path))
    assert len(table.rows) == tables.ROW_CAP
    assert table.note == "The first 500 of 505 trials; all of them stand in trials.jsonl."


@pytest.mark.slow
def test_five_thousand_trials_make_less_than_ten_megabytes(tmp_path: Path) -> None:
    make_study(tmp_path, trials=5000)
    html, _markdown = report.write(tmp_path)
    assert html.stat().st_size < 10_000_000


scores = st.floats(0, 1, allow_nan=False)


@given(st.lists(st.tuples(scores, scores), max_size=30))
@settings(max_examples=60, deadline=None)
def test_the_pareto_front_is_what_no_other_point_dominates(points: list[tuple[float, float]]) -> None:
    rows = [_row(number, x, y) for number, (x, y) in enumerate(points)]
    front = {points[row.number] for row in pareto_front(rows, "precision")}
    plain = {p for p in points if not any(q[0] >= p[0] and q[1] >= p[1] and q != p for q in points)}
    assert front == plain


def test_the_pareto_line_goes_only_where_trials_have_got_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(figures, "svg", lambda _, axes: drawn.append(axes.lines[0]))
    events = []
    for number, (lwlrap, precision) in enumerate([(0.6, 0.5), (0.8, 0.3)]):
        begun, one, over = _finished(number, "input", lwlrap, "search" if number else "baseline")
        events += [begun, {**one, "metrics": {**one["metrics"], "precision": precision}}, over]
    write(tmp_path, STUDY, events)
    figures.trade_off(report.facts(tmp_path))
    (line,) = drawn
    corners = STEP_LOOKUP_MAP[line.get_drawstyle()](*line.get_data())
    assert list(zip(*corners, strict=True)) == [(0.8, 0.3), (0.6, 0.3), (0.6, 0.5)]


def test_the_difference_stands_beside_the_baseline_of_the_same_replicate(tmp_path: Path) -> None:
    study = {**STUDY, "search": {**STUDY["search"], "replicates": 2}}
    runs = [("input", 0, 0.5), ("stage4", 0, 0.51), ("input", 1, 0.58), ("stage4", 1, 0.6)]
    events = []
    for number, (site, replicate, score) in enumerate(runs):
        begun, *rest = _finished(number, site, score, "search" if number else "baseline")
        events += [{**begun, "replicate": replicate}, *rest]
    write(tmp_path, study, events)
    assert "+0.0200 against the baseline's 0.5800" in sentences.verdict(report.facts(tmp_path))[0]


@given(st.lists(scores, max_size=30))
@settings(max_examples=60, deadline=None)
def test_the_running_best_never_falls_and_is_the_highest_so_far(values: list[float]) -> None:
    rows = [_row(number, value) for number, value in enumerate(values)]
    history = [best for _row, best in running_best(rows)]
    assert history == [max(values[: place + 1]) for place in range(len(values))]


def test_values_are_shown_plainly() -> None:
    assert [shown(value) for value in (None, True, 0.123456, 3, "a")] == ["none", "yes", "0.1235", "3", "a"]
    assert [finite(value) for value in (None, True, float("nan"), float("inf"), 2, "2")] == [
        None,
        None,
        None,
        None,
        2.0,
        None,
    ]


def test_what_was_planned_is_told_in_words(tmp_path: Path) -> None:
    told = report.facts(make_study(tmp_path))
    planned = {"total": 1228, "shared": 108, "trials": 1120, "alone": 9000, "unshared": 7110}
    table = tables.cost(replace(told, cost=replace(told.cost, planned_fold_epochs=planned)))
    assert [row for row in table.rows if row[0].startswith("fold-epochs")] == [
        ("fold-epochs planned, at most", "1,228"),
        ("fold-epochs in shared stages", "108"),
        ("fold-epochs in trials", "1,120"),
        ("fold-epochs if nothing were shared", "9,000"),
        ("fold-epochs in the diary's scheme, unshared", "7,110"),
    ]
