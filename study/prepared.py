"""A front end's spectrograms, opened or made, with a bar. Without the network: `prepare` needs no timm."""

from __future__ import annotations

from pathlib import Path

from rfcx_model.hyperparameters import Frontend
from rfcx_model.recordings import Recordings
from rfcx_model.spectrogram_cache import Spectrograms, prepare
from study.display import Display
from study.machine import cores


def spectrograms(recordings: Recordings, frontend: Frontend, cache: Path, display: Display) -> Spectrograms:
    """The cache of one front end, opened or made on all cores.

    Raises:
        InputError: a recording is broken, or the disk has no room.
    """
    with display.phase("spectrograms", len(recordings.train)):
        made = prepare(recordings, frontend, cache, workers=cores(), progress=display.at)
        display.at(len(recordings.train))
    return made
