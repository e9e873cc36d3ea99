"""Which teachers should a student have? Every scheme on made-up forests, whose truth says how right its labels are.

Each forest and replicate goes through the whole recipe with no pseudo-labels (none), and with the teachers of each
scheme (own, nested, diary; see study/recipe.py) for three rounds. Printed as Markdown: the means, and the paired
differences to `own`. Interrupted, it goes on when called again: stages are found in the store, rows in the results.

Example: python tests/benchmarks/teachers.py --folder FOLDER --forests 1 2 3 4 --replicates 2 --rows
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from teacher_rows import SCHEMES, Job, measure, read
from teacher_tables import tables

from rfcx_model import synthetic
from rfcx_model.forest import Forest
from study.machine import parse_settings
from study.space import load

SPACE: Final = Path(__file__).parents[2] / "search_spaces" / "diary.toml"
PROFILE: Final[dict[str, Any]] = {
    "stage2.epochs": 3,
    "stage3.epochs": 3,
    "stage3.mixup_site": "input",
    "stage3.mixup_alpha": 0.1,
    "stage3.focal_gamma": 2.0,
    "stage3.teachers": 3,
    "ruler.every_epochs": 3,
}
"""What the diary's space leaves to its arms. Students are scored after the last epoch of a round."""


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    asked = _parser().parse_args(words)
    results = asked.results or asked.folder / "rows.jsonl"
    if asked.look:
        rows = read(results)
    else:
        asked.folder.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(asked.workers, mp_context=get_context("forkserver")) as pool:
            rows = [row for found in pool.map(measure, _jobs(asked, results)) for row in found]
    print(tables(rows, by_forest=asked.by_forest, each=asked.rows))


def _parser() -> argparse.ArgumentParser:
    about, _, example = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="where forests, spectrograms, store and results are kept")
    add("--store", type=Path, help="store of stages; None: FOLDER/stages")
    add("--results", type=Path, help="a line of JSON for each round done; None: FOLDER/rows.jsonl")
    add("--forests", type=int, nargs="+", default=[1], help="seeds of the forests")
    add("--recordings", type=int, default=60, help="training recordings of a forest")
    add("--test-recordings", type=int, default=60, help="test recordings of a forest")
    add("--duration-s", type=float, default=30.0, help="length of a recording")
    add("--species", type=int, default=24, help="species of a forest")
    add("--replicates", type=int, default=1, help="partitions and seeds of each forest")
    add("--folds", type=int, default=3, help="3 leaves the teachers of nested one fold to train on")
    add("--schemes", nargs="+", choices=SCHEMES, default=list(SCHEMES), help="which schemes")
    add("--rounds", type=int, choices=(1, 2, 3), default=3, help="cycles of stage 3")
    add("--threshold", type=float, default=0.5, help="of pseudo-labels")
    add("--set", action="append", default=[], metavar="KNOB=VALUE", help="another knob; repeatable")
    add("--workers", type=int, default=2, help="processes; each takes a forest and replicate")
    add("--by-forest", action="store_true", help="intervals over forests, not over forests × replicates")
    add("--rows", action="store_true", help="also print every row")
    add("--look", action="store_true", help="train nothing, print what the results file holds so far")
    return parser


def _jobs(asked: argparse.Namespace, results: Path) -> list[Job]:
    """One a forest and replicate. Forests that are not there yet are made first."""
    knobs = {**load(SPACE).fixed, **PROFILE, "stage3.pseudo_threshold": asked.threshold, **parse_settings(asked.set)}
    folders = {seed: _forest(asked, seed) for seed in asked.forests}
    return [
        Job(
            forest=seed,
            replicate=replicate,
            folder=folders[seed],
            knobs=knobs,
            schemes=tuple(asked.schemes),
            rounds=asked.rounds,
            folds=asked.folds,
            store=asked.store or asked.folder / "stages",
            cache=asked.folder / "cache",
            results=results,
        )
        for replicate, seed in product(range(asked.replicates), asked.forests)
    ]


def _forest(asked: argparse.Namespace, seed: int) -> Path:
    """The forest's folder, named by its options."""
    size = f"{asked.recordings}+{asked.test_recordings}x{asked.duration_s:g}s-{asked.species}species"
    folder: Path = asked.folder / f"forest{seed}-{size}"
    if not folder.exists():
        forest = Forest(
            train_recordings=asked.recordings,
            test_recordings=asked.test_recordings,
            duration_s=asked.duration_s,
            species=asked.species,
            seed=seed,
        )
        synthetic.write(forest, folder, workers=asked.workers)
    return folder


if __name__ == "__main__":
    main()
