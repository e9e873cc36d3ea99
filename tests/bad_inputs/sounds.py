"""Sound files."""

from __future__ import annotations

import shutil
import struct

import numpy as np
from numpy.typing import NDArray

from bad_inputs.case import Bad, Make, both, cut, folder, gone, loop, raw, sound

CHECK = "check data"
FIELD = "predict model --recordings field --to calls --threshold 1"
PREDICT = "predict model --data data --to out.csv"
ONE, FLAC = "data/train/train000", "data/train/train000.flac"


def noise(seconds: float = 6.0, rate_hz: int = 8000, channels: int = 1) -> NDArray[np.float64]:
    return 0.1 * np.random.default_rng(0).standard_normal((int(seconds * rate_hz), channels))


def spoilt(value: float) -> NDArray[np.float64]:
    samples = noise()
    samples[100] = value
    return samples


def not_a_number(name: str) -> Make:
    """A recording that cannot be heard."""
    return both(gone(f"{name}.flac"), sound(f"{name}.wav", lambda: spoilt(np.nan), subtype="FLOAT"))


def field(make: Make) -> Make:
    """A folder of field recordings that holds this."""
    return both(folder("field"), make)


def endless(name: str) -> Make:
    """A recording one of whose samples is infinite."""
    return sound(name, lambda: spoilt(np.inf), subtype="FLOAT")


def copied(name: str, to: str) -> Make:
    """A file stands in another place, too."""
    return lambda world: shutil.copyfile(world / name, world / to)


def nowhere(name: str) -> Make:
    """A link to a file that is not there."""
    return lambda world: (world / name).symlink_to("nowhere.flac")


def wav_of(claimed: int) -> bytes:
    """A WAV of 100 bytes of sound whose header claims more."""
    form = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", claimed)
    return b"RIFF" + struct.pack("<I", claimed) + head + bytes(100)


CASES = [
    Bad("a FLAC is cut short", CHECK, cut(FLAC, 0.5)),
    Bad("a FLAC is cut in its header", CHECK, cut(FLAC, 0.001)),
    Bad("a FLAC is empty", CHECK, raw(FLAC, b"")),
    Bad("a FLAC is a picture", CHECK, raw(FLAC, b"\x89PNG\r\n\x1a\n" + bytes(2000))),
    Bad("a FLAC is text", CHECK, raw(FLAC, b"This is not a sound." * 100)),
    Bad("a FLAC is a folder", CHECK, folder(FLAC)),
    Bad("a FLAC has no samples", CHECK, sound(FLAC, lambda: noise(0.0))),
    Bad("a recording lasts 1 s", CHECK, sound(FLAC, lambda: noise(1.0))),
    Bad("a recording of 1 Hz", CHECK, both(gone(FLAC), sound(f"{ONE}.wav", noise, 1))),
    Bad("a recording of 384 kHz", CHECK, sound(FLAC, lambda: noise(6.0, 384_000), 384_000)),
    Bad("a recording of 2 kHz", CHECK, sound(FLAC, lambda: noise(6.0, 2000), 2000)),
    Bad("a recording stands there as FLAC and as WAV", CHECK, sound(f"{ONE}.wav", noise)),
    Bad("a FLAC that is named .wav", CHECK, both(gone(FLAC), raw(f"{ONE}.wav", b"fLaC" + bytes(100)))),
    Bad(
        "a WAV holds what is not a number",
        "prepare data --cache cache",
        both(gone(FLAC), sound(f"{ONE}.wav", lambda: spoilt(np.nan), subtype="FLOAT")),
    ),
    Bad(
        "a WAV holds what is infinite",
        "prepare data --cache cache",
        both(gone(FLAC), sound(f"{ONE}.wav", lambda: spoilt(np.inf), subtype="FLOAT")),
    ),
    Bad("a recording has eight channels", CHECK, sound(FLAC, lambda: noise(channels=8))),
    Bad("a recording lasts 700 s", CHECK, sound(FLAC, lambda: noise(700.0))),
    Bad("a recording is a link to itself", CHECK, loop(FLAC)),
    Bad("a recording is a link to nothing", CHECK, both(gone(FLAC), nowhere(FLAC))),
    Bad("a WAV's header claims hours", CHECK, both(gone(FLAC), raw(f"{ONE}.wav", wav_of(2**31)))),
    Bad("a field recording is text", FIELD, field(raw("field/a.wav", b"This is not a sound." * 100))),
    Bad("a field recording is empty", FIELD, field(raw("field/a.wav", b""))),
    Bad("a field recording is cut short", FIELD, field(both(copied(FLAC, "field/a.flac"), cut("field/a.flac", 0.5)))),
    Bad("a field recording holds what is infinite", FIELD, field(endless("field/a.wav"))),
    Bad("a field recording's name steers the terminal", FIELD, field(raw("field/\x1b[2Ja.wav", b"text"))),
    Bad("a field recording is a folder", FIELD, field(folder("field/a.wav"))),
    Bad("a field recording is a link to itself", FIELD, field(loop("field/a.wav"))),
    Bad("a test recording holds what is not a number", PREDICT, not_a_number("data/test/test000")),
    Bad("no test recording can be heard", PREDICT, both(*(not_a_number(f"data/test/test00{k}") for k in range(3)))),
    Bad("a test recording is empty", PREDICT, raw("data/test/test000.flac", b"")),
    Bad("a test recording is cut short", CHECK, cut("data/test/test000.flac", 0.5)),
    Bad("a recording is an MP3 by another name", CHECK, raw(FLAC, b"ID3\x03" + bytes(5000))),
]
