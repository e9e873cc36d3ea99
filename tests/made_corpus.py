"""A tiny corpus without sound files: random cells, and in every recording a confirmed and a refused box."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rfcx_model import hyperparameters
from rfcx_model.compute import Compute
from rfcx_model.corpus import Corpus, Sounds
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.labels import Boxes, Indices, grid, window_labels
from rfcx_model.metrics import Listed

FRAMES_PER_S = 62.5
CPU = Compute(torch.device("cpu"), torch.float32)
SMALL: dict[str, Any] = {
    "frontend.n_mels": 16,
    "windows.window_frames": 64,
    "windows.overlap_frames": 8,
    "network.backbone": "test_resnet",
    "network.pretrained": "none",
    "stage1.epochs": 2,
    "stage1.batch_crops": 4,
    "stage1.fp_recordings": 2,
    "stage1.jitter_frames": [0, 8, 16],
    "stage2.epochs": 2,
    "stage2.batch_recordings": 2,
    "stage3.epochs": 2,
    "stage3.batch_recordings": 2,
    "stage3.teachers": 2,
    "stage3.pseudo_threshold": 0.5,
    "ruler.window_s": 64 / FRAMES_PER_S,
    "ruler.hop_s": 32 / FRAMES_PER_S,
    "ruler.min_box_s": 0.32,
}


def knobs(**changed: Any) -> Hyperparameters:
    """Knobs of a tiny network; `stage3__mixup_site="none"` changes `stage3.mixup_site`."""
    return hyperparameters.build(SMALL | {name.replace("__", "."): value for name, value in changed.items()})


@dataclass(frozen=True)
class Size:
    """How large, and drawn from which seed."""

    recordings: int = 10
    frames: int = 150
    mels: int = 16
    species: int = 3
    folds: int = 2
    seed: int = 0


def make_corpus(size: Size = Size(), h: Hyperparameters | None = None) -> Corpus:
    """Recording k has fold k % folds, a confirmed box of species k % species and a refused one of the next species."""
    generator = np.random.default_rng(size.seed)
    lengths = size.frames + 7 * np.arange(size.recordings)
    cells = generator.integers(0, 256, (int(lengths.sum()), size.mels), dtype=np.uint8)
    sounds = Sounds(
        cells=torch.from_numpy(cells),
        offsets=torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)])),
        scale=torch.full((size.recordings,), 1 / 64),
        shift=torch.full((size.recordings, size.mels), -2.0),
        step_db=100.0 / 255.0,
    )
    every = np.arange(size.recordings)
    start = generator.integers(0, size.frames - 60, 2 * size.recordings).astype(np.float64)
    boxes = Boxes(
        recording=np.concatenate([every, every]),
        species=np.concatenate([every, every + 1]) % size.species,
        start=start,
        end=start + generator.integers(12, 50, 2 * size.recordings),
        positive=np.arange(2 * size.recordings) < size.recordings,
    )
    return relabelled(sounds, boxes, every % size.folds, size.species, h or knobs())


def relabelled(sounds: Sounds, boxes: Boxes, folds: Indices, species: int, h: Hyperparameters) -> Corpus:
    """The corpus of these sounds and boxes."""
    frames = np.diff(sounds.offsets.numpy())
    windows = h.windows
    starts = [grid(int(n), windows.window_frames, windows.window_frames - windows.overlap_frames) for n in frames]
    return Corpus(
        sounds=sounds,
        frames=frames,
        folds=folds,
        boxes=boxes,
        listed=Listed(boxes.recording, boxes.species, boxes.species, boxes.positive, species),
        windows=window_labels(
            boxes,
            np.repeat(np.arange(len(frames)), [len(s) for s in starts]),
            np.concatenate(starts),
            window_frames=windows.window_frames,
            box_overlap=windows.box_overlap,
            n_species=species,
        ),
        n_species=species,
        frames_per_s=FRAMES_PER_S,
    )


def planted(corpus: Corpus, recordings: NDArray[np.bool_], h: Hyperparameters) -> Corpus:
    """The corpus with other sound, other boxes and other labels in the chosen (recording,)."""
    cells = corpus.sounds.cells.clone()
    offsets = corpus.sounds.offsets.numpy()
    for one in np.flatnonzero(recordings):
        cells[offsets[one] : offsets[one + 1]] = 255 - cells[offsets[one] : offsets[one + 1]]
    old = corpus.boxes
    marked = recordings[old.recording]
    boxes = replace(
        old,
        species=np.where(marked, (old.species + 1) % corpus.n_species, old.species),
        start=np.where(marked, old.start + 20, old.start),
        end=np.where(marked, old.end + 20, old.end),
        positive=np.where(marked, ~old.positive, old.positive),
    )
    sounds = replace(
        corpus.sounds,
        cells=cells,
        shift=torch.where(torch.from_numpy(recordings)[:, None], 1.0, corpus.sounds.shift),
        scale=torch.where(torch.from_numpy(recordings), 0.5, corpus.sounds.scale),
    )
    return relabelled(sounds, boxes, corpus.folds, corpus.n_species, h)
