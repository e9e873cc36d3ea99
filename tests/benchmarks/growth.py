"""How does cost grow with recordings and species? The parts that see all of them, on made-up tables.

The first column is about the competition's size: 1,100 recordings of 60 s, 24 species with two templates each, a
confirmed and seven refused boxes a recording. Then ten times the recordings, ten times the species (and templates), and
both. A row tells CPU seconds, and how many times the first column's; linear in what grows is 10, 10 and 100.

    folds       `assign_folds` into 5, once a replicate and process
    labels      `window_labels` of the training grid, once a process
    measure     all forms of the score, once a measured epoch
    batches     stage 3's batches of an epoch, order and labels
    boxes       `box_scores` of one fold's windows, once an epoch and model

Example: python tests/benchmarks/growth.py
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: one thread each

import numpy as np
import pandas as pd

from rfcx_model import batches
from rfcx_model.folds import assign_folds
from rfcx_model.hyperparameters import Ruler
from rfcx_model.labels import Boxes, grid, window_labels
from rfcx_model.metrics import Listed, OutOfFold, measure
from rfcx_model.predict import box_scores, ruler_grid
from rfcx_model.recordings import Recordings

FRAMES: Final = 3751
WINDOW: Final = 512
STEP: Final = 468
PER_RECORDING: Final = 8  # boxes, of which one is confirmed
FOLDS: Final = 5
FRAMES_PER_S: Final = 62.5
SIZES: Final = ((1, 1), (10, 1), (1, 10), (10, 10))


@dataclass(frozen=True, eq=False)
class World:
    """Tables of so many recordings and species."""

    recordings: int
    species: int
    boxes: Boxes
    listed: Listed
    folds: np.ndarray  # (recording,)


def world(recordings: int, species: int) -> World:
    """Boxes of random species at random times."""
    generator = np.random.default_rng(0)
    count = recordings * PER_RECORDING
    recording = np.repeat(np.arange(recordings), PER_RECORDING)
    which = generator.integers(species, size=count)
    start = generator.random(count) * (FRAMES - 100)
    positive = np.arange(count) % PER_RECORDING == 0
    boxes = Boxes(recording, which, start, start + 20 + 80 * generator.random(count), positive)
    listed = Listed(recording, which, 2 * which + generator.integers(2, size=count), positive, species)
    return World(recordings, species, boxes, listed, generator.integers(FOLDS, size=recordings))


def folds(made: World) -> Callable[[], object]:
    """Without sites."""
    train = pd.DataFrame({"recording_id": [f"{one:06d}" for one in range(made.recordings)], "site": ""})
    columns = {name: getattr(made.boxes, name) for name in ("recording", "species", "positive")}
    asked = Recordings(Path(), tuple(range(made.species)), train, pd.DataFrame(columns), train[:0], "")
    return lambda: assign_folds(asked, FOLDS, seed=0)


def labels(made: World) -> Callable[[], object]:
    """Of the training grid."""
    starts = grid(FRAMES, WINDOW, STEP)
    recording = np.repeat(np.arange(made.recordings), len(starts))
    start = np.tile(starts, made.recordings)
    return lambda: window_labels(
        made.boxes, recording, start, window_frames=WINDOW, box_overlap=0.5, n_species=made.species
    )


def measured(made: World) -> Callable[[], object]:
    """Of random scores."""
    generator = np.random.default_rng(1)
    said = OutOfFold(
        generator.random((made.recordings, made.species), dtype=np.float32),
        generator.random(len(made.boxes.recording), dtype=np.float32),
        made.folds,
    )
    return lambda: measure(made.listed, said)


def batched(made: World) -> Callable[[], object]:
    """One fold held out."""
    starts = grid(FRAMES, WINDOW, STEP)
    told = window_labels(
        made.boxes,
        np.repeat(np.arange(made.recordings), len(starts)),
        np.tile(starts, made.recordings),
        window_frames=WINDOW,
        box_overlap=0.5,
        n_species=made.species,
    )
    training = made.folds != 0
    return lambda: list(batches.recordings(told, training, 4, np.random.default_rng(0)))


def boxed(made: World) -> Callable[[], object]:
    """The boxes of all recordings against the windows of one fold."""
    windows = ruler_grid(np.full(made.recordings, FRAMES), np.flatnonzero(made.folds == 0), Ruler(), FRAMES_PER_S)
    said = np.zeros((len(windows.start), made.species, WINDOW // 32), dtype=np.float32)
    return lambda: box_scores(said, windows, made.boxes, 62.5)


PARTS: Final = {"folds": folds, "labels": labels, "measure": measured, "batches": batched, "boxes": boxed}


def main() -> None:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=1100)
    parser.add_argument("--species", type=int, default=24)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    asked = parser.parse_args()
    sizes = [(asked.recordings * more, asked.species * wider) for more, wider in SIZES]
    print(f"| part | {' | '.join(f'{n:,} × {species}, s | times' for n, species in sizes)} |")
    print(f"| --- | {' | '.join('---: | ---:' for _ in sizes)} |")
    worlds = [world(*size) for size in sizes]
    for name in asked.parts:
        cells, first = [name], 0.0
        for made in worlds:
            work = PARTS[name](made)
            begun = time.process_time()
            work()
            taken = time.process_time() - begun
            first = first or taken
            cells += [f"{taken:.3f}", f"{taken / first:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
