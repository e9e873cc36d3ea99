"""What a model says of every window of the ruler: the units that an audit draws from.

framewise logits → sigmoid → maximum over the cells of a window → mean over fold models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rfcx_model.compute import Compute
from rfcx_model.errors import InputError, RunError
from rfcx_model.labels import Floats, Indices
from rfcx_model.predict import Grid, Model, framewise, hear, refuse_nan, ruler_grid


@dataclass(frozen=True, eq=False)
class WindowScores:
    """Scores of windows, recording after recording; the last window of a recording may reach beyond its end."""

    recording: Indices  # (window,) row of the table of recordings
    start_s: np.ndarray  # (window,) float64
    window_s: float
    scores: Floats  # (window, species) 0..1
    faults: Mapping[int, InputError]  # why a recording cannot be heard, by row; it has no window


def window_scores(
    model: Model,
    recordings: pd.DataFrame,
    compute: Compute,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> WindowScores:
    """Score the ruler's windows of `recordings` (column path), `workers` threads taking a recording each.

    Raises:
        RunError: no recording can be heard.
    """
    frames_per_s = model.hyperparameters.frontend.frames_per_s

    def score(path: str) -> tuple[Grid, Floats] | InputError:
        try:
            sounds = hear(Path(path), model.hyperparameters, compute, model.mel_basis)
            frames = sounds.offsets.diff().cpu().numpy()
            windows = ruler_grid(frames, np.array([0]), model.hyperparameters.ruler, frames_per_s)
            said = [framewise(net, sounds, windows, compute).max(axis=2) for net in model.nets]
            return windows, refuse_nan(Path(path), np.mean(said, axis=0, dtype=np.float32))
        except InputError as error:
            return error

    heard: dict[int, tuple[Grid, Floats]] = {}
    faults: dict[int, InputError] = {}
    with ThreadPoolExecutor(workers) as pool:
        for row, one in enumerate(pool.map(score, recordings["path"])):
            if isinstance(one, InputError):
                faults[row] = one
            else:
                heard[row] = one
            if progress:
                progress(row + 1, len(recordings))
    if not heard:
        raise RunError(f"no recording could be heard; the first: {next(iter(faults.values()), 'there is none')}")
    windows, scores = zip(*heard.values(), strict=True)
    return WindowScores(
        recording=np.repeat(list(heard), [len(one) for one in scores]),
        start_s=np.concatenate([one.start for one in windows]) / frames_per_s,
        window_s=windows[0].window_frames / frames_per_s,
        scores=np.concatenate(scores),
        faults=faults,
    )
