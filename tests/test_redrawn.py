"""Figures of finished trials as their recordings stand and drawn anew; why some have none."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_replicates import GRID, RECORDINGS, SITE, Made
from numpy.typing import NDArray

from rfcx_model.metrics import Listed, OutOfFold, measure
from study.matched import Setting
from study.redrawn import DRAWS, Scores, redraw
from study.reweighted import average_precisions, reweighted
from study.scored import out_of_fold, read_ruler
from study.trials import Trial, read_trials

FIGURES = {"lwlrap": {"lwlrap": 1.0}, "both": {"lwlrap": 0.5, "precision": 0.25}}


def setting(*trials: Trial) -> Setting:
    return Setting("input", {}, {trial.replicate: trial for trial in trials})


def two_trials(folder: Path, sites: int = 0) -> tuple[Made, list[Trial]]:
    made = Made(folder, sites=sites)
    for replicate in (0, 1):
        made.trial({SITE: "input"}, replicate, 1.0)
    return made, read_trials(folder / "trials.jsonl")


def told(folder: Path, *trials: Trial) -> Scores:
    return redraw(folder, read_ruler(folder), [setting(*trials)], FIGURES)


def only_first(said: OutOfFold) -> OutOfFold:
    """Without the recordings above 39, as a lockbox leaves them: no fold, and no score."""
    kept = np.arange(RECORDINGS) < 40
    return replace(said, folds=np.where(kept, said.folds, -1))


def without(scores: NDArray[np.float32], place: int | tuple[int, int]) -> NDArray[np.float32]:
    """The same scores, one of them NaN."""
    changed = scores.copy()
    changed[place] = np.nan
    return changed


def test_the_first_figure_is_the_rulers_and_the_others_are_draws(tmp_path: Path) -> None:
    made, trials = two_trials(tmp_path)
    scores = told(tmp_path, *trials)
    for number, one in scores.trials.items():
        assert not isinstance(one, str)
        for name, parts in FIGURES.items():
            assert one.figures[name].shape == (1 + DRAWS,)
            assert one.figures[name][0] == pytest.approx(sum(w * made.metrics[number][m] for m, w in parts.items()))
            assert np.std(one.figures[name][1:]) > 0.001
            assert (one.figures[name][1:] == one.figures[name][0]).mean() < 0.01
        assert one.precisions.shape == (1 + DRAWS, 3)
        said = out_of_fold(tmp_path, trials[number])
        assert said is not None
        golden = average_precisions(read_ruler(tmp_path).listed, said, np.ones((1, RECORDINGS)))[0]
        assert one.precisions[0] == pytest.approx(golden)


def test_all_trials_are_measured_on_the_same_draws_every_time(tmp_path: Path) -> None:
    made, trials = two_trials(tmp_path)
    said = out_of_fold(tmp_path, trials[0])
    assert said is not None
    made.save(1, said)
    first, again = told(tmp_path, *trials), told(tmp_path, *trials)
    for one, other in [(first.trials[0], first.trials[1]), (first.trials[0], again.trials[0])]:
        assert not isinstance(one, str)
        assert not isinstance(other, str)
        assert (one.figures["both"] == other.figures["both"]).all()


def test_draws_are_of_all_scored_recordings_with_a_box_as_many_as_there_are(tmp_path: Path) -> None:
    made, trials = two_trials(tmp_path)
    ruler = read_ruler(tmp_path)
    ids = ruler.listed.recording < 30  # boxes stand in half of the recordings
    one = ruler.listed
    listed = Listed(one.recording[ids], one.species[ids], one.template[ids], one.positive[ids], 3)
    for number, trial in enumerate(trials):
        said = out_of_fold(tmp_path, trial)
        assert said is not None
        made.save(number, replace(said, box_scores=said.box_scores[ids]))
    half = redraw(tmp_path, replace(ruler, listed=listed), [setting(*trials)], FIGURES)
    positives = listed.truth(RECORDINGS)[:30]
    carried = positives.sum(axis=1)
    assert half.groups == pytest.approx(carried.sum() ** 2 / (carried**2).sum())
    assert half.groups_of == pytest.approx(positives.sum(axis=0))
    first, said = half.trials[0], out_of_fold(tmp_path, trials[0])
    assert not isinstance(first, str)
    assert said is not None
    # multinomial counts of the 30: the spread of a draw's figure is that of draws made here with another seed
    generator = np.random.default_rng(99)
    weights = np.zeros((4000, RECORDINGS))
    weights[:, :30] = generator.multinomial(30, np.full(30, 1 / 30), size=4000)
    golden = np.std(reweighted("lwlrap", listed, said, weights))
    assert np.std(first.figures["lwlrap"][1:]) == pytest.approx(golden, rel=0.1)


def test_sites_are_drawn_whole_and_counted_by_what_they_carry(tmp_path: Path) -> None:
    _, trials = two_trials(tmp_path, sites=4)
    scores = told(tmp_path, *trials)
    truth = read_ruler(tmp_path).listed.truth(RECORDINGS)
    carried = np.array([truth[np.arange(RECORDINGS) % 4 == site].sum() for site in range(4)])
    assert scores.groups == pytest.approx(carried.sum() ** 2 / (carried**2).sum())
    assert scores.groups <= 4
    assert len(scores.groups_of) == 3
    assert max(scores.groups_of) <= 4


def test_what_no_trial_scored_is_not_drawn(tmp_path: Path) -> None:
    made, trials = two_trials(tmp_path)
    for number, trial in enumerate(trials):
        said = out_of_fold(tmp_path, trial)
        assert said is not None
        silent = only_first(said)
        silent.recording_scores[40:] = np.nan  # nobody spoke of them, so that nobody minds
        silent.box_scores[read_ruler(tmp_path).listed.recording >= 40] = np.nan
        made.save(number, silent)
    scores = told(tmp_path, *trials)
    truth = read_ruler(tmp_path).listed.truth(RECORDINGS)[:40]
    assert scores.groups_of == pytest.approx(truth.sum(axis=0))
    for one in scores.trials.values():
        assert not isinstance(one, str)
        assert len(one.folds["both"]) == 3  # what has no fold is none
    (tmp_path / made.path(1)).unlink()
    assert told(tmp_path, *trials).groups_of == scores.groups_of


def test_recordings_that_one_trial_alone_scored_are_drawn(tmp_path: Path) -> None:
    made, trials = two_trials(tmp_path)
    said = out_of_fold(tmp_path, trials[1])
    assert said is not None
    made.save(1, only_first(said))
    truth = read_ruler(tmp_path).listed.truth(RECORDINGS)
    for order in (trials, trials[::-1]):
        assert told(tmp_path, *order).groups_of == pytest.approx(truth.sum(axis=0))


def test_a_fold_alone_is_measured_on_its_recordings(tmp_path: Path) -> None:
    _, trials = two_trials(tmp_path)
    one, said = told(tmp_path, *trials).trials[0], out_of_fold(tmp_path, trials[0])
    assert not isinstance(one, str)
    assert said is not None
    for fold in range(3):
        there = replace(said, folds=np.where(said.folds == fold, said.folds, -1))
        assert one.folds["lwlrap"][fold] == pytest.approx(measure(read_ruler(tmp_path).listed, there)["lwlrap"])
    assert len(one.folds["lwlrap"]) == 3


def test_what_is_wrong_with_a_trials_scores_is_told_instead_of_figures(tmp_path: Path) -> None:
    made, trials = two_trials(tmp_path)
    said = out_of_fold(tmp_path, trials[0])
    assert said is not None
    recordings = [int(np.flatnonzero(said.folds == fold)[0]) for fold in range(3)]
    boxes = [int(np.flatnonzero(read_ruler(tmp_path).listed.recording == one)[0]) for one in recordings]
    bad = {
        "a score is NaN": [replace(said, box_scores=without(said.box_scores, box)) for box in boxes]
        + [replace(said, recording_scores=without(said.recording_scores, (one, 1))) for one in recordings],
        "its scores are of other data": [
            replace(said, folds=said.folds[:-1]),
            replace(said, box_scores=said.box_scores[:-1]),
            replace(said, recording_scores=said.recording_scores[:-1]),
        ],
    }
    for why, several in bad.items():
        for wrong in several:
            made.save(1, wrong)
            scores = told(tmp_path, *trials)
            assert scores.trials[1] == why
            assert not isinstance(scores.trials[0], str)
            assert scores.groups > 0
    made.save(1, said)
    unscored = replace(trials[1], score=math.nan)
    assert told(tmp_path, trials[0], unscored).trials[1] == "a score is NaN"
    (tmp_path / made.path(1)).unlink()
    assert told(tmp_path, *trials).trials[1] == "its scores are not on file"


def test_where_nothing_is_listed_no_trial_has_figures(tmp_path: Path) -> None:
    made, trials = two_trials(tmp_path)
    ruler = read_ruler(tmp_path)
    nothing = np.zeros(0, np.int64)
    empty = replace(ruler, listed=Listed(nothing, nothing, nothing, np.zeros(0, bool), 3))
    said = out_of_fold(tmp_path, trials[0])
    assert said is not None
    made.save(0, replace(said, box_scores=said.box_scores[:0]))
    scores = redraw(tmp_path, empty, [setting(*trials)], FIGURES)
    assert scores.trials == {0: "nothing is listed", 1: "its scores are of other data"}
    assert (scores.groups, scores.groups_of) == (0, ())


def test_a_setting_without_a_figure_in_a_replicate_says_why(tmp_path: Path) -> None:
    made = Made(tmp_path, GRID)
    for replicate, state in enumerate(("COMPLETE", "PRUNED", "FAILED", "RUNNING", "COMPLETE")):
        made.trial({SITE: "input"}, replicate, 1.0, state)
    arm = setting(*read_trials(tmp_path / "trials.jsonl"))
    (tmp_path / made.path(4)).unlink()
    scores = redraw(tmp_path, read_ruler(tmp_path), [arm], FIGURES)
    said = [scores.of(arm, replicate, "lwlrap") for replicate in range(6)]
    assert said[0] is scores.trials[0]
    assert said[1:] == ["pruned", "failed", "running", "its scores are not on file", "not yet tried"]
    assert set(scores.trials) == {0, 4}


def test_a_figure_that_the_recordings_do_not_give_is_not_known(tmp_path: Path) -> None:
    _, trials = two_trials(tmp_path)
    scores, arm = told(tmp_path, *trials), setting(*trials)
    one = scores.trials[0]
    assert not isinstance(one, str)
    one.figures["both"][0] = np.nan
    one.figures["lwlrap"][[1, -1]] = np.nan  # a draw may well have none
    assert scores.of(arm, 0, "both") == "the figure is not known"
    assert scores.of(arm, 0, "lwlrap") is one
