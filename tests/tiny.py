"""Tiny competition folders of real sound files: three species, a few seconds of noise with a tone inside each box."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

COLUMNS = "recording_id,species_id,songtype_id,t_min,f_min,t_max,f_max"
TONES_HZ = {0: 500.0, 1: 1500.0, 2: 3000.0}
KNOBS: dict[str, Any] = {
    "network.backbone": "test_resnet",
    "network.pretrained": "none",
    "frontend.sample_rate_hz": 8000,
    "frontend.f_max_hz": 4000.0,
    "frontend.n_fft": 256,
    "frontend.hop_length": 128,
    "frontend.n_mels": 32,
    "windows.window_frames": 64,
    "windows.overlap_frames": 8,
    "augment.time_mask_frames": 4,
    "augment.mel_mask_mels": 4,
    "stage1.epochs": 1,
    "stage1.fp_recordings": 2,
    "stage1.jitter_frames": [0, 8],
    "ruler.window_s": 1.024,
    "ruler.hop_s": 1.024,
}
"""A network and windows that fit these recordings and train in a moment."""


def fixed(knobs: dict[str, Any]) -> str:
    """The knobs as the [fixed] table of a space file."""
    return "[fixed]\n" + "".join(f'"{name}" = {json.dumps(value)}\n' for name, value in knobs.items())


@dataclass(frozen=True)
class Sound:
    """How the tiny recordings are written."""

    recordings: int = 12
    test_recordings: int = 4
    duration_s: float = 6.0
    sample_rate_hz: int = 8000
    extension: str = "flac"
    channels: int = 1
    sites: int = 0
    seed: int = 0


def write_folder(folder: Path, sound: Sound = Sound()) -> Path:
    """Write a competition folder: recording k holds a TP of species k % 3 and an FP of the next species."""
    generator = np.random.default_rng(sound.seed)
    tp, fp, sites = [COLUMNS], [COLUMNS], ["recording_id,site"]
    for part, count in (("train", sound.recordings), ("test", sound.test_recordings)):
        (folder / part).mkdir(parents=True)
        for k in range(count):
            name = f"{part}{k:03d}"
            species, other, start_s = k % 3, (k + 1) % 3, 0.5 + 0.25 * (k % 8)
            write_sound(folder / part / f"{name}.{sound.extension}", sound, species, start_s, generator)
            if part == "train":
                tone = TONES_HZ[species]
                tp.append(f"{name},{species},1,{start_s},{tone - 200},{start_s + 1.0},{tone + 200}")
                tone = TONES_HZ[other]
                fp.append(f"{name},{other},1,{start_s + 2.0},{tone - 200},{start_s + 3.0},{tone + 200}")
                sites.append(f"{name},site{k % max(sound.sites, 1)}")
    (folder / "train_tp.csv").write_text("\n".join(tp) + "\n")
    (folder / "train_fp.csv").write_text("\n".join(fp) + "\n")
    rows = [f"test{k:03d},0.5,0.5,0.5" for k in range(sound.test_recordings)]
    (folder / "sample_submission.csv").write_text("\n".join(["recording_id,s0,s1,s2", *rows]) + "\n")
    if sound.sites:
        (folder / "recordings.csv").write_text("\n".join(sites) + "\n")
    return folder


def write_sound(path: Path, sound: Sound, species: int, start_s: float, generator: np.random.Generator) -> None:
    """Noise with one second of the species' tone from `start_s` on."""
    time_s = np.arange(int(sound.duration_s * sound.sample_rate_hz)) / sound.sample_rate_hz
    audio = 0.02 * generator.standard_normal(len(time_s))
    inside = (time_s >= start_s) & (time_s < start_s + 1.0)
    audio += 0.2 * inside * np.sin(2 * np.pi * TONES_HZ[species] * time_s)
    soundfile.write(path, np.repeat(audio[:, None], sound.channels, axis=1), sound.sample_rate_hz)
