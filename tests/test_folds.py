"""Folds against plain loops, on labels whose arithmetic is exact, so that every tie is the same tie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rfcx_model.errors import InputError
from rfcx_model.folds import LOCKED, assign_folds, folds_hash, lockbox
from rfcx_model.recordings import Recordings

Uneven = Callable[[np.ndarray], float]


def listing(rows: list[tuple[int, int, bool]], recordings: int, sites: list[str] | None = None) -> Recordings:
    """Boxes as (recording, species, confirmed); two species."""
    boxes = pd.DataFrame(rows, columns=["recording", "species", "positive"])
    train = pd.DataFrame({"recording_id": [f"r{k}" for k in range(recordings)], "site": sites or [""] * recordings})
    return Recordings(Path("made-up"), (0, 1), train, boxes, train, "")


def exact(seed: int, sites: bool = False) -> Recordings:
    """Each label stands in 1, 4 or 16 of 16 recordings, some with two boxes of it; sites hold one to three of them."""
    generator = np.random.default_rng(seed)
    rows = []
    for label in range(4):
        where = generator.permutation(16)[: generator.choice([1, 4, 4, 16])]
        rows += [(int(one), label % 2, label < 2) for one in (*where, where[0])]
    return listing(rows, 16, [f"s{k}" for k in generator.integers(0, 9, 16)] if sites else None)


def unevenness(recordings: Recordings, n_folds: int) -> Uneven:
    """Sum over folds and labels of (k - n / folds)² / n, box by box; all recordings are a label, too."""
    holders: dict[object, set[int]] = {"all": set(range(len(recordings.train)))}
    for row in recordings.boxes.itertuples():
        holders.setdefault((row.species, row.positive), set()).add(int(str(row.recording)))

    def uneven(folds: np.ndarray) -> float:
        shares = [
            (sum(int(folds[one]) == fold for one in of) - len(of) / n_folds) ** 2 / len(of)
            for of in holders.values()
            for fold in range(n_folds)
        ]
        return float(sum(shares))

    return uneven


def dealt(groups: np.ndarray, n_folds: int, seed: int, uneven: Uneven) -> np.ndarray:
    """The best of four deals, each bettered by the best move of one group until none betters it: (recording,)."""
    generator = np.random.default_rng(seed)
    ends = []
    for _ in range(4):
        folds = generator.permutation(np.arange(groups.max() + 1) % n_folds)
        while True:
            now, moves = uneven(folds[groups]), []
            for group, fold in np.ndindex(len(folds), n_folds):
                moved = folds.copy()
                moved[group] = fold
                if len(set(moved)) == n_folds:
                    moves.append((uneven(moved[groups]) - now, group, fold))
            change, group, fold = min(moves)
            if change > -1e-9:
                break
            folds[group] = fold
        ends.append((uneven(folds[groups]), folds))
    lowest = min(rest for rest, _ in ends)
    return np.asarray(next(folds for rest, folds in ends if rest == lowest)[groups])


def groups_of(recordings: Recordings) -> np.ndarray:
    names = [str(row.site or row.recording_id) for row in recordings.train.itertuples()]
    places = sorted(set(names), key=lambda name: (len(name), name))
    return np.array([places.index(name) for name in names])


@pytest.mark.parametrize("sites", [False, True])
@pytest.mark.parametrize("n_folds", [2, 4])
@pytest.mark.parametrize("seed", [*range(7), 20, 28])  # of the last three, the fourth deal is best, or a fifth were
def test_folds_are_those_of_a_plain_loop(sites: bool, n_folds: int, seed: int) -> None:
    recordings = exact(seed, sites)
    expected = dealt(groups_of(recordings), n_folds, seed, unevenness(recordings, n_folds))
    folds = assign_folds(recordings, n_folds, seed)
    assert folds.tolist() == expected.tolist()
    assert folds.dtype == np.int64


@pytest.mark.parametrize("share", [0.25, 0.5, 0.23])
@pytest.mark.parametrize("seed", range(3))
def test_a_lockbox_is_the_first_fold_of_as_many_as_the_share_asks_for(share: float, seed: int) -> None:
    recordings = exact(seed, sites=True)
    parts = 2 if share == 0.5 else 4
    expected = dealt(groups_of(recordings), parts, seed, unevenness(recordings, parts)) == 0
    assert lockbox(recordings, share, seed).tolist() == expected.tolist()


def test_what_is_locked_away_weighs_nothing_in_the_folds_of_the_rest() -> None:
    recordings = exact(3)
    boxes = recordings.boxes
    locked = np.arange(16) >= 12
    rest = replace(recordings, train=recordings.train[:12], boxes=boxes[boxes["recording"] < 12])
    folds = assign_folds(recordings, 2, 5, locked)
    assert folds[:12].tolist() == assign_folds(rest, 2, 5).tolist()
    assert (folds[12:] == LOCKED).all()


def test_a_site_is_locked_away_whole_where_one_of_its_recordings_is() -> None:
    recordings = listing([(0, 0, True), (3, 0, True)], 6, ["a", "a", "b", "b", "c", "c"])
    folds = assign_folds(recordings, 2, 0, np.array([False, True, False, False, False, False]))
    assert folds[:2].tolist() == [LOCKED, LOCKED]
    assert sorted(folds[2:].tolist()) == [0, 0, 1, 1]


def test_a_recording_without_a_site_keeps_its_like_together() -> None:
    recordings = listing([(0, 0, True)], 6, ["", "", "a", "b", "", "c"])
    folds = assign_folds(recordings, 2, 1)
    assert len({folds[0], folds[1], folds[4]}) == 1


def test_the_hash_of_folds_is_that_of_their_lines() -> None:
    recordings = listing([(0, 0, True)], 3)
    golden = hashlib.sha256(b"r0,1\nr1,0\nr2,-1\n").hexdigest()
    assert folds_hash(recordings, np.array([1, 0, -1])) == golden
    with pytest.raises(ValueError, match="shorter"):
        folds_hash(recordings, np.array([1, 0]))


def test_as_many_recordings_as_folds_are_enough_and_a_lockbox_needs_three() -> None:
    rows = [(0, 0, True), (1, 1, False)]
    assert sorted(assign_folds(listing(rows, 3), 3, 0)) == [0, 1, 2]
    assert sorted(assign_folds(listing(rows, 2), 2, 0)) == [0, 1]
    assert lockbox(listing(rows, 3), 0.5, 0).sum() in (1, 2)
    assert lockbox(listing(rows, 4), 0.25, 0).sum() == 1
    with pytest.raises(InputError, match=r"made-up: a lockbox of 0\.5 needs 3 recordings or more, but got 2\."):
        lockbox(listing(rows, 2), 0.5, 0)
    with pytest.raises(InputError, match=r"a lockbox of 0\.25 needs 4 recordings or more, but got 3\."):
        lockbox(listing(rows, 3), 0.25, 0)


def test_too_many_folds_are_told_with_what_there_is() -> None:
    rows = [(0, 0, True), (1, 1, False)]
    with pytest.raises(InputError, match=r"made-up: recordings >= folds .* but got 2 recordings for 3 folds\. Ask for"):
        assign_folds(listing(rows, 2), 3, 0)
    locked = np.array([True, False, False, False])
    with pytest.raises(InputError, match=r"got 3 recordings for 4 folds, 1 more are in the lockbox\."):
        assign_folds(listing(rows, 4), 4, 0, locked)
