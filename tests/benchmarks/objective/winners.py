"""What is a search worth? Its confirmed winner on the hidden truth, beside chance's winner and the diary's default.

On each forest of the set `winners` two studies of `search_spaces/mixup.toml` in the experiment's profile run through
the project's own commands: the search as users run it (`run`, then `confirm --top`), and as many random trials, none
pruned, whose best by the score is taken as it is. Both winners and the default are then trained anew on replicates that
neither study has had, and their fold models predict the test recordings. A forest with too few sites for the lockbox of
the space runs without one. Told is LWLRAP by the species that really
sound, mean and 95 % t-interval; differences are paired by replicate, and the last row is over forests.

Interrupted, it goes on when called again.

Example: python tests/benchmarks/objective/winners.py --folder FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
from configs import DEFAULT, FOLDS, PROFILE, SPACE
from forests import SETS, Size, made
from rows import Job, open_bench, test_lwlrap

from rfcx_model import recordings
from rfcx_model.hyperparameters import build
from study.arms import Estimate, estimate
from study.confirmed import confirmation
from study.machine import parse_settings
from study.ranked import ranking
from study.recipe import trial_request
from study.setting import trial_seed
from study.space import load
from study.stages import obtain
from study.trials import read_trials

WHO: Final = ("the default", "random", "confirmed")
FIRST: Final = 100  # replicate of the judging: far from those of a search and its confirmation
RANDOM: Final = {"search.sampler": "random", "search.scheduler": "none"}


@dataclass(frozen=True)
class Asked:
    """The options."""

    folder: Path
    size: Size
    trials: int
    top: int
    confirmations: int
    replicates: int
    changed: Mapping[str, Any]


@dataclass(frozen=True)
class Winner:
    """A setting with all its knobs, and the score that its own study gave it."""

    config: Mapping[str, Any]
    promised: float


def winners(asked: Asked, forest: int) -> dict[str, Winner]:
    """The studies' winners and the default on a forest, found with the project's own commands."""
    data = made(forest, asked.size, asked.folder)
    search, random = (_studied(asked, forest, data, kind) for kind in ("search", "random"))
    _verb("confirm", search, "--top", asked.top, "--replicates", asked.confirmations, "--cache", asked.folder / "cache")
    confirmed = confirmation(search, read_trials(search / "trials.jsonl"))
    best = confirmed.winner if confirmed else None
    if best is None or best.score.mean is None:
        raise RuntimeError(f"{search}: nothing is confirmed")
    lucky = ranking(read_trials(random / "trials.jsonl"))[0]
    first = next(trial for trial in read_trials(search / "trials.jsonl") if trial.origin == "baseline")
    return {
        "the default": Winner(first.config, first.score or np.nan),
        "random": Winner(lucky.config, lucky.score or np.nan),
        "confirmed": Winner(best.candidate.config, best.score.mean),
    }


def _studied(asked: Asked, forest: int, data: Path, kind: str) -> Path:
    """A study's folder, all its trials ended."""
    settings = {**PROFILE, **asked.changed, "search.folds": FOLDS, **(RANDOM if kind == "random" else {})}
    share, sites = load(SPACE).search.lockbox, recordings.load(data).train["site"].nunique()
    if share * sites < 1:  # the truth judges here, so nothing is lost
        settings["search.lockbox"] = 0
    out, store = asked.folder / f"{kind}{forest}", asked.folder / f"stages{forest}"
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    places = ("--data", data, "--out", out, "--store", store, "--cache", asked.folder / "cache")
    _verb("run", SPACE, *places, "--trials", asked.trials, *words)
    (study,) = out.glob(f"{SPACE.stem}-*")
    return study


def _verb(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "study", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def judged(asked: Asked, forest: int, found: Mapping[str, Winner], replicate: int) -> dict[str, float]:
    """Test LWLRAP of each, trained on one fresh replicate of all training recordings."""
    results = asked.folder / "unused.jsonl"
    bench = open_bench(Job(forest, asked.size, dict(asked.changed), 0, asked.folder, results))
    scores: dict[str, float] = {}
    for who, winner in found.items():
        h = build(dict(winner.config))
        place = bench.workshop(h, FIRST + replicate)
        stored = obtain(place, h, trial_request(h, range(FOLDS), trial_seed(0, FIRST + replicate)))
        scores[who] = test_lwlrap(bench, h, place, stored)
    print(f"forest {forest}, replicate {replicate}: {scores}", file=sys.stderr, flush=True)
    return {**scores, "chance": bench.chance}


def tables(found: Mapping[int, Mapping[str, Winner]], scores: Mapping[int, Sequence[Mapping[str, float]]]) -> str:
    """Scores and differences a forest, and over forests; then what was chosen."""
    pairs = (("confirmed", "the default"), ("confirmed", "random"), ("random", "the default"))
    lines = [
        f"| forest | chance | {' | '.join(WHO)} | {' | '.join(f'{a} less {b}' for a, b in pairs)} |",
        "| ---: |" + " ---: |" * (1 + len(WHO) + len(pairs)),
    ]
    kept: list[list[float]] = []
    for forest, rows in scores.items():
        columns = [[row[who] for row in rows] for who in ("chance", *WHO)]
        columns += [[row[a] - row[b] for row in rows] for a, b in pairs]
        kept.append([float(np.mean(column)) for column in columns])
        lines.append(_row(str(forest), columns))
    if len(kept) > 1:
        lines.append(_row("all", np.array(kept).T.tolist()))
    chosen = ["| forest | | chosen | score in its own study |", "| ---: | --- | --- | ---: |"]
    for forest, each in found.items():
        for who, winner in each.items():
            knobs = ", ".join(f"{name.partition('.')[2]} {_short(winner.config[name])}" for name in DEFAULT)
            chosen.append(f"| {forest} | {who} | {knobs} | {winner.promised:.4f} |")
    return "\n".join([*lines, "", *chosen])


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _row(name: str, columns: Sequence[Sequence[float]]) -> str:
    plain = len(WHO) + 1
    cells = [_told(estimate(column), signed=place >= plain) for place, column in enumerate(columns)]
    return f"| {name} | {' | '.join(cells)} |"


def _told(one: Estimate, *, signed: bool) -> str:
    """Mean ± half the interval; the mean alone where there is no spread."""
    text = f"{one.mean:+.4f}" if signed else f"{one.mean:.4f}"
    return text if one.half is None or one.half == 0 else f"{text} ± {one.half:.4f}"


def main() -> int:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="where forests, studies and stages are kept")
    add("--forests", type=int, nargs="+", default=list(SETS["winners"]), help="some of the set")
    add("--trials", type=int, default=30, help="of each study")
    add("--top", type=int, default=3, help="settings that are confirmed beside the baseline")
    add("--confirmations", type=int, default=3, help="replicates of the confirmation")
    add("--replicates", type=int, default=4, help="fresh replicates that are judged by the truth")
    add("--recordings", type=int, default=Size.train_recordings)
    add("--test-recordings", type=int, default=Size.test_recordings)
    add("--duration-s", type=float, default=Size.duration_s)
    add("--species", type=int, default=Size.species)
    add("--knob", action="append", default=[], metavar="KNOB=VALUE", help="another knob, for all; repeatable")
    add("--workers", type=int, default=2, help="processes of one thread that judge")
    told = parser.parse_args()
    size = Size(told.recordings, told.test_recordings, told.duration_s, species=told.species)
    changed = parse_settings(told.knob)
    folder = told.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    asked = Asked(folder, size, told.trials, told.top, told.confirmations, told.replicates, changed)
    found: dict[int, dict[str, Winner]] = {}
    scores: dict[int, list[dict[str, float]]] = {}
    os.environ["OMP_NUM_THREADS"] = "1"  # before a process imports torch: one thread each
    for forest in told.forests:
        found[forest] = winners(asked, forest)
        with ProcessPoolExecutor(told.workers, mp_context=get_context("spawn")) as pool:
            scores[forest] = list(pool.map(partial(judged, asked, forest, found[forest]), range(asked.replicates)))
    print(tables(found, scores))
    return 0


if __name__ == "__main__":
    sys.exit(main())
