"""What is under a trial's scores: they are handed to other recordings of their fold, and random ones stand beside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_replicates import Made, grid
from numpy.typing import NDArray

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


UNKNOWN = np.full(N, "")


def of(boxes: Listed, told: OutOfFold, trials: int = 1, sites: NDArray[np.str_] = UNKNOWN) -> Floor:
    found = floor(boxes, told, sites, trials)
    assert found is not None
    return found


def test_scores_that_know_the_recording_leave_the_floor(generator: np.random.Generator) -> None:
    boxes = listed(generator)
    scores = generator.normal(size=(N, SPECIES)) + 1.5 * boxes.truth(N)
    told = of(boxes, said(scores))
    assert told.left
    assert told.p_value < 1 / (1 + DRAWS), "as far as the spread of the draws tells"
    assert told.lwlrap == lwlrap(boxes.truth(N), scores.astype(np.float32))
    assert told.sentence("Trial 3").startswith("Trial 3 tells recordings apart: LWLRAP is 0.")
    assert "(p below 0.001)" in told.sentence("Trial 3")
    assert "(p = 0.012 for the best of 7)" in replace(told, p_value=0.0123, trials=7).sentence("Trial 3")


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


@pytest.mark.parametrize("trials", [1, 10, 50])
def test_without_knowledge_few_are_said_to_have_left_the_floor_though_the_best_of_many_is_asked(trials: int) -> None:
    """Trials that have nothing in common, of which the one with the highest LWLRAP is taken."""
    left, studies = 0, 200
    for seed in range(studies):
        generator = np.random.default_rng(seed)
        boxes = listed(generator)
        every = [generator.normal(size=(N, SPECIES)) for _ in range(trials)]
        left += of(boxes, said(max(every, key=lambda one: lwlrap(boxes.truth(N), one))), trials).left
    assert 1 <= left <= 20, "5 % of 200 are 10"


def test_what_is_known_of_a_site_is_no_knowledge_of_a_recording() -> None:
    """Each site lists a species of its own, and a model has learnt to tell sites: within one it knows nothing."""
    left = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        sites = np.arange(N) // 5
        common = generator.integers(SPECIES, size=sites.max() + 1)
        species = np.where(generator.random(N) < 0.6, common[sites], generator.integers(SPECIES, size=N))
        boxes = Listed(np.arange(N), species, species, np.ones(N, dtype=bool), SPECIES)
        scores = np.eye(SPECIES)[common[sites]] + 0.3 * generator.normal(size=(N, SPECIES))
        told = said(scores, sites % FOLDS)
        names = np.array([f"s{one}" for one in sites])
        left += of(boxes, told, sites=names).left
        assert of(boxes, told).left, "with sites unnamed it would pass for knowledge"
    assert left <= 11, "5 % of 100"
    assert "if each recording had the scores of another one of its site (p = " in of(boxes, told, sites=names).sentence(
        "Trial 1"
    )


def test_where_too_few_share_a_site_folds_stand_for_sites_and_that_is_said(generator: np.random.Generator) -> None:
    boxes = listed(generator)
    sites = np.array([f"s{one // 2}" for one in range(N // 6)] + [f"t{one}" for one in range(N - N // 6)])
    scores = generator.normal(size=(N, SPECIES))
    told = of(boxes, said(scores + 3 * boxes.truth(N)), sites=sites)
    assert (told.by, told.left, told.sites) == ("fold", True, True)
    assert told.sentence("It").startswith("It tells recordings apart, or their sites alone, for too few share one: LW")
    assert of(boxes, said(scores), sites=sites).sentence("It").startswith("It has not been shown to tell recordings")


def test_a_site_without_a_name_lets_folds_stand_for_sites(generator: np.random.Generator) -> None:
    sites = np.array(["s", *[""] * (N - 1)])
    assert of(listed(generator), said(generator.normal(size=(N, SPECIES))), sites=sites).sites is False


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
    assert floor(boxes, said(scores, folds), UNKNOWN) is None


@pytest.mark.parametrize(("folds", "told"), [([3, 3, 3], False), ([2] * 13, False), ([2] * 14, True), ([8], True)])
def test_recordings_that_can_be_put_in_few_orders_tell_nothing(folds: list[int], told: bool) -> None:
    """216, 8,192, 16,384 and 40,320 orders."""
    count = sum(folds)
    species = np.arange(count) % SPECIES
    boxes = Listed(np.arange(count), species, species, np.ones(count, dtype=bool), SPECIES)
    scores = np.eye(SPECIES, dtype=np.float32)[species]
    few = OutOfFold(scores, np.zeros(count, dtype=np.float32), np.repeat(np.arange(len(folds)), folds))
    assert (floor(boxes, few, np.full(count, "")) is not None) == told


def test_of_a_studys_trial_the_trials_it_was_chosen_from_count(tmp_path: Path) -> None:
    made: Made = grid(tmp_path, {"input": 1.0, "stage4": 2.0}, replicates=1)
    trials = read_trials(tmp_path / "trials.jsonl")
    told = of_trial(tmp_path, trials[1], trials)
    assert told is not None
    assert told.lwlrap == pytest.approx(made.metrics[1]["lwlrap"])
    assert told.trials == 2
    assert " for the best of 2), and 0." in told.sentence("Trial 1")
    again = replace(trials[0], origin="confirm")
    alone = of_trial(tmp_path, trials[1], [again, trials[1], replace(trials[0], epochs=())])
    assert alone is not None
    assert alone.trials == 1
    assert 1 - (1 - alone.p_value) ** 2 == pytest.approx(told.p_value)
    assert of_trial(tmp_path, None, trials) is None
    (tmp_path / "listed.npz").unlink()
    assert of_trial(tmp_path, trials[1], trials) is None
