"""Windows × species: positive, negative, unknown, pseudo.

**The rule.** A box labels a window when at least `box_overlap` (½ by default) of the box, or of the window if that is
shorter, lies inside it. So a short call counts where most of it is heard, and a call longer than a window counts
where it fills most of the window. A cell that both a TP and an FP box label is positive: one confirmed call is
enough. A cell that no box labels is unknown, not absent.

Windows lie on a grid: `step = window − overlap` frames apart from frame 0, as many as are needed to cover the
recording, the last one hanging over the end into padding (60 s at 62.5 frames/s, 512 frames, overlap 49: 8).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Boxes:
    """Listed calls in frames of the spectrogram."""

    recording: Indices  # (box,)
    species: Indices  # (box,)
    start: NDArray[np.float64]  # (box,) frames
    end: NDArray[np.float64]  # (box,) frames
    positive: NDArray[np.bool_]  # (box,)


@dataclass(frozen=True, eq=False)
class WindowLabels:
    """Windows and their labels as loss weights; 0 and 0 is unknown."""

    recording: Indices  # (window,)
    start: Indices  # (window,) frames
    positive: Floats  # (window, species)
    negative: Floats  # (window, species)


def grid(n_frames: int, window_frames: int, step_frames: int) -> Indices:
    """Starts of the windows that cover `n_frames`, (window,) frames."""
    count = max(0, math.ceil((n_frames - window_frames) / step_frames)) + 1
    return np.arange(count, dtype=np.int64) * step_frames


def overlaps(
    start: NDArray[np.float64], end: NDArray[np.float64], window_start: Indices, window_frames: int
) -> NDArray[np.float64]:
    """Share of the shorter of box and window that lies in both, (box,) or broadcast, 0..1."""
    inside = np.minimum(end, window_start + window_frames) - np.maximum(start, window_start)
    return np.asarray(np.clip(inside, 0, None) / np.maximum(np.minimum(end - start, window_frames), 1e-9))


def window_labels(
    boxes: Boxes,
    recording: Indices,
    start: Indices,
    *,
    window_frames: int,
    box_overlap: float,
    n_species: int,
) -> WindowLabels:
    """Label windows (given by recording and start) by the rule above."""
    positive = np.zeros((len(recording), n_species), dtype=np.float32)
    negative = np.zeros_like(positive)
    order = np.argsort(recording)
    first = np.searchsorted(recording[order], boxes.recording, "left")
    last = np.searchsorted(recording[order], boxes.recording, "right")
    counts = last - first
    box = np.repeat(np.arange(len(first)), counts)  # every (box, window of its recording) pair
    window = order[np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())]
    hit = overlaps(boxes.start[box], boxes.end[box], start[window], window_frames) >= box_overlap
    box, window = box[hit], window[hit]
    target = np.where(boxes.positive[box], 0, 1)
    for which, cells in enumerate((positive, negative)):
        chosen = target == which
        cells[window[chosen], boxes.species[box[chosen]]] = 1.0
    negative[positive > 0] = 0.0
    return WindowLabels(recording, start, positive, negative)


@dataclass(frozen=True, eq=False)
class Lessons:
    """What the teachers of one student say of all windows.

    Where `unseen` is given, a label also needs the call of a teacher that was not trained on that recording.
    """

    said: Floats  # (teacher, window, species) clipwise probabilities; NaN where a teacher may not speak
    unseen: NDArray[np.bool_] | None = None  # (teacher, window)


def lessons_of(
    mine: Sequence[int], heard: Sequence[tuple[Sequence[int], Floats]], fold: Indices, *, everyone: bool
) -> Lessons:
    """What a student is taught by those who may teach it. Nobody speaks of the recordings that the student holds out.

    Args:
        mine: folds that the student holds out
        heard: of each model the folds that it holds out, and what it says (window, species)
        fold: (window,) the fold of each window's recording
        everyone: whether models that have seen the student's held-out folds teach too, which leaks them to it
    """
    chosen = [(held_out, said) for held_out, said in heard if everyone or set(mine) <= set(held_out)]
    said = np.stack([said for _, said in chosen])
    said[:, np.isin(fold, mine)] = np.nan
    wider = not everyone and any(set(mine) < set(held_out) for held_out, _ in chosen)
    unseen = np.stack([np.isin(fold, held_out) for held_out, _ in chosen]) if wider else None
    return Lessons(said, unseen)


def pseudo_positives(
    lessons: Lessons, *, threshold: float, votes: float, rule: Literal["votes", "mean"] = "votes"
) -> NDArray[np.bool_]:
    """Cells (window, species) that the teachers call present.

    votes: more than `threshold` in at least the fraction `votes` of the teachers (the diary's 3 of 5 is 0.6);
    mean:  the teachers' mean is at least `threshold`. A threshold of 1 switches pseudo-labels off.
    """
    said = lessons.said
    if threshold >= 1:
        return np.zeros(said.shape[1:], dtype=bool)
    calls = said > threshold
    if rule == "votes":
        called = calls.sum(axis=0) >= max(math.ceil(votes * len(said) - 1e-9), 1)
    else:
        calls = said >= threshold
        called = said.mean(axis=0) >= threshold
    if lessons.unseen is not None:
        called = called & (calls & lessons.unseen[:, :, None]).any(axis=0)
    return np.asarray(called)


def with_pseudo(labels: WindowLabels, pseudo: NDArray[np.bool_], weight: float) -> WindowLabels:
    """Pseudo-positives of the given loss weight where the cell was unknown; known cells stay as they are."""
    unknown = (labels.positive == 0) & (labels.negative == 0)
    positive = np.where(unknown & pseudo, np.float32(weight), labels.positive)
    return WindowLabels(labels.recording, labels.start, positive.astype(np.float32), labels.negative)
