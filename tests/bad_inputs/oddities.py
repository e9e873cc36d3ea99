"""What looks odd and is taken as it is, or noted by `check`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bad_inputs.case import Bad, Make, both, gone, more, raw, sound, swap
from bad_inputs.sounds import FIELD, FLAC, ONE, field, noise
from bad_inputs.tables import ROW

CHECK = "check data --folds 2"
TP = "data/train_tp.csv"


def rewritten(change: Callable[[str], str], encoding: str = "utf-8") -> Make:
    """train_tp.csv as another program would have written it."""

    def make(world: Path) -> None:
        path = world / TP
        path.write_bytes(change(path.read_text(encoding="utf-8")).encode(encoding))

    return make


def columns(change: Callable[[list[str]], list[str]]) -> Make:
    """Every row of train_tp.csv changed."""

    def changed(text: str) -> str:
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows(change(row) for row in csv.reader(text.splitlines()))
        return out.getvalue()

    return rewritten(changed)


def named(name: str) -> Make:
    """The first recording has another name."""

    def make(world: Path) -> None:
        (world / FLAC).rename(world / f"data/train/{name}.flac")
        for table in ("train_tp.csv", "train_fp.csv"):
            swap(f"data/{table}", "train000", name)(world)

    return make


CASES = [
    Bad("train_tp.csv begins with a byte order mark", CHECK, rewritten(str, "utf-8-sig")),
    Bad("its lines end as on Windows", CHECK, rewritten(lambda text: text.replace("\n", "\r\n"))),
    Bad("its lines end as on an old Mac", CHECK, rewritten(lambda text: text.replace("\n", "\r"))),
    Bad("it has empty lines at its end", CHECK, more(TP, "\n\n")),
    Bad("it has spaces around values", CHECK, rewritten(lambda text: text.replace(",", " , "))),
    Bad("it has a column more", CHECK, columns(lambda row: [*row, "heard by"])),
    Bad("its columns stand in another order", CHECK, columns(lambda row: row[::-1])),
    Bad("a time is written as 5e-1", CHECK, swap(TP, ROW, "train000,0,1,5e-1,300.0,1.5,700.0")),
    Bad("a box reaches above half the sample rate", CHECK, swap(TP, ROW, "train000,0,1,0.5,300.0,1.5,7000.0")),
    Bad("an id that has a file is a formula", CHECK, named("=1+1")),
    Bad("an id that has a file is markup", CHECK, named("<b>frog")),
    Bad("an id that has a file is an emoji", CHECK, named("🐸")),
    Bad("a recording is silent", CHECK, sound(FLAC, lambda: 0 * noise())),
    Bad("a recording is clipped", CHECK, sound(FLAC, lambda: np.sign(noise()))),
    Bad("a recording is stereo", CHECK, sound(FLAC, lambda: noise(channels=2))),
    Bad("a recording is of 192 kHz", CHECK, sound(FLAC, lambda: noise(6.0, 192_000), 192_000)),
    Bad("a recording is a WAV of floats", CHECK, both(gone(FLAC), sound(f"{ONE}.wav", noise, subtype="FLOAT"))),
    Bad("a recording is in no table", CHECK, sound("data/train/more.flac", noise)),
    Bad("another file lies among the recordings", CHECK, raw("data/train/notes.txt", b"heard at dawn")),
    Bad("a field recording of 1 Hz", FIELD, field(sound("field/a.wav", noise, 1))),
    Bad("a field recording of a tenth of a second", FIELD, field(sound("field/a.wav", lambda: noise(0.1)))),
    Bad("a field recording of eight channels", FIELD, field(sound("field/a.wav", lambda: noise(channels=8)))),
    Bad("a field recording's name is a formula", FIELD, field(sound("field/=1+1.wav", noise))),
    Bad("fewer recordings of a species than folds", "check data --folds 3"),
]
