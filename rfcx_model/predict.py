"""Windows to recordings: one path for out-of-fold scores and for a submission.

framewise logits → sigmoid → maximum over the cells of a window → maximum over windows → mean over fold models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rfcx_model.compute import Compute
from rfcx_model.corpus import Sounds
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Frontend, Hyperparameters, Ruler
from rfcx_model.labels import Boxes, Floats, Indices, grid
from rfcx_model.network import CELL_FRAMES, Logits, RFCXNet
from rfcx_model.spectrogram import affine, encode, log_mel, read_audio

BATCH_WINDOWS = 64
CPU_BATCH_WINDOWS = 16
"""As fast on a processor, in less memory."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The windows on which recordings are scored."""

    recording: Indices  # (window,)
    start: Indices  # (window,) frames
    window_frames: int


def ruler_grid(frames: Indices, recordings: Indices, ruler: Ruler, frames_per_s: float) -> Grid:
    """The ruler's grid over some recordings; `frames` (recording,) are the lengths of all."""
    window, hop = round(ruler.window_s * frames_per_s), max(1, round(ruler.hop_s * frames_per_s))
    starts = [grid(int(frames[one]), window, hop) for one in recordings]
    return Grid(np.repeat(recordings, [len(s) for s in starts]), np.concatenate(starts), window)


@torch.no_grad()
def framewise(net: RFCXNet, sounds: Sounds, windows: Grid, compute: Compute) -> Floats:
    """Probabilities (window, species, cell); cells that lie wholly behind a recording's end are −1."""
    lengths = sounds.offsets.diff().cpu().numpy()[windows.recording]
    chunks = [torch.sigmoid(logits.framewise) for logits in _logits(net, sounds, windows, compute)]
    probabilities = torch.cat(chunks).cpu().numpy()
    cell_start = windows.start[:, None] + np.arange(probabilities.shape[2]) * CELL_FRAMES
    probabilities[np.broadcast_to((cell_start >= lengths[:, None])[:, None], probabilities.shape)] = -1.0
    return probabilities


@torch.no_grad()
def clipwise(net: RFCXNet, sounds: Sounds, windows: Grid, compute: Compute) -> Floats:
    """Probabilities (window, species) of whole windows, which teachers label with."""
    return (
        torch.cat([torch.sigmoid(logits.clipwise) for logits in _logits(net, sounds, windows, compute)]).cpu().numpy()
    )


def _logits(net: RFCXNet, sounds: Sounds, windows: Grid, compute: Compute) -> Iterator[Logits]:
    net.eval()
    recording = torch.from_numpy(windows.recording).to(compute.device)
    start = torch.from_numpy(windows.start).to(compute.device)
    batch = CPU_BATCH_WINDOWS if compute.device.type == "cpu" else BATCH_WINDOWS
    for r, s in zip(torch.split(recording, batch), torch.split(start, batch), strict=True):
        x = sounds.inputs(r, s, windows.window_frames).contiguous(memory_format=compute.memory_format)
        with compute.autocast():
            yield net(x)


def recording_scores(probabilities: Floats, windows: Grid, n_recordings: int) -> Floats:
    """Maximum over windows and cells, (recording, species); −1 where a recording has no window."""
    scores = np.full((n_recordings, probabilities.shape[1]), -1.0, dtype=np.float32)
    np.maximum.at(scores, windows.recording, probabilities.max(axis=2))
    return scores


def box_scores(probabilities: Floats, windows: Grid, boxes: Boxes, min_box_frames: float) -> Floats:
    """Maximum probability of each box's species over the cells that it touches, (box,); −1 where none does.

    A box is widened about its middle to at least `min_box_frames`.
    """
    middle, half = (boxes.start + boxes.end) / 2, np.maximum(boxes.end - boxes.start, min_box_frames) / 2
    low, high = np.maximum(middle - half, 0), middle + half
    scores = np.full(len(boxes.recording), -1.0, dtype=np.float32)
    order = np.argsort(windows.recording, kind="stable")
    first = np.searchsorted(windows.recording[order], boxes.recording, "left")
    last = np.searchsorted(windows.recording[order], boxes.recording, "right")
    counts = last - first
    box = np.repeat(np.arange(len(counts)), counts)
    window = order[np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())]
    cell_start = windows.start[window][:, None] + np.arange(probabilities.shape[2]) * CELL_FRAMES
    touched = (cell_start < high[box][:, None]) & (cell_start + CELL_FRAMES > low[box][:, None])
    chosen = np.where(touched, probabilities[window, boxes.species[box]], -1.0)
    np.maximum.at(scores, box, chosen.max(axis=1))
    return scores


@dataclass(frozen=True, eq=False)
class Model:
    """Trained fold models and all that is needed to hear with them."""

    nets: Sequence[RFCXNet]
    hyperparameters: Hyperparameters
    species: tuple[int, ...]
    mel_basis: np.ndarray | None = None  # float32 (mel, bin); None: librosa's


def hear(
    audio_path: Path, hyperparameters: Hyperparameters, compute: Compute, mel_basis: np.ndarray | None = None
) -> Sounds:
    """One recording of any rate, decoded and encoded as the training recordings were.

    Raises:
        InputError: the file is no sound, or broken.
    """
    frontend = hyperparameters.frontend
    audio = read_audio(audio_path, frontend.sample_rate_hz)
    return heard(log_mel(audio, frontend, mel_basis), hyperparameters, compute)


def heard(db: np.ndarray, hyperparameters: Hyperparameters, compute: Compute) -> Sounds:
    """The log-mel of one recording (frame, mel) in dB, encoded and to be normalised as the training recordings were."""
    frontend: Frontend = hyperparameters.frontend
    spectrogram = encode(db, frontend)
    scale, shift = affine(spectrogram, hyperparameters.windows.normalise)
    device = compute.device
    return Sounds(
        cells=torch.from_numpy(spectrogram.cells).to(device),
        offsets=torch.tensor([0, len(spectrogram.cells)], device=device),
        scale=torch.from_numpy(scale.reshape(1)).to(device),
        shift=torch.from_numpy(shift.reshape(1, -1)).to(device),
        step_db=frontend.range_db / 255.0,
    )


def score_recording(model: Model, sounds: Sounds, compute: Compute) -> Floats:
    """(species,) probabilities of one recording: mean over the fold models."""
    ruler, frames_per_s = model.hyperparameters.ruler, model.hyperparameters.frontend.frames_per_s
    frames = sounds.offsets.diff().cpu().numpy()
    windows = ruler_grid(frames, np.array([0]), ruler, frames_per_s)
    scores = [recording_scores(framewise(net, sounds, windows, compute), windows, 1)[0] for net in model.nets]
    return np.asarray(np.mean(scores, axis=0), dtype=np.float32)


def scores(model: Model, paths: Iterable[Path], compute: Compute, workers: int = 1) -> Iterator[Floats | InputError]:
    """(species,) probabilities of each recording in turn, or why it cannot be heard.

    `workers` threads take a recording each; with one intra-op thread each they never wait for one another.
    """

    def score(path: Path) -> Floats | InputError:
        try:
            sounds = hear(path, model.hyperparameters, compute, model.mel_basis)
            return refuse_nan(path, score_recording(model, sounds, compute))
        except InputError as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from pool.map(score, paths)
        finally:
            pool.shutdown(cancel_futures=True)


def refuse_nan(path: Path, probabilities: Floats) -> Floats:
    """The probabilities of a recording as they are.

    Raises:
        InputError: one is nan or infinite.
    """
    if not np.isfinite(probabilities).all():
        raise InputError(f"{path}: probabilities must be numbers, but the model says nan. Train it again.")
    return probabilities
