"""Sound to log-mel, and log-mel to one byte a cell.

Notations
    P   power of a frame's FFT bins, Hann window, frame t centred on sample t · hop_length, zeros beyond the ends
    B   librosa's mel basis (Slaney's scale and norm)                                           (mel, bin)
    db  10 · log10(max(1e-10, B P))                                                             (frame, mel)
    cells = round((db - floor_db) / step_db), within 0 to 255; floor_db = max(db) - range_db, step_db = range_db / 255

Everything after quantisation is linear in `cells`: a window is normalised by one scale a recording and one shift a
recording and mel, so a net can be fed from bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Frontend

LEAST_POWER = 1e-10  # librosa.power_to_db's amin
LEVELS = 255
_BLOCK_SAMPLES = 1 << 20  # so that stereo at 192 kHz is never held whole
_BLOCK_FRAMES = 128  # a block of frames stays in the processor's cache
_BAND_MELS = 16  # mels of a band share one small matrix product


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """The log-mel of one recording in bytes.

    Attributes:
        cells: uint8 (frame, mel).
        floor_db: level of cell value 0.
        step_db: from one cell value to the next.
        mean_db: over all cells, as quantised; so are the three below.
        std_db: over all cells.
        band_median_db: float32 (mel,), each band's median over the frames.
        residual_std_db: over all cells, less the medians of their bands.
    """

    cells: np.ndarray
    floor_db: float
    step_db: float
    mean_db: float
    std_db: float
    band_median_db: np.ndarray
    residual_std_db: float


def read_audio(path: Path | str, sample_rate_hz: int) -> np.ndarray:
    """Decode a sound file: float32 (sample,), the mean of its channels, resampled by soxr HQ as librosa does.

    Raises:
        InputError: the file is broken, anywhere from its first to its last sample, or gone.
    """
    try:
        with soundfile.SoundFile(path) as sound:
            rate_hz, mono = sound.samplerate, np.empty(sound.frames, dtype=np.float32)
            got = len(sound.read(out=mono)) if sound.channels == 1 else _mix(sound, mono)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: must decode to its end, but it is broken ({error}). Copy the file again.") from error
    if got != len(mono):
        raise InputError(f"{path}: must decode to its end, but {got} of {len(mono)} samples do. Copy the file again.")
    if not np.isfinite(mono).all():
        raise InputError(f"{path}: samples must be numbers, but got nan or inf. Write the file again.")
    return resample(mono, rate_hz, sample_rate_hz)


def _mix(sound: soundfile.SoundFile, mono: np.ndarray) -> int:
    """Fill `mono` (sample,) with the mean of the channels; how many samples there were."""
    got = 0
    for block in sound.blocks(_BLOCK_SAMPLES, dtype="float32", always_2d=True):
        block.mean(axis=1, out=mono[got : got + len(block)])
        got += len(block)
    return got


def resample(audio: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """`audio` (sample,) at another rate, `ceil(samples · to / from)` long; `librosa.resample(res_type="soxr_hq")`."""
    if from_hz == to_hz:
        return audio
    wanted = resampled_samples(len(audio), from_hz, to_hz)
    out = soxr.resample(audio, from_hz, to_hz, quality="HQ")[:wanted]
    return np.pad(out, (0, wanted - len(out)))


def resampled_samples(samples: int, from_hz: int, to_hz: int) -> int:
    """How many samples `resample` gives."""
    return -(-samples * to_hz // from_hz)


def count_frames(samples: int, frontend: Frontend) -> int:
    """How many frames `log_mel` gives for so many samples at the front end's rate."""
    return 1 + (samples - frontend.n_fft % 2) // frontend.hop_length


def log_mel(audio: np.ndarray, frontend: Frontend, basis: np.ndarray | None = None) -> np.ndarray:
    """Log-mel power of `audio` (sample,) at the front end's rate: float32 (frame, mel), in dB, not clipped above 1e-10.

    `basis`, float32 (mel, bin), stands in for librosa's, such as one that a model brings.

    Equals `librosa.feature.melspectrogram(center=True, pad_mode="constant", power=2)` with
    `power_to_db(ref=1, amin=1e-10, top_db=None)` to 1e-3 dB.
    """
    import torch  # slow to import, and needed only where sound is read; its FFT is faster than SciPy's

    padded = torch.from_numpy(np.pad(audio.astype(np.float32, copy=False), frontend.n_fft // 2))
    windows, hann = padded.unfold(0, frontend.n_fft, frontend.hop_length), torch.from_numpy(_hann(frontend.n_fft))
    bands = _bands(frontend) if basis is None else _cut(basis)
    power = torch.empty(len(windows), frontend.n_mels)
    for start in range(0, len(windows), _BLOCK_FRAMES):
        block = slice(start, start + _BLOCK_FRAMES)
        squares = torch.view_as_real(torch.fft.rfft(windows[block] * hann)).flatten(1).square_()
        for mels, reach, weights in bands:
            power[block, mels] = squares[:, reach] @ torch.from_numpy(weights)
    db: np.ndarray = power.clamp_(min=LEAST_POWER).log10_().mul_(10.0).numpy()
    return db


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Threads that call `log_mel` side by side do not wait for the threads of each other's FFT."""
    import torch

    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(kept)


@lru_cache(maxsize=8)
def mel_basis(frontend: Frontend) -> np.ndarray:
    """The mel basis of librosa: float32 (mel, bin)."""
    import librosa.filters  # slow to import, and needed only where sound is read

    basis: np.ndarray = librosa.filters.mel(
        sr=frontend.sample_rate_hz,
        n_fft=frontend.n_fft,
        n_mels=frontend.n_mels,
        fmin=frontend.f_min_hz,
        fmax=frontend.f_max_hz,
    )
    return basis


@lru_cache(maxsize=8)
def _hann(n_fft: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)


@lru_cache(maxsize=8)
def _bands(frontend: Frontend) -> tuple[tuple[slice, slice, np.ndarray], ...]:
    return _cut(mel_basis(frontend))


def _cut(basis: np.ndarray) -> tuple[tuple[slice, slice, np.ndarray], ...]:
    """A mel basis cut where it is not zero: (mels, parts that they reach, basis (part, mel)) of each band.

    The parts are the real and the imaginary one of each bin, side by side as the FFT leaves them; both have its weight.
    """
    bands: list[tuple[slice, slice, np.ndarray]] = []
    for first in range(0, len(basis), _BAND_MELS):
        mels = slice(first, first + _BAND_MELS)
        reached = np.flatnonzero(basis[mels].any(axis=0))
        first_bin, end = (int(reached[0]), int(reached[-1]) + 1) if len(reached) else (0, 1)
        weights = np.repeat(basis[mels, first_bin:end].T, 2, axis=0)
        bands.append((mels, slice(2 * first_bin, 2 * end), np.ascontiguousarray(weights)))
    return tuple(bands)


def encode(db: np.ndarray, frontend: Frontend) -> Spectrogram:
    """Quantise `db` (frame, mel): the loudest cell becomes 255, and all below `range_db` under it 0."""
    step_db = frontend.range_db / LEVELS
    floor_db = float(db.max()) - frontend.range_db
    cells = np.rint((db - np.float32(floor_db)) * np.float32(1.0 / step_db)).clip(0, LEVELS).astype(np.uint8)
    frames, n_mels = cells.shape
    keys = cells + np.arange(n_mels, dtype=np.uint32) * np.uint32(LEVELS + 1)
    counts = np.bincount(keys.ravel(), minlength=n_mels * (LEVELS + 1)).reshape(n_mels, LEVELS + 1)
    levels = np.arange(LEVELS + 1, dtype=np.float64)
    below = counts.cumsum(axis=1)
    low, high = ((below <= rank).sum(axis=1) for rank in ((frames - 1) // 2, frames // 2))
    median = (low + high) / 2.0
    mean, std = _moments(np.broadcast_to(levels, counts.shape), counts)
    residual_std = _moments(levels - median[:, None], counts)[1]
    return Spectrogram(
        cells=cells,
        floor_db=floor_db,
        step_db=step_db,
        mean_db=floor_db + step_db * mean,
        std_db=step_db * std,
        band_median_db=(floor_db + step_db * median).astype(np.float32),
        residual_std_db=step_db * residual_std,
    )


def _moments(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of `values`, each standing `counts` times."""
    mean = float((values * counts).sum() / counts.sum())
    return mean, float(np.sqrt((np.square(values - mean) * counts).sum() / counts.sum()))


def affine(spectrogram: Spectrogram, normalise: str) -> tuple[np.ndarray, np.ndarray]:
    """Scale, float32 (), and shift, float32 (mel,), so that `cells · scale + shift` is the normalised input.

    `recording`: (db - mean) / std of the recording. `band_median`: (db - median of the band) / std of that difference.
    A recording without any variation, such as digital silence, becomes 0 everywhere.
    """
    one = spectrogram
    statistics = np.concatenate([[one.floor_db, one.mean_db, one.std_db, one.residual_std_db], one.band_median_db])
    scale, shift = affine_rows(statistics[None], one.step_db, normalise)
    return scale[0], shift[0]


def affine_rows(statistics: np.ndarray, step_db: float, normalise: str) -> tuple[np.ndarray, np.ndarray]:
    """`affine` of many recordings: scale (recording,) and shift (recording, mel), float32.

    `statistics` (recording, 4 + mel) holds floor, mean, std, residual std and the bands' medians, in dB.
    """
    floor_db, mean_db, std_db, residual_std_db = statistics[:, :4].T
    by_band = normalise == "band_median"
    spread = residual_std_db if by_band else std_db
    centre = statistics[:, 4:] if by_band else np.broadcast_to(mean_db[:, None], statistics[:, 4:].shape)
    spread = np.where(spread > 0.0, spread, 1.0)
    scale = step_db / spread
    shift = (floor_db[:, None] - centre) / spread[:, None]
    return scale.astype(np.float32), shift.astype(np.float32)
