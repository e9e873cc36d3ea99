"""What a stage trains on: crops around calls (stage 1), or all windows of recordings (stages 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray

from rfcx_model.corpus import Corpus
from rfcx_model.hyperparameters import Stage1, Windows
from rfcx_model.labels import Indices, WindowLabels, window_labels


def derive(seed: int, *words: str | int) -> int:
    """A seed for one use, 0..2**63−1: a hash of a seed and the words that name the use."""
    text = "/".join(map(str, (seed, *words)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1


@dataclass(frozen=True, eq=False)
class Streams:
    """The random streams of one epoch. Each has one use, so arms that differ in one knob pair in all others."""

    order: np.random.Generator
    augment: torch.Generator
    mix: torch.Generator
    dropout: torch.Generator


def streams(seed: int) -> Streams:
    """Fresh streams; the same seed gives the same draws."""
    return Streams(
        order=np.random.default_rng(derive(seed, "order")),
        augment=torch.Generator().manual_seed(derive(seed, "augment")),
        mix=torch.Generator().manual_seed(derive(seed, "mix")),
        dropout=torch.Generator().manual_seed(derive(seed, "dropout")),
    )


def crops(
    corpus: Corpus, training: NDArray[np.bool_], stage1: Stage1, windows: Windows, order: np.random.Generator
) -> Iterator[WindowLabels]:
    """One epoch of stage 1: a crop for every TP recording (or every TP call), and for some FP recordings drawn anew.

    A crop lies around a random TP call of its recording, or its own call (FP recordings: an FP call), moved either way
    by one of `jitter_frames`, or anywhere. Its positives are the TP calls in it by the rule of labels.py, and all else
    is absent.

    Args:
        corpus: the data
        training: (recording,) which recordings may be trained on
        stage1: knobs
        windows: crop length and label rule
        order: draws everything
    """
    confirmed = _draw_boxes(corpus, training, True, order)
    if stage1.crops_per == "call":
        confirmed = np.flatnonzero(corpus.boxes.positive & training[corpus.boxes.recording])
    refused = _draw_boxes(corpus, training, False, order)
    refused = order.permutation(refused)[: stage1.fp_recordings]
    chosen = order.permutation(np.concatenate([confirmed, refused]))
    start = _crop_starts(corpus, chosen, stage1, windows.window_frames, order)
    labels = window_labels(
        corpus.boxes,
        corpus.boxes.recording[chosen],
        start,
        window_frames=windows.window_frames,
        box_overlap=windows.box_overlap,
        n_species=corpus.n_species,
    )
    absent = WindowLabels(labels.recording, labels.start, labels.positive, 1.0 - labels.positive)
    for part in _parts(len(chosen), stage1.batch_crops):
        yield _take(absent, np.arange(len(chosen))[part])


def recordings(
    labels: WindowLabels, training: NDArray[np.bool_], batch_recordings: int, order: np.random.Generator
) -> Iterator[WindowLabels]:
    """One epoch of stages 2 and 3: all windows of every training recording, some recordings a batch."""
    shuffled = order.permutation(np.flatnonzero(training))
    first = np.searchsorted(labels.recording, shuffled, "left")  # the grid lists windows by recording
    last = np.searchsorted(labels.recording, shuffled, "right")
    for part in _parts(len(shuffled), batch_recordings):
        windows = [np.arange(a, b) for a, b in zip(first[part], last[part], strict=True)]
        yield _take(labels, np.concatenate(windows))


def _parts(count: int, size: int) -> list[slice]:
    """Batches of `size`; a single one left over joins the last batch, as some norms (ResNeSt's) cannot train on one."""
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True)]


def _take(labels: WindowLabels, chosen: Indices) -> WindowLabels:
    return WindowLabels(
        labels.recording[chosen], labels.start[chosen], labels.positive[chosen], labels.negative[chosen]
    )


def _draw_boxes(corpus: Corpus, training: NDArray[np.bool_], positive: bool, order: np.random.Generator) -> Indices:
    """One box of the kind at random for each training recording that has one, (recording,)."""
    boxes = np.flatnonzero((corpus.boxes.positive == positive) & training[corpus.boxes.recording])
    boxes = order.permutation(boxes)
    _, first = np.unique(corpus.boxes.recording[boxes], return_index=True)
    return boxes[first]


def _crop_starts(
    corpus: Corpus, chosen: Indices, stage1: Stage1, window_frames: int, order: np.random.Generator
) -> Indices:
    """Starts (crop,) in frames; inside the recording where it is long enough, else 0."""
    room = np.maximum(corpus.frames[corpus.boxes.recording[chosen]] - window_frames, 0)
    jitter = order.choice(np.array(stage1.jitter_frames or (0,)), len(chosen)) * order.choice([-1, 1], len(chosen))
    anywhere = np.floor(order.random(len(chosen)) * (room + 1)).astype(np.int64)
    if stage1.crop == "random":
        return np.asarray(anywhere)
    middle = (corpus.boxes.start[chosen] + corpus.boxes.end[chosen]) / 2
    start = np.rint(middle).astype(np.int64) - window_frames // 2 + jitter
    return np.asarray(np.clip(start, 0, room))
