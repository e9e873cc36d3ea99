"""Tiny competition folders of real sound files: three species, a few seconds of noise with a tone inside each box."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

COLUMNS = "recording_id,species_id,songtype_id,t_min,f_min,t_max,f_max"
TONES_HZ = {0: 500.0, 1: 1500.0, 2: 3000.0}


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
