"""What a person hears: the drawn windows of a species one after another, in one FLAC file, a pause between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from rfcx_model.errors import InputError
from rfcx_model.spectrogram import resample

PAUSE_S: Final = 1.0


@dataclass(frozen=True)
class Clip:
    """A stretch of a sound file; what would lie behind the file's end is left out."""

    path: Path
    start_s: float
    duration_s: float


def write(path: Path, clips: Sequence[Clip]) -> list[tuple[float, float]]:
    """Write the clips with a pause behind each, and return where they lie in the file, in seconds.

    Mono, 16 bits, as loud as they were recorded, at the highest sample rate among them.

    Raises:
        InputError: a sound file cannot be read.
    """
    rate_hz = max(_rate_hz(clip.path) for clip in clips)
    pause = np.zeros(round(PAUSE_S * rate_hz), dtype=np.float32)
    spans, at = [], 0
    with soundfile.SoundFile(path, "w", rate_hz, 1, "PCM_16", format="FLAC") as out:
        for clip in clips:
            heard = _read(clip, rate_hz)
            out.write(heard)
            out.write(pause)
            spans.append((at / rate_hz, (at + len(heard)) / rate_hz))
            at += len(heard) + len(pause)
    return spans


def _rate_hz(path: Path) -> int:
    try:
        return int(soundfile.info(path).samplerate)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: must be readable, but it is not ({error}). Copy the file again.") from error


def _read(clip: Clip, rate_hz: int) -> np.ndarray:
    """(sample,) float32, within -1 to 1."""
    try:
        with soundfile.SoundFile(clip.path) as sound:
            own_hz = sound.samplerate
            sound.seek(min(round(clip.start_s * own_hz), sound.frames))
            heard = sound.read(round(clip.duration_s * own_hz), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{clip.path}: must decode to its end, but is broken or no sound. Copy it again.") from error
    mono: np.ndarray = heard.mean(axis=1)
    return resample(mono, own_hz, rate_hz).clip(-1.0, 1.0)
