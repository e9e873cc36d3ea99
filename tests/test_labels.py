from __future__ import annotations

from itertools import product
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfcx_model.hyperparameters import Frontend, Windows
from rfcx_model.labels import Boxes, Lessons, WindowLabels, grid, overlaps, pseudo_positives, window_labels, with_pseudo
from rfcx_model.spectrogram import count_frames


def boxes(*rows: tuple[int, int, float, float, bool]) -> Boxes:
    recording, species, start, end, positive = (np.array(column) for column in zip(*rows, strict=True))
    return Boxes(recording, species, start.astype(float), end.astype(float), positive)


def label(found: Boxes, starts: dict[int, list[int]], window: int = 100, share: float = 0.5) -> WindowLabels:
    recording = np.repeat(list(starts), [len(s) for s in starts.values()])
    start = np.concatenate(list(starts.values()))
    return window_labels(found, recording, start, window_frames=window, box_overlap=share, n_species=3)


def test_a_minute_is_eight_windows_and_fourteen_with_half_steps() -> None:
    assert grid(3751, 512, 512 - 49).tolist() == [0, 463, 926, 1389, 1852, 2315, 2778, 3241]
    assert len(grid(3751, 512, 256)) == 14
    assert grid(3751, 512, 256)[-1] == 13 * 256


def test_the_default_windows_of_the_default_front_end_cover_a_minute_with_eight() -> None:
    frames, windows = count_frames(60 * 32_000, Frontend()), Windows()
    assert frames == 3751
    starts = grid(frames, windows.window_frames, windows.window_frames - windows.overlap_frames)
    assert len(starts) == 8
    assert starts[-1] + windows.window_frames == 3753  # hangs over by two frames, which are padding


@settings(deadline=None)
@given(n_frames=st.integers(1, 5000), window=st.integers(32, 600), share=st.floats(0.1, 1.0))
def test_a_grid_covers_every_frame_with_no_window_too_many(n_frames: int, window: int, share: float) -> None:
    step = max(1, int(share * window))
    starts = grid(n_frames, window, step)
    assert starts[0] == 0
    assert (np.diff(starts) == step).all()
    assert starts[-1] + window >= n_frames
    assert len(starts) == 1 or starts[-2] + window < n_frames


@pytest.mark.parametrize("n_frames", [1, 40, 511, 512])
def test_a_recording_no_longer_than_a_window_is_one_window(n_frames: int) -> None:
    assert grid(n_frames, 512, 463).tolist() == [0]


@pytest.mark.parametrize(
    ("start", "end", "share"),
    [
        (10, 30, 1.0),  # wholly inside
        (-10, 10, 0.5),  # half of the box is before the window
        (90, 130, 0.25),
        (-50, 250, 1.0),  # longer than the window, which it fills
        (40, 240, 0.6),  # longer: 60 of the window's 100 frames
        (100, 120, 0.0),  # touches
        (300, 320, 0.0),
    ],
)
def test_the_overlap_is_the_share_of_the_shorter_of_both(start: float, end: float, share: float) -> None:
    assert overlaps(np.array([start]), np.array([end]), np.array([0]), 100)[0] == pytest.approx(share)


@settings(deadline=None)
@given(
    data=st.data(),
    share=st.sampled_from([0.1, 0.5, 1.0]),
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=3),
)
def test_labels_equal_a_plain_loop(data: st.DataObject, share: float, lengths: list[int]) -> None:
    row = st.tuples(
        st.integers(0, len(lengths) - 1), st.integers(0, 2), st.integers(0, 300), st.integers(1, 250), st.booleans()
    )
    rows = [(r, c, s, s + d, p) for r, c, s, d, p in data.draw(st.lists(row, min_size=1, max_size=12))]
    starts = {recording: grid(n, 100, 60).tolist() for recording, n in enumerate(lengths)}
    labels = label(boxes(*rows), starts, share=share)
    assert labels.positive.dtype == labels.negative.dtype == np.float32
    cells = [(recording, start) for recording, several in starts.items() for start in several]
    for window, (recording, first) in enumerate(cells):
        for species in range(3):
            kinds = set()
            for r, c, s, e, positive in rows:
                inside = max(0, min(e, first + 100) - max(s, first))
                if r == recording and c == species and inside >= share * min(e - s, 100):
                    kinds.add(positive)
            assert labels.positive[window, species] == (True in kinds)
            assert labels.negative[window, species] == (kinds == {False})


def test_a_confirmed_call_wins_over_a_refused_one_in_the_same_cell_in_either_order() -> None:
    rows = [(0, 1, 10.0, 30.0, True), (0, 1, 50.0, 70.0, False), (0, 2, 10.0, 30.0, False)]
    for order in (rows, rows[::-1]):
        labels = label(boxes(*order), {0: [0, 100]})
        assert labels.positive.tolist() == [[0, 1, 0], [0, 0, 0]]
        assert labels.negative.tolist() == [[0, 0, 1], [0, 0, 0]]


def test_a_box_labels_its_own_recording_only_and_windows_may_come_in_any_order() -> None:
    found = boxes((0, 0, 10, 30, True), (2, 1, 110, 130, True))
    labels = window_labels(
        found,
        np.array([2, 0, 1, 2]),
        np.array([100, 0, 0, 0]),
        window_frames=100,
        box_overlap=0.5,
        n_species=2,
    )
    assert labels.positive.tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]


def test_three_votes_of_five_make_a_label_and_a_probability_at_the_threshold_does_not_count() -> None:
    said = np.zeros((5, 1, 4), np.float32)
    said[:3, 0, 0] = 0.9
    said[:2, 0, 1] = 0.9
    said[:3, 0, 2] = np.float32(0.5)
    said[:, 0, 3] = 0.51
    assert pseudo_positives(Lessons(said), threshold=0.5, votes=0.6).tolist() == [[True, False, False, True]]


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), teachers=st.integers(1, 6), votes=st.floats(0.05, 1.0), threshold=st.floats(0, 1))
def test_votes_equal_a_plain_count_in_which_nan_never_speaks(
    seed: int, teachers: int, votes: float, threshold: float
) -> None:
    generator = np.random.default_rng(seed)
    said = generator.random((teachers, 4, 3)).astype(np.float32)
    said[generator.random(said.shape) < 0.2] = np.nan
    pseudo = pseudo_positives(Lessons(said), threshold=threshold, votes=votes)
    for window, species in product(range(4), range(3)):
        calls = sum(bool(teacher[window, species] > threshold) for teacher in said)
        assert pseudo[window, species] == (calls >= votes * teachers - 1e-9 and calls > 0)


@pytest.mark.parametrize("rule", ["votes", "mean"])
def test_nobody_calls_at_a_threshold_of_one(rule: Literal["votes", "mean"]) -> None:
    everything = Lessons(np.ones((3, 2, 2), np.float32))
    assert not pseudo_positives(everything, threshold=1.0, votes=0.1, rule=rule).any()
    assert pseudo_positives(everything, threshold=0.99, votes=0.1, rule=rule).all()
    assert pseudo_positives(everything, threshold=1.0, votes=0.1, rule=rule).dtype == bool


def test_one_voice_at_least_makes_a_label_however_few_votes_are_asked_for() -> None:
    said = np.array([[[0.9, 0.1]], [[0.1, 0.1]]], np.float32)
    for votes in (0.0, 1e-12, 0.5):
        assert pseudo_positives(Lessons(said), threshold=0.5, votes=votes).tolist() == [[True, False]]


def test_by_the_mean_rule_the_teachers_mean_counts_from_the_threshold_on_and_votes_do_not() -> None:
    said = np.array([[[0.25, 0.99, 0.9, 0.75]], [[0.75, 0.0, 0.0, np.nan]]], np.float32)
    lessons = Lessons(said)  # means 0.5, 0.495, 0.45 and none
    for votes in (0.1, 1.0):
        calls = pseudo_positives(lessons, threshold=0.5, votes=votes, rule="mean")
        assert calls.tolist() == [[True, False, False, False]]
    assert pseudo_positives(lessons, threshold=0.5, votes=0.5).tolist() == [[True, True, True, True]]
    assert not pseudo_positives(lessons, threshold=0.5, votes=1.0).any()


# Two teachers, of which the first was not trained on the recording of window 0 and the second not on that of window 1.
UNSEEN = np.array([[True, False], [False, True]])
HEARD = np.array(
    [
        [[0.9, 0.9, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1]],
        [[0.9, 0.1, 0.9, 0.1], [0.9, 0.1, 0.9, 0.1]],
    ],
    np.float32,
)


def test_a_label_needs_the_call_of_the_teacher_that_did_not_see_the_recording() -> None:
    one_voice = pseudo_positives(Lessons(HEARD, UNSEEN), threshold=0.5, votes=0.5)
    assert one_voice.tolist() == [[True, True, False, False], [True, False, True, False]]
    both = pseudo_positives(Lessons(HEARD, UNSEEN), threshold=0.5, votes=1.0)
    assert both.tolist() == [[True, False, False, False]] * 2
    assert pseudo_positives(Lessons(HEARD), threshold=0.5, votes=0.5).tolist() == [[True, True, True, False]] * 2


def test_by_the_mean_rule_too_the_teacher_that_did_not_see_the_recording_must_call() -> None:
    by_mean = pseudo_positives(Lessons(HEARD, UNSEEN), threshold=0.5, votes=1.0, rule="mean")
    assert by_mean.tolist() == [[True, True, False, False], [True, False, True, False]]
    exactly = np.array([[[0.5], [0.25]], [[0.5], [0.75]]], np.float32)  # at the threshold the mean rule counts
    by_mean = pseudo_positives(Lessons(exactly, UNSEEN), threshold=0.5, votes=1.0, rule="mean")
    assert by_mean.tolist() == [[True], [True]]
    assert not pseudo_positives(Lessons(exactly[::-1].copy(), UNSEEN), threshold=0.5, votes=1.0, rule="mean")[1].any()


def test_where_no_teacher_speaks_unseen_there_is_no_label() -> None:
    heard = np.full((2, 2, 1), 0.9, np.float32)
    nobody = np.zeros((2, 2), bool)
    assert not pseudo_positives(Lessons(heard, nobody), threshold=0.5, votes=0.5).any()
    heard[0, 0] = np.nan  # the only one that may vouch for window 0 may not speak
    assert pseudo_positives(Lessons(heard, UNSEEN), threshold=0.5, votes=0.5).tolist() == [[False], [True]]


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**16),
    teachers=st.integers(1, 5),
    rule=st.sampled_from(["votes", "mean"]),
    votes=st.floats(0.05, 1.0),
)
def test_labels_that_need_an_unseen_call_are_those_without_that_need_and_with_the_call(
    seed: int, teachers: int, rule: Literal["votes", "mean"], votes: float
) -> None:
    generator = np.random.default_rng(seed)
    said = generator.random((teachers, 6, 2)).astype(np.float32)
    unseen = generator.random((teachers, 6)) < 0.4
    needed = pseudo_positives(Lessons(said, unseen), threshold=0.4, votes=votes, rule=rule)
    free = pseudo_positives(Lessons(said), threshold=0.4, votes=votes, rule=rule)
    for window, species in product(range(6), range(2)):
        vouched = any(unseen[t, window] and said[t, window, species] > 0.4 for t in range(teachers))
        assert needed[window, species] == (free[window, species] and vouched)


def test_pseudo_labels_fill_unknown_cells_and_leave_known_ones() -> None:
    labels = WindowLabels(
        np.array([0]), np.array([0]), np.array([[1, 0, 0, 0]], np.float32), np.array([[0, 1, 0, 0]], np.float32)
    )
    filled = with_pseudo(labels, np.array([[True, True, True, False]]), 0.5)
    assert filled.positive.tolist() == [[1, 0, 0.5, 0]]
    assert filled.negative.tolist() == [[0, 1, 0, 0]]
    assert labels.positive.tolist() == [[1, 0, 0, 0]]
