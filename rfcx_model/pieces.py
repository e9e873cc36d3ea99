"""A sound file of any length in pieces of about a minute, each heard as a training recording is.

A model is trained on recordings of a minute, normalised one by one; a recording of hours is therefore cut. Each piece
has a core, whose cells are told, and context on both sides, which is heard too so that no call at a border is cut.
Memory holds one piece, whatever the length of the file.

Notations
    frame   hop_length samples at the front end's rate; frame 0 is the file's first sample
    cell    CELL_FRAMES frames; all windows of a file speak of one grid of cells, from frame 0 on
    P       probabilities of a piece's core, maximum over windows, mean over fold models          (cell, species)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from rfcx_model.audio_files import openable
from rfcx_model.compute import Compute
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Frontend
from rfcx_model.labels import Floats
from rfcx_model.network import CELL_FRAMES
from rfcx_model.predict import Grid, Model, framewise, heard, refuse_nan, ruler_grid
from rfcx_model.spectrogram import log_mel, resample, resampled_samples

PIECE_S = 60.0
"""About the length of a core: that of the competition's recordings."""

_BLOCK_SAMPLES = 1 << 18


@dataclass(frozen=True)
class Piece:
    """What is read and what is told, in cells of the file: first and behind the last of each."""

    first: int
    last: int
    core_first: int
    core_last: int


def cut(cells: int, piece_cells: int, context_cells: int) -> list[Piece]:
    """Cores of equal length, at most one and a half times the wanted one, that cover all cells; and their context."""
    count = max(1, round(cells / max(1, piece_cells)))
    edges = [round(cells * k / count) for k in range(count + 1)]
    return [
        Piece(max(0, low - context_cells), min(cells, high + context_cells), low, high) for low, high in pairwise(edges)
    ]


def count_cells(samples: int, frontend: Frontend) -> int:
    """Cells of so many samples at the front end's rate; each begins before their end."""
    return max(1, -(-samples // (frontend.hop_length * CELL_FRAMES)))


def listen(path: Path, model: Model, compute: Compute, piece_s: float = PIECE_S) -> Iterator[tuple[int, Floats]]:
    """What the model hears in a file: of piece after piece the first cell and P, without gap or overlap.

    Raises:
        InputError: the file is no sound, empty, or broken; pieces before the break have been told by then.
    """
    h = model.hyperparameters
    cell_s = CELL_FRAMES / h.frontend.frames_per_s
    try:
        with soundfile.SoundFile(openable(path)) as sound:
            if sound.frames == 0:
                raise InputError(f"{path}: a sound file must hold sound, but it is empty. Remove it.")
            samples = resampled_samples(sound.frames, sound.samplerate, h.frontend.sample_rate_hz)
            cells = count_cells(samples, h.frontend)
            context = -(-round(h.ruler.window_s * h.frontend.frames_per_s) // CELL_FRAMES)
            for piece in cut(cells, round(piece_s / cell_s), context):
                audio = _read(sound, path, piece, h.frontend)
                said = refuse_nan(path, _cells(audio, model, compute))
                low = piece.core_first - piece.first
                yield piece.core_first, said[low : low + piece.core_last - piece.core_first]
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: must decode to its end, but breaks off or is no sound. Copy it again.") from error
    except OSError as error:
        raise InputError(f"{path}: must be readable, but: {error.strerror}. Mend it.") from error


def _read(sound: soundfile.SoundFile, path: Path, piece: Piece, frontend: Frontend) -> np.ndarray:
    """The samples of a piece at the front end's rate, float32 (sample,), the mean of the channels."""
    ratio = sound.samplerate / frontend.sample_rate_hz * frontend.hop_length * CELL_FRAMES
    first, last = round(piece.first * ratio), min(sound.frames, round(piece.last * ratio))
    sound.seek(first)
    mono, got = np.empty(last - first, dtype=np.float32), 0
    while got < len(mono):
        block = sound.read(min(_BLOCK_SAMPLES, len(mono) - got), dtype="float32", always_2d=True)
        if not len(block):
            raise InputError(
                f"{path}: must decode to its end, but {first + got} of {sound.frames} samples do. Copy it again."
            )
        block.mean(axis=1, out=mono[got : got + len(block)])
        got += len(block)
    if not np.isfinite(mono).all():
        raise InputError(f"{path}: samples must be numbers, but got nan or inf. Write the file again.")
    return resample(mono, sound.samplerate, frontend.sample_rate_hz)


def _cells(audio: np.ndarray, model: Model, compute: Compute) -> Floats:
    """P of all cells of a piece, its context's too."""
    h = model.hyperparameters
    sounds = heard(log_mel(audio, h.frontend, model.mel_basis), h, compute)
    frames = sounds.offsets.diff().cpu().numpy()
    windows = ruler_grid(frames, np.array([0]), h.ruler, h.frontend.frames_per_s)
    each = [_on_grid(framewise(net, sounds, windows, compute), windows, int(frames[0])) for net in model.nets]
    return np.asarray(np.mean(each, axis=0), dtype=np.float32)


def _on_grid(probabilities: Floats, windows: Grid, frames: int) -> Floats:
    """(cell, species) the maximum over the windows' cells whose middle lies in a cell of the grid; 0 where none does.

    `probabilities` (window, species, cell); a window's cells behind the end are −1.
    """
    start = windows.start[:, None] + np.arange(probabilities.shape[2]) * CELL_FRAMES
    place = (start + CELL_FRAMES // 2) // CELL_FRAMES
    cells = -(-frames // CELL_FRAMES)
    found = np.zeros((cells, probabilities.shape[1]), dtype=np.float32)
    inside = place < cells
    np.maximum.at(found, place[inside], probabilities.transpose(0, 2, 1)[inside])
    return found
