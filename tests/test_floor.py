"""What is under a trial's scores: they are handed to other recordings of their fold, and random ones stand beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_replicates import SITE, Made, grid

from rfcx_model.metrics import Listed, OutOfFold, lwlrap
from study.floor import DRAWS, Floor, floor, of_trial
from study.trials import read_trials

N, SPECIES, FOLDS = 60, 6, 3


def listed(generator: np.random.Generator) -> Listed:
    """One confirmed box a recording; low species are common."""
    share = np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
    species = generator.choice(SPECIES, N, p=share)
    return Listed(np.arange(N), species, species, np.ones(N, dtype=bool), SPECIES)


def said(scores: np.ndarray, folds: np.ndarray | None = None) -> OutOfFold:
    folds = np.arange(N) % FOLDS if folds is None else folds
    return OutOfFold(scores.astype(np.float32), np.zeros(N, dtype=np.float32), folds)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def of(boxes: Listed, told: OutOfFold) -> Floor:
    found = floor(boxes, told)
    assert found is not None
    return found


def test_scores_that_know_the_recording_leave_the_floor(generator: np.random.Generator) -> None:
    boxes = listed(generator)
    scores = generator.normal(size=(N, SPECIES)) + 1.5 * boxes.truth(N)
    told = of(boxes, said(scores))
    assert told.left
    assert told.p_value == pytest.approx(1 / (1 + DRAWS))
    assert told.lwlrap == lwlrap(boxes.truth(N), scores.astype(np.float32))
    assert told.sentence("Trial 3").startswith("Trial 3 tells recordings apart: LWLRAP is 0.")


def test_scores_that_know_how_common_species_are_lie_above_chance_and_on_the_floor(
    generator: np.random.Generator,
) -> None:
    boxes = listed(generator)
    common = boxes.truth(N).mean(axis=0)
    told = of(boxes, said(common + generator.normal(0, 0.01, (N, SPECIES))))
    assert told.lwlrap > told.chance + 0.1
    assert not told.left
    assert "Trial 3 has not been shown to tell recordings apart" in told.sentence("Trial 3")


def test_what_a_fold_model_says_of_all_of_its_recordings_is_no_knowledge(generator: np.random.Generator) -> None:
    """Each fold's recordings list one species, and its model always says this one: over all folds that would count."""
    species = np.arange(N) % FOLDS
    boxes = Listed(np.arange(N), species, species, np.ones(N, dtype=bool), SPECIES)
    told = of(boxes, said(np.eye(SPECIES)[species] + generator.normal(0, 0.01, (N, SPECIES))))
    assert (told.lwlrap, told.handed, told.p_value) == (1.0, 1.0, 1.0)


def test_flat_scores_are_on_the_floor(generator: np.random.Generator) -> None:
    told = of(listed(generator), said(np.full((N, SPECIES), 0.5)))
    assert told.p_value == 1.0
    assert (told.lwlrap, told.handed) == pytest.approx((1 / SPECIES, 1 / SPECIES))


def test_without_knowledge_few_are_said_to_have_left_the_floor() -> None:
    left = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        left += of(listed(generator), said(generator.normal(size=(N, SPECIES)))).left
    assert 2 <= left <= 20, "5 % of 200 are 10"


def test_recordings_that_no_model_scored_or_that_list_nothing_do_not_count(generator: np.random.Generator) -> None:
    boxes = listed(generator)
    scores = generator.normal(size=(N, SPECIES)) + 1.5 * boxes.truth(N)
    without = scores.copy()
    without[:10] = 99.0  # of fold -1
    folds = np.arange(N) % FOLDS
    folds[:10] = -1
    keep = boxes.recording >= 10
    rest = Listed(boxes.recording[keep], boxes.species[keep], boxes.template[keep], boxes.positive[keep], SPECIES)
    assert of(boxes, said(without, folds)) == of(rest, said(scores, folds))


@pytest.mark.parametrize("what", ["nan", "alone", "nothing"])
def test_nothing_is_said_where_nothing_can_be(generator: np.random.Generator, what: str) -> None:
    boxes, scores, folds = listed(generator), generator.normal(size=(N, SPECIES)), np.arange(N) % FOLDS
    if what == "nan":
        scores[3, 3] = np.nan
    if what == "alone":
        folds = np.arange(N)
    if what == "nothing":
        boxes = Listed(boxes.recording, boxes.species, boxes.template, np.zeros(N, dtype=bool), SPECIES)
    assert floor(boxes, said(scores, folds)) is None


def test_of_a_studys_trial(tmp_path: Path) -> None:
    made: Made = grid(tmp_path, {"input": 1.0, "stage4": 2.0}, replicates=1)
    trials = read_trials(tmp_path / "trials.jsonl")
    assert SITE in trials[0].config
    told = of_trial(tmp_path, trials[1])
    assert told is not None
    assert told.lwlrap == pytest.approx(made.metrics[1]["lwlrap"])
    assert of_trial(tmp_path, None) is None
    (tmp_path / "listed.npz").unlink()
    assert of_trial(tmp_path, trials[1]) is None
