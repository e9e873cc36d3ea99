"""The spectrogram cache, which is made again where it is damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bad_inputs.case import Bad, Make, cut, folder, gone, raw, text

PREPARE = "prepare data --space space.toml --cache cache"
TERABYTES = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1), }"


def cached(make_of: Make) -> Make:
    """The one cache, spoilt."""

    def make(world: Path) -> None:
        (cache,) = (world / "cache").iterdir()
        make_of(cache)

    return make


def meta(change: Callable[[dict[str, object]], object]) -> Make:
    """Another meta.json."""

    def make(cache: Path) -> None:
        told = json.loads((cache / "meta.json").read_text(encoding="utf-8"))
        change(told)
        (cache / "meta.json").write_text(json.dumps(told), encoding="utf-8")

    return cached(make)


def claims(header: bytes) -> bytes:
    """A NumPy file of this header and no more."""
    padded = header + b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


def unfinished(world: Path) -> None:
    """A cache as an interrupted call has left it, damaged since."""
    (cache,) = (world / "cache").iterdir()
    cache.rename(cache.with_name(f".{cache.name}.work")).joinpath("statistics.npy").write_bytes(b"\x93NUMPY")


CASES = [
    Bad("its meta.json is missing", PREPARE, cached(gone("meta.json"))),
    Bad("its meta.json is cut short", PREPARE, cached(cut("meta.json", 0.5))),
    Bad("its meta.json is a list", PREPARE, cached(text("meta.json", "[]"))),
    Bad("its meta.json says other lengths", PREPARE, meta(lambda told: told.update(frames=[1] * 6))),
    Bad("its meta.json says lengths that are none", PREPARE, meta(lambda told: told.update(frames=[10**30]))),
    Bad("its cells are cut short", PREPARE, cached(cut("cells.npy", 0.5))),
    Bad("its cells are missing", PREPARE, cached(gone("cells.npy"))),
    Bad("its statistics are empty", PREPARE, cached(raw("statistics.npy", b""))),
    Bad("its statistics are a pickle", PREPARE, cached(raw("statistics.npy", b"\x80\x04N."))),
    Bad("its statistics claim terabytes", PREPARE, cached(raw("statistics.npy", claims(TERABYTES)))),
    Bad("its statistics are a folder", PREPARE, cached(folder("statistics.npy"))),
    Bad("what an interrupted call has left is damaged", PREPARE, unfinished),
]
