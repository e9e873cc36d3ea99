"""What a model says of every window of the ruler: the units that an audit draws from.

framewise logits → sigmoid → maximum over the cells of a window → mean over fold models.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rfcx_model.compute import Compute
from rfcx_model.labels import Floats, Indices
from rfcx_model.predict import Model, framewise, hear, ruler_grid


@dataclass(frozen=True, eq=False)
class WindowScores:
    """Scores of windows, recording after recording; the last window of a recording may reach beyond its end."""

    recording: Indices  # (window,) row of the table of recordings
    start_s: np.ndarray  # (window,) float64
    window_s: float
    scores: Floats  # (window, species) 0..1


def window_scores(
    model: Model,
    recordings: pd.DataFrame,
    compute: Compute,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> WindowScores:
    """Score the ruler's windows of `recordings` (column path), `workers` threads taking a recording each.

    Raises:
        InputError: a sound file is broken.
    """
    frames_per_s = model.hyperparameters.frontend.frames_per_s

    def score(path: str) -> tuple[Indices, int, Floats]:
        sounds = hear(Path(path), model.hyperparameters, compute)
        frames = sounds.offsets.diff().cpu().numpy()
        windows = ruler_grid(frames, np.array([0]), model.hyperparameters.ruler, frames_per_s)
        said = [framewise(net, sounds, windows, compute).max(axis=2) for net in model.nets]
        return windows.start, windows.window_frames, np.mean(said, axis=0, dtype=np.float32)

    heard = []
    with ThreadPoolExecutor(workers) as pool:
        for done, one in enumerate(pool.map(score, recordings["path"]), start=1):
            heard.append(one)
            if progress:
                progress(done, len(recordings))
    starts, lengths, scores = zip(*heard, strict=True)
    return WindowScores(
        recording=np.repeat(np.arange(len(starts)), [len(one) for one in starts]),
        start_s=np.concatenate(starts) / frames_per_s,
        window_s=lengths[0] / frames_per_s,
        scores=np.concatenate(scores),
    )
