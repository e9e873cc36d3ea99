from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_corpus import Size, knobs, make_corpus

from rfcx_model.batches import crops, derive, recordings, streams
from rfcx_model.hyperparameters import Stage1, Windows
from rfcx_model.labels import WindowLabels

WINDOW = 128
CORPUS = make_corpus(Size(recordings=12, frames=400, folds=3))
TRAINING = CORPUS.folds != 0
WINDOWS = Windows(window_frames=WINDOW, overlap_frames=0)


def one_epoch(stage1: Stage1, seed: int = 0, corpus: object = CORPUS) -> WindowLabels:
    """All crops of an epoch in one."""
    parts = list(crops(corpus, TRAINING, stage1, WINDOWS, np.random.default_rng(seed)))  # type: ignore[arg-type]
    return WindowLabels(*(np.concatenate(arrays) for arrays in zip(*map(columns, parts), strict=True)))


def columns(labels: WindowLabels) -> tuple[np.ndarray, ...]:
    return labels.recording, labels.start, labels.positive, labels.negative


@pytest.mark.parametrize("crop", ["event", "random"])
def test_crops_never_touch_a_held_out_recording_and_stay_inside(crop: str) -> None:
    for seed in range(20):
        drawn = one_epoch(Stage1(crop=crop, batch_crops=5), seed)  # type: ignore[arg-type]
        assert TRAINING[drawn.recording].all()
        assert (drawn.start >= 0).all()
        assert (drawn.start + WINDOW <= CORPUS.frames[drawn.recording]).all()


def test_event_crops_hold_their_event_and_move_only_by_the_listed_steps() -> None:
    b = CORPUS.boxes
    seen = set()
    for seed in range(60):
        drawn = one_epoch(Stage1(jitter_frames=(0, 8, 24), fp_recordings=0, batch_crops=5), seed)
        assert sorted(drawn.recording) == np.flatnonzero(TRAINING).tolist()  # each recording with a TP call once
        for recording, start in zip(drawn.recording, drawn.start, strict=True):
            box = np.flatnonzero((b.recording == recording) & b.positive)[0]
            assert start <= b.start[box]
            assert b.end[box] <= start + WINDOW
            centred = round((b.start[box] + b.end[box]) / 2) - WINDOW // 2
            if 24 <= centred <= CORPUS.frames[recording] - WINDOW - 24:
                seen.add(int(start - centred))
    assert seen == {-24, -8, 0, 8, 24}


def test_without_steps_to_move_by_event_crops_stay_centred() -> None:
    still, none = (one_epoch(Stage1(jitter_frames=steps)) for steps in ((0,), ()))
    assert still.start.tolist() == none.start.tolist()


def test_crops_may_be_one_a_confirmed_call() -> None:
    corpus = replace(CORPUS, boxes=replace(CORPUS.boxes, positive=np.ones(24, bool)))
    each = one_epoch(Stage1(crops_per="call", jitter_frames=(0,)), corpus=corpus)
    assert sorted(each.recording) == sorted(np.repeat(np.flatnonzero(TRAINING), 2))
    several = {(int(r), int(s)) for r, s in zip(each.recording, each.start, strict=True)}
    assert len(several) > TRAINING.sum()
    assert len(one_epoch(Stage1(), corpus=corpus).recording) == TRAINING.sum()


def test_an_event_at_the_edge_is_not_cut_off() -> None:
    edge = replace(
        CORPUS.boxes,
        start=np.where(np.arange(24) % 2, 0.0, CORPUS.frames[CORPUS.boxes.recording] - 20.0),
        end=np.where(np.arange(24) % 2, 20.0, CORPUS.frames[CORPUS.boxes.recording]),
    )
    drawn = one_epoch(Stage1(jitter_frames=(0,), fp_recordings=0), corpus=replace(CORPUS, boxes=edge))
    expected = np.where(drawn.recording % 2, 0, CORPUS.frames[drawn.recording] - WINDOW)
    assert drawn.start.tolist() == expected.tolist()


def test_random_crops_reach_the_whole_recording() -> None:
    stage1 = Stage1(crop="random", fp_recordings=0)
    drawn = [one_epoch(stage1, seed) for seed in range(200)]
    share = np.concatenate([d.start / (CORPUS.frames[d.recording] - WINDOW) for d in drawn])
    assert share.min() == 0.0
    assert share.max() == 1.0
    assert np.histogram(share, bins=4, range=(0, 1))[0].min() > 0.2 * len(share)


def test_a_recording_shorter_than_the_crop_starts_at_its_beginning() -> None:
    windows = Windows(window_frames=512)
    for crop in ("event", "random"):
        drawn = list(crops(CORPUS, TRAINING, Stage1(crop=crop), windows, np.random.default_rng(0)))
        assert all((part.start == 0).all() for part in drawn)


def test_refused_recordings_are_drawn_anew_each_epoch_and_no_more_than_asked() -> None:
    only_refused = replace(CORPUS.boxes, positive=np.zeros(24, bool))
    corpus = replace(CORPUS, boxes=only_refused)
    draws = [set(one_epoch(Stage1(fp_recordings=3), seed, corpus).recording.tolist()) for seed in range(40)]
    assert {len(draw) for draw in draws} == {3}
    assert set.union(*draws) == set(np.flatnonzero(TRAINING).tolist())
    assert len({tuple(sorted(draw)) for draw in draws}) > 10
    assert len(one_epoch(Stage1(fp_recordings=99), 0, corpus).recording) == TRAINING.sum()


def test_everything_but_the_confirmed_calls_in_a_crop_is_absent() -> None:
    drawn = one_epoch(Stage1(crop="random", fp_recordings=30), 3)
    b = CORPUS.boxes
    for window, (recording, start) in enumerate(zip(drawn.recording, drawn.start, strict=True)):
        heard = set()
        for box in np.flatnonzero((b.recording == recording) & b.positive):
            inside = min(b.end[box], start + WINDOW) - max(b.start[box], start)
            if inside >= 0.5 * (b.end[box] - b.start[box]):
                heard.add(int(b.species[box]))
        assert set(np.flatnonzero(drawn.positive[window]).tolist()) == heard
    assert (drawn.positive + drawn.negative == 1).all()
    assert drawn.positive.sum() > 0


@pytest.mark.parametrize(
    ("batch", "sizes"), [(3, [3, 3, 2]), (4, [4, 4]), (7, [8]), (8, [8]), (64, [8]), (1, [1] * 6 + [2]), (5, [5, 3])]
)
def test_a_single_crop_or_recording_left_over_joins_the_last_batch(batch: int, sizes: list[int]) -> None:
    stage1 = Stage1(batch_crops=batch, fp_recordings=0)
    parts = crops(CORPUS, TRAINING, stage1, WINDOWS, np.random.default_rng(0))
    assert [len(part.start) for part in parts] == sizes
    whole = recordings(CORPUS.windows, TRAINING, batch, np.random.default_rng(0))
    assert [len(set(part.recording)) for part in whole] == sizes


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), batch=st.integers(1, 10))
def test_an_epoch_of_recordings_holds_every_training_window_once_and_recordings_whole(seed: int, batch: int) -> None:
    parts = list(recordings(CORPUS.windows, TRAINING, batch, np.random.default_rng(seed)))
    wanted = TRAINING[CORPUS.windows.recording]
    cells = [(int(r), int(s)) for part in parts for r, s in zip(part.recording, part.start, strict=True)]
    assert sorted(cells) == sorted(zip(CORPUS.windows.recording[wanted], CORPUS.windows.start[wanted], strict=True))
    labels = dict(
        zip(zip(CORPUS.windows.recording, CORPUS.windows.start, strict=True), CORPUS.windows.positive, strict=True)
    )
    for part in parts:
        for recording, start, positive in zip(part.recording, part.start, part.positive, strict=True):
            assert (labels[recording, start] == positive).all()


def test_orders_differ_between_epochs() -> None:
    orders = {
        tuple(np.concatenate([p.recording for p in recordings(CORPUS.windows, TRAINING, 2, streams(s).order)]))
        for s in range(5)
    }
    assert len(orders) == 5


def test_streams_of_one_seed_draw_alike_and_each_use_has_its_own() -> None:
    first, again = streams(7), streams(7)
    assert first.order.integers(0, 2**60) == again.order.integers(0, 2**60)
    uses = ("augment", "mix", "dropout")
    draws = {use: torch.rand(3, generator=getattr(first, use)) for use in uses}
    torch.rand(100, generator=again.augment)  # using one stream more does not move another
    assert torch.equal(torch.rand(3, generator=again.mix), draws["mix"])
    assert torch.equal(torch.rand(3, generator=again.dropout), draws["dropout"])
    assert not torch.equal(draws["mix"], draws["dropout"])


@settings(deadline=None)
@given(seed=st.integers(0, 2**63 - 1), word=st.text(max_size=5), number=st.integers(-1, 100))
def test_derived_seeds_fit_generators_and_tell_uses_apart(seed: int, word: str, number: int) -> None:
    one = derive(seed, word, number)
    assert one == derive(seed, word, number)
    assert 0 <= one < 2**63
    torch.Generator().manual_seed(one)
    assert one != derive(seed, word, number + 1)
    assert one != derive(seed + 1, word, number)


def test_the_tiny_corpus_is_what_its_tests_rely_on() -> None:
    labels = make_corpus(h=knobs()).windows
    assert 0 < labels.positive.sum() < labels.positive.size / 2
    assert labels.negative.sum() > 0
