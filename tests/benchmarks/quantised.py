"""Does one byte a cell cost LWLRAP? Networks trained on the cache's bytes, and on log-mel that was never rounded.

On a made-up forest stage 1 of all folds is trained as often as `--replicates` says, each replicate with a partition and
seeds of its own, on both. Unrounded cells are float32 and clipped at the same floor; all else is the same, draws too.
Told are the largest error of a cell in dB, out-of-fold LWLRAP of both, and their difference with its 95 % t-interval
over replicates.

Example: python tests/benchmarks/quantised.py --replicates 8
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: one thread each

import numpy as np
import torch

from rfcx_model import corpus as corpora
from rfcx_model import train
from rfcx_model.compute import best
from rfcx_model.corpus import Corpus
from rfcx_model.folds import assign_folds
from rfcx_model.forest import Forest
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.recordings import load
from rfcx_model.spectrogram import LEVELS, log_mel, read_audio
from rfcx_model.spectrogram_cache import Spectrograms, prepare
from rfcx_model.synthetic import write
from rfcx_model.train import Task
from study.arms import estimate
from study.space import load as load_space

SPACE: Final = Path(__file__).parents[2] / "search_spaces" / "smoke.toml"
FOLDS: Final = 3


def recipe(epochs: int) -> Hyperparameters:
    """The baseline of `smoke.toml`, as far as stage 1."""
    study = load_space(SPACE, {"stage1.epochs": epochs, "stage1.cosine_epochs": epochs})
    return study.hyperparameters(study.baseline)


def unrounded(paths: Iterable[str], spectrograms: Spectrograms) -> torch.Tensor:
    """(frame of all recordings, mel) float32: cells before they are rounded, clipped as they are."""
    frontend, step_db = spectrograms.frontend, spectrograms.frontend.range_db / LEVELS
    told = []
    for row, path in enumerate(paths):
        db = log_mel(read_audio(path, frontend.sample_rate_hz), frontend)
        told.append(np.clip((db - spectrograms.statistics[row, 0]) / step_db, 0, LEVELS))
    return torch.from_numpy(np.concatenate(told).astype(np.float32))


def trained(h: Hyperparameters, corpus: Corpus, seed: int) -> float:
    """Out-of-fold LWLRAP after stage 1's last epoch."""
    task = Task(h, corpus, best(), tuple((fold,) for fold in range(FOLDS)), seed, (None,) * FOLDS)
    *_, last = train.stage("stage1", task)
    return float(last.metrics["lwlrap"])


def both(data: Path, cache: Path, epochs: int, seed: int) -> tuple[float, float, float]:
    """LWLRAP on bytes, on unrounded cells, and the largest error of a cell in dB."""
    torch.set_num_threads(1)
    h, recordings = recipe(epochs), load(data)
    spectrograms = prepare(recordings, h.frontend, cache, workers=1)
    rounded = corpora.build(recordings, spectrograms, assign_folds(recordings, FOLDS, seed), h, best())
    cells = unrounded(recordings.train["path"], spectrograms)
    whole = replace(rounded, sounds=replace(rounded.sounds, cells=cells))
    error_db = float((cells - rounded.sounds.cells.float()).abs().max()) * rounded.sounds.step_db
    return trained(h, rounded, seed), trained(h, whole, seed), error_db


def main() -> None:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=8)
    parser.add_argument("--recordings", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread")
    asked = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        options = Forest(
            train_recordings=asked.recordings,
            test_recordings=1,
            duration_s=20.0,
            sample_rate_hz=24_000,
            species=10,
            seed=1,
        )
        write(options, folder / "forest", workers=asked.workers)
        prepare(load(folder / "forest"), recipe(1).frontend, folder / "cache", workers=asked.workers)
        one = partial(both, folder / "forest", folder / "cache", asked.epochs)
        with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
            told = list(pool.map(one, range(asked.replicates)))
    bytes_, floats, errors = zip(*told, strict=True)
    apart = estimate([a - b for a, b in zip(bytes_, floats, strict=True)])
    half = "" if apart.half is None else f" ± {apart.half:.4f}"
    print(f"largest error of a cell: {max(errors):.3f} dB")
    print(
        f"LWLRAP of {asked.replicates} replicates: bytes {np.mean(bytes_):.4f}, unrounded {np.mean(floats):.4f}, ",
        end="",
    )
    print(f"bytes less unrounded {apart.mean:+.4f}{half}")


if __name__ == "__main__":
    main()
