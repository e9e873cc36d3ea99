"""What are the last touches worth? Weight averaging, class priors and models of all recordings, on the hidden truth.

On each forest of a set the diary's default is trained in the experiment's profile, once a replicate, and finished in
several ways. Told is LWLRAP of the test recordings by the species that really sound, less that of the plain mean over
the fold models; mean and 95 % t-interval over forests × replicates, those of one forest sharing its sounds. Stages that
stand in `FOLDER/stages<forest>`, as the experiment leaves them, are not trained again.

    ema d           fold models whose weights in stage 3 are averaged with decay d (`stage3.ema_decay`)
    priors          the plain models, common species ranked higher; beside it what that had promised
    whole k         k models of different seeds, each trained on all recordings (`train --whole k`)

Example: python tests/benchmarks/objective/finishing.py --folder FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
from configs import DEFAULT, FOLDS, REPLICATES, hyperparameters
from forests import SETS, Size, made
from rows import Bench, Job, open_bench

from rfcx_model import priors
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.metrics import lwlrap
from study.arms import estimate
from study.machine import parse_settings
from study.recipe import trial_request, whole_request
from study.setting import trial_seed
from study.stages import Workshop, obtain
from study.store import Stored

DECAYS: Final = (0.9, 0.97)
PROMISED: Final = "priors, as promised out of fold"


def measure(folder: Path, changed: Mapping[str, Any], size: Size, whole: int, task: tuple[int, int]) -> dict[str, Any]:
    """Test LWLRAP of each way to finish, on one forest and replicate."""
    forest, replicate = task
    bench = open_bench(Job(forest, size, dict(changed), 0, folder, folder / "unused.jsonl"))
    seed = trial_seed(0, replicate)
    h = hyperparameters(DEFAULT, dict(changed))
    place = bench.workshop(h, replicate)
    plain = obtain(place, h, trial_request(h, range(FOLDS), seed))
    said = bench.said(h, place, _weights(plain, FOLDS))
    found = {"plain": _truth(bench, said)}
    fitted = priors.fit(place.corpus.listed.truth(len(place.corpus.frames)), *_out_of_fold(plain))
    found["priors"] = _truth(bench, priors.apply(fitted, said))
    found[PROMISED] = found["plain"] + fitted.gain
    for decay in DECAYS:
        averaged = hyperparameters(DEFAULT, {**changed, "stage3.ema_decay": decay})
        stored = obtain(place, averaged, trial_request(averaged, range(FOLDS), seed))
        found[f"ema {decay:g}"] = _truth(bench, bench.said(averaged, place, _weights(stored, FOLDS)))
    if whole:
        found[f"whole {whole}"] = _truth(bench, bench.said(h, place, _whole(place, h, seed, whole)))
    print(json.dumps({"forest": forest, "replicate": replicate, **found}), file=sys.stderr, flush=True)
    return {"forest": forest, **found}


def _whole(place: Workshop, h: Hyperparameters, seed: int, count: int) -> list[Any]:
    return [obtain(place, h, whole_request(h, range(FOLDS), seed, n)).state.weights(0) for n in range(count)]


def _weights(stored: Stored, count: int) -> list[Any]:
    return [stored.state.weights(fold) for fold in range(count)]


def _out_of_fold(stored: Stored) -> tuple[np.ndarray, np.ndarray]:
    return stored.outputs["recording_scores"], stored.outputs["folds"]


def _truth(bench: Bench, said: np.ndarray) -> float:
    return lwlrap(bench.truth.test, said[:, bench.truth.species])


def table(rows: Sequence[Mapping[str, float]]) -> str:
    """One line a way to finish: its LWLRAP, and how much that is above the plain one's."""
    lines = ["| finished by | test LWLRAP | less plain |", "| --- | ---: | ---: |"]
    for name in (name for name in rows[0] if name != "forest"):
        more = estimate([row[name] - row["plain"] for row in rows])
        half = "" if more.half is None else f" ± {more.half:.4f}"
        told = "" if name == "plain" else f"{more.mean:+.4f}{half}"
        lines.append(f"| {name} | {np.mean([row[name] for row in rows]):.4f} | {told} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="where forests, spectrograms and stages are kept")
    add("--forests", type=int, nargs="+", default=list(SETS["development"]))
    add("--replicates", type=int, default=REPLICATES)
    add("--whole", type=int, default=3, help="models of all recordings; 0: none")
    add("--recordings", type=int, default=Size.train_recordings)
    add("--test-recordings", type=int, default=Size.test_recordings)
    add("--duration-s", type=float, default=Size.duration_s)
    add("--species", type=int, default=Size.species)
    add("--knob", action="append", default=[], metavar="KNOB=VALUE", help="another knob; repeatable")
    add("--workers", type=int, default=2, help="processes of one thread; no two may share a forest's replicate")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    size = Size(asked.recordings, asked.test_recordings, asked.duration_s, species=asked.species)
    os.environ["OMP_NUM_THREADS"] = "1"  # before a process imports torch: one thread each
    for forest in asked.forests:
        made(forest, size, asked.folder)
    one = partial(measure, asked.folder, parse_settings(asked.knob), size, asked.whole)
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(one, product(asked.forests, range(asked.replicates))))
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
