"""Does another number of threads change a trial's digits, and by how much? The same trial with 1 and 2 threads.

A trial of a small network on a made-up forest is trained with each number of threads in a store of its own, for several
settings of the focal gamma, and once more with the first number. Told is the largest difference of every metric over
settings and epochs, and at the last epoch; beside it the spread of the settings themselves, to hold it against.

Example: python tests/benchmarks/threads.py --threads 1 2
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from orchestration import FOLDS, SPACE, gammas

from rfcx_model.forest import Forest
from rfcx_model.recordings import load
from rfcx_model.synthetic import write
from study.setting import Alone, Setting, trial_seed, workshop
from study.space import load as load_space
from study.stages import obtain
from study.work import trial_request

METRICS: Final = ("train_loss", "lwlrap", "precision", "precision_avg", "tpfp_auc", "recall")


def prepared(folder: Path, epochs: int) -> None:
    """A forest and a space."""
    options = Forest(train_recordings=24, test_recordings=1, duration_s=16.0, sample_rate_hz=24_000, species=6, seed=1)
    write(options, folder / "forest", workers=2)
    (folder / "space.toml").write_text(SPACE.format(epochs=epochs, folds=FOLDS), encoding="utf-8")


def trained(folder: Path, store: str, threads: int, gamma: float) -> np.ndarray:
    """(epoch, metric) of one trial, all of whose stages are trained with so many threads."""
    study = load_space(folder / "space.toml")
    setting = Setting(load(folder / "forest"), FOLDS, folder / "cache", folder / store, threads=threads)
    h, seed = study.hyperparameters({"stage3.focal_gamma": gamma}), trial_seed(study.search.seed, 0)
    place = workshop(setting, h, seed, lease=Alone(), tick=lambda _: None)
    history = obtain(place, h, trial_request(study, setting, h, 0)).history()
    told = [{**epoch.metrics, "train_loss": epoch.train_loss} for epoch in history]
    return np.array([[epoch[name] for name in METRICS] for epoch in told])


def table(first: np.ndarray, other: np.ndarray) -> str:
    """Differences between (setting, epoch, metric) arrays."""
    apart, last = np.abs(first - other).max(axis=(0, 1)), np.abs(first - other)[:, -1].max(axis=0)
    spread = np.ptp(first[:, -1], axis=0)
    lines = [
        "| metric | largest difference | at the last epoch | spread of the settings |",
        "| --- | ---: | ---: | ---: |",
    ]
    for row in zip(METRICS, apart, last, spread, strict=True):
        lines.append(f"| {row[0]} | {row[1]:.2g} | {row[2]:.2g} | {row[3]:.2g} |")
    return "\n".join(lines)


def compared(folder: Path, threads: Sequence[int], trials: int) -> None:
    """Train and print."""
    stores = [(f"{n}-{turn}", n) for turn, n in enumerate([threads[0], *threads])]
    again, first, *others = (
        np.stack([trained(folder, store, n, gamma) for gamma in gammas(trials)]) for store, n in stores
    )
    print(f"{threads[0]} threads twice: largest difference {np.abs(again - first).max():g}")
    for n, other in zip(threads[1:], others, strict=True):
        print(f"\n{threads[0]} and {n} threads, {trials} settings:\n\n{table(first, other)}")


def main() -> None:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=6, help="of a trial")
    parser.add_argument("--trials", type=int, default=4)
    asked = parser.parse_args()
    with TemporaryDirectory() as temporary:
        prepared(Path(temporary), asked.epochs)
        compared(Path(temporary), asked.threads, asked.trials)


if __name__ == "__main__":
    main()
