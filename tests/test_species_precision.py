"""Average precision by species, from what trials left on file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_scores import leave_scores
from made_study import make_study

from rfcx_model.metrics import measure
from study.scored import LISTED, out_of_fold, read_ruler
from study.species_precision import sentences, species_precision, table
from study.trials import Trial, read_trials


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, dict[int, Trial]]:
    make_study(tmp_path, 4)
    leave_scores(tmp_path, {0: 0.5, 2: 3.0}, species=5)
    return tmp_path, {trial.number: trial for trial in read_trials(tmp_path / "trials.jsonl")}


def test_species_average_to_the_figure_of_the_ruler(study: tuple[Path, dict[int, Trial]]) -> None:
    folder, trials = study
    told = species_precision(folder, trials[2], trials[0])
    said = out_of_fold(folder, trials[2])
    assert said is not None
    known = [one.best for one in told.species if one.best is not None]
    assert np.mean(known) == pytest.approx(measure(read_ruler(folder).listed, said)["precision_avg"])
    assert [one.number for one in told.species] == [0, 2, 4, 6, 8]
    assert [(one.tp, one.fp) for one in told.species] == [(8, 17)] * 4 + [(0, 25)]
    assert told.species[4].best is told.species[4].difference is None
    text = " ".join(sentences(told))
    assert "trial 2 is higher in 4 and lower in 0 of 4 species" in text
    assert "No figure for species 8" in text
    assert table(told).headers == ("species", "TP boxes", "FP boxes", "trial 2", "baseline", "difference")


def test_the_baseline_may_be_the_best_or_missing(study: tuple[Path, dict[int, Trial]]) -> None:
    folder, trials = study
    same = species_precision(folder, trials[0], trials[0])
    assert "The baseline is the best trial." in sentences(same)
    alone = species_precision(folder, trials[2], None)
    assert "There is no finished baseline to stand beside it." in sentences(alone)
    assert table(same).headers == ("species", "TP boxes", "FP boxes", "trial 0")


def test_what_is_missing_is_said(study: tuple[Path, dict[int, Trial]]) -> None:
    folder, trials = study
    nobody = species_precision(folder, None, None)
    assert "no best one" in " ".join(sentences(nobody))
    lost = species_precision(folder, trials[2], replace(trials[0], scores=None))
    assert lost.baseline is None
    assert "The out-of-fold scores of trial 0 are not on file whole" in " ".join(sentences(lost))
    assert table(lost).headers == ("species", "TP boxes", "FP boxes", "trial 2")
    (folder / LISTED).unlink()
    without = species_precision(folder, trials[2], trials[0])
    assert without.species == ()
    assert "listed.npz: it is needed" in " ".join(sentences(without))
    assert str(folder) not in " ".join(sentences(without))


@pytest.mark.parametrize(("change", "words"), [("short", "do not fit"), ("nan", "are not all finite")])
def test_scores_that_cannot_be_right_are_refused_in_words(
    study: tuple[Path, dict[int, Trial]], change: str, words: str
) -> None:
    folder, trials = study
    path = folder / str(trials[2].scores)
    with np.load(path) as kept:
        arrays = dict(kept)
    arrays["box_scores"] = arrays["box_scores"][:-1] if change == "short" else arrays["box_scores"] * np.nan
    np.savez_compressed(path, **arrays)
    told = species_precision(folder, trials[2], None)
    assert words in " ".join(sentences(told))
    assert told.species == ()
