"""What confirmed settings are worth: by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from test_candidates import study, trial

from study.candidates import best
from study.confirmed import Confirmation, Standing, confirmation, sentences, table
from study.declaration import declare
from study.space import Study
from study.trials import Trial

__all__ = ["study"]


def searched(study: Study) -> list[Trial]:
    return [
        trial(study, 0, "input", 0.50, gamma=2.0, origin="baseline"),
        trial(study, 1, "none", 0.60),
        trial(study, 2, "stage4", 0.58),
    ]


def repeats(study: Study, scores: dict[int, list[float]]) -> list[Trial]:
    sites = {0: ("input", 2.0), 1: ("none", 0.1), 2: ("stage4", 0.2)}
    return [
        trial(study, 10 * number + replicate, site, score, gamma=gamma, origin="confirm", replicate=replicate)
        for number, (site, gamma) in sites.items()
        for replicate, score in enumerate(scores.get(number, []), start=1)
    ]


def confirmed(study: Study, folder: Path, scores: dict[int, list[float]], count: int = 2) -> Confirmation:
    trials = searched(study)
    declare(folder, study, None, best(folder, study, trials, 2), count)
    told = confirmation(folder, [*trials, *repeats(study, scores)])
    assert told is not None
    return told


def test_settings_are_ranked_by_their_mean_on_fresh_replicates(study: Study, tmp_path: Path) -> None:
    told = confirmed(study, tmp_path, {0: [0.48, 0.50], 1: [0.51, 0.49], 2: [0.55, 0.53]})
    assert [one.candidate.trial for one in told.standings] == [2, 1, 0]
    assert told.winner is told.standings[0]
    second = told.standings[1]
    assert second.score.mean == pytest.approx(0.50)
    assert second.score.half == pytest.approx(12.7062 * math.sqrt(2 * 0.01**2) / math.sqrt(2), rel=1e-4)
    assert second.fall == pytest.approx(0.10)
    assert second.searched == pytest.approx(0.60)


def test_nothing_is_the_winner_before_all_that_was_declared_has_run(study: Study, tmp_path: Path) -> None:
    told = confirmed(study, tmp_path, {0: [0.48, 0.50], 1: [0.51], 2: [0.55, 0.53]})
    assert told.winner is None
    assert told.standings[-1].candidate.trial == 1
    assert "2 replicates were declared, 1 of them are whole" in sentences(told)[0]


def test_a_replicate_is_whole_where_every_setting_has_it(study: Study, tmp_path: Path) -> None:
    told = confirmed(study, tmp_path, {0: [0.48, 0.50, 0.49], 1: [0.51, 0.5, 0.5], 2: [0.55, 0.53, 0.5]}, count=3)
    first, second, third = told.standings
    gaps = replace(told, standings=(_without(first, 0), _without(second, 1), third))
    assert "3 replicates were declared, 1 of them are whole" in sentences(gaps)[0]


def _without(standing: Standing, place: int) -> Standing:
    runs = tuple(run for index, run in enumerate(standing.runs) if index != place)
    return replace(standing, runs=runs, score=replace(standing.score, n=len(runs)))


def test_one_replicate_confirms_nothing(study: Study, tmp_path: Path) -> None:
    told = confirmed(study, tmp_path, {0: [0.48], 1: [0.51], 2: [0.55]}, count=1)
    assert told.winner is None
    assert "no setting counts as confirmed" in sentences(told)[0]


def test_the_fall_from_search_to_confirmation_is_said(study: Study, tmp_path: Path) -> None:
    told = confirmed(study, tmp_path, {0: [0.48, 0.50], 1: [0.51, 0.49], 2: [0.55, 0.53]})
    assert "the chosen settings fall by 0.0700 on average, 0.1000 at most." in sentences(told)[1]
    higher = confirmed(study, tmp_path, {0: [0.48, 0.50], 1: [0.71, 0.69], 2: [0.75, 0.73]})
    assert "the chosen settings rise by 0.1300 on average." in sentences(higher)[1]
    assert sentences(told)[2].startswith("The baseline, which nobody chose, ")


def test_the_table_has_a_row_a_setting_and_the_lockbox_only_where_there_is_one(study: Study, tmp_path: Path) -> None:
    told = confirmed(study, tmp_path, {0: [0.48, 0.50], 1: [0.51, 0.49], 2: [0.55, 0.53]})
    made = table(told)
    assert made.headers[-1] == "fall"
    assert [row[0] for row in made.rows] == ["site=stage4 gamma=0.2", "site=none gamma=0.1", "baseline"]
    assert made.rows[1][2:] == ("2", "0.5000", "0.1271", "0.6000", "+0.1000")
    boxed = replace(told.standings[0], lockbox=told.standings[0].score)
    with_box = table(replace(told, standings=(boxed, *told.standings[1:])))
    assert with_box.headers[-1] == "lockbox"
    assert with_box.rows[0][-1] == "0.5400 ± 0.1271"


def test_a_setting_that_failed_is_named_with_its_cause(study: Study, tmp_path: Path) -> None:
    trials = searched(study)
    declare(tmp_path, study, None, best(tmp_path, study, trials, 1), 2)
    failed = trial(study, 11, "none", None, gamma=0.1, state="FAILED", origin="confirm", replicate=1)
    told = confirmation(tmp_path, [*trials, replace(failed, reason="MemoryError")])
    assert told is not None
    assert "site=none gamma=0.1 has failed: MemoryError." in sentences(told)
    again = [*trials, replace(failed, reason="MemoryError"), *repeats(study, {0: [0.4, 0.4], 1: [0.5, 0.5]})]
    told = confirmation(tmp_path, again)
    assert told is not None
    assert not any("has failed" in line for line in sentences(told))


def test_without_a_declaration_there_is_nothing_to_tell(study: Study, tmp_path: Path) -> None:
    assert confirmation(tmp_path, searched(study)) is None
