"""The training recordings as tensors: windows in, labels and folds beside them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rfcx_model.compute import Compute
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.labels import Boxes, Indices, WindowLabels, grid, window_labels
from rfcx_model.metrics import Listed

if TYPE_CHECKING:  # who only detects calls does without pandas, and its 70 MB
    from rfcx_model.recordings import Recordings
    from rfcx_model.spectrogram_cache import Spectrograms


@dataclass(frozen=True, eq=False)
class Sounds:
    """Quantised log-mel of many recordings on a device, end to end, and how to normalise it."""

    cells: Tensor  # (total frame, mel) uint8
    offsets: Tensor  # (recording + 1,)
    scale: Tensor  # (recording,) units of the input per quantisation step
    shift: Tensor  # (recording, mel)
    step_db: float  # dB per quantisation step

    def inputs(self, recording: Tensor, start: Tensor, window_frames: int) -> Tensor:
        """Normalised windows (window, 1, frame, mel), float32; frames outside their recording are 0.

        Args:
            recording: (window,) on the cells' device
            start: (window,) frames, may be negative or reach over the end
            window_frames: length
        """
        first = self.offsets[recording]
        frame = start[:, None] + torch.arange(window_frames, device=start.device)
        inside = (frame >= 0) & (frame < (self.offsets[recording + 1] - first)[:, None])
        cells = self.cells[torch.where(inside, first[:, None] + frame, 0)]
        x = torch.addcmul(self.shift[recording][:, None, :], cells.float(), self.scale[recording][:, None, None])
        x = x * inside[:, :, None]
        return x[:, None]

    def units_per_db(self, recording: Tensor) -> Tensor:
        """What 1 dB is in units of the input, (window,)."""
        return self.scale[recording] / self.step_db


@dataclass(frozen=True, eq=False)
class Corpus:
    """All that training and measuring read of the data. Fixed for a study's replicate."""

    sounds: Sounds
    frames: Indices  # (recording,) lengths
    folds: Indices  # (recording,) LOCKED for those that are neither trained on nor scored
    boxes: Boxes
    listed: Listed
    windows: WindowLabels  # the training grid of every recording
    n_species: int
    frames_per_s: float


def build(
    recordings: Recordings,
    spectrograms: Spectrograms,
    folds: Indices,
    hyperparameters: Hyperparameters,
    compute: Compute,
) -> Corpus:
    """Label the grid and put the spectrograms on the device (on the CPU they stay memory-mapped)."""
    frontend, windows = hyperparameters.frontend, hyperparameters.windows
    table = recordings.boxes
    boxes = Boxes(
        recording=table["recording"].to_numpy(np.int64),
        species=table["species"].to_numpy(np.int64),
        start=table["t_min"].to_numpy(np.float64) * frontend.frames_per_s,
        end=table["t_max"].to_numpy(np.float64) * frontend.frames_per_s,
        positive=table["positive"].to_numpy(bool),
    )
    frames = np.diff(spectrograms.offsets)
    starts = [grid(int(n), windows.window_frames, windows.window_frames - windows.overlap_frames) for n in frames]
    n_species = len(recordings.species)
    return Corpus(
        sounds=sounds(spectrograms, windows.normalise, compute),
        frames=frames,
        folds=np.asarray(folds, dtype=np.int64),
        boxes=boxes,
        listed=Listed(boxes.recording, boxes.species, table["template"].to_numpy(np.int64), boxes.positive, n_species),
        windows=window_labels(
            boxes,
            np.repeat(np.arange(len(frames)), [len(s) for s in starts]),
            np.concatenate(starts),
            window_frames=windows.window_frames,
            box_overlap=windows.box_overlap,
            n_species=n_species,
        ),
        n_species=n_species,
        frames_per_s=frontend.frames_per_s,
    )


def sounds(spectrograms: Spectrograms, normalise: str, compute: Compute) -> Sounds:
    """The spectrograms on the device."""
    scale, shift = spectrograms.affine(normalise)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the memory map is read-only, and nothing writes to it
        cells = torch.from_numpy(spectrograms.cells)
    device = compute.device
    return Sounds(
        cells=cells.to(device),
        offsets=torch.from_numpy(np.array(spectrograms.offsets, dtype=np.int64)).to(device),
        scale=torch.from_numpy(np.array(scale, dtype=np.float32)).to(device),
        shift=torch.from_numpy(np.array(shift, dtype=np.float32)).to(device),
        step_db=spectrograms.frontend.range_db / 255.0,
    )
