"""Is the objective worth trusting? Candidate objectives against the hidden truth of made-up forests.

On every forest of a set each config of the mission's knobs is trained on two replicates and scored out of fold on the
listed labels; its fold models then predict the test recordings, of which it is known what sounds in them. Printed as
Markdown: how well each candidate's ranking of the configs agrees with the truth's. Interrupted, it goes on when called
again. The sealed set is trained like the other, but its table is refused until the choice is committed (`choice.py`).

Example: python tests/benchmarks/objective/experiment.py --folder FOLDER --set development
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from agreement_tables import tables
from choice import choice
from configs import REPLICATES, configs
from forests import SETS, Size
from rows import Job, Row, measure, mend, read

from rfcx_model.errors import InputError
from study.machine import parse_settings


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print."""
    asked = _parser().parse_args(words)
    jobs = _jobs(asked)
    results = jobs[0].results
    if not asked.look:
        asked.folder.mkdir(parents=True, exist_ok=True)
        mend(results)
        print(forecast(read(results), jobs, asked.workers), file=sys.stderr)
        os.environ["OMP_NUM_THREADS"] = "1"  # before a process imports torch: one thread each
        with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
            for _ in pool.map(measure, jobs):
                pass
    try:
        opened = f"{choice()}\n\n" if asked.set == "sealed" else ""
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    seeds = {job.forest for job in jobs}
    print(opened + tables([row for row in read(results) if row.forest in seeds], asked.configs, each=asked.rows))
    return 0


def forecast(rows: Sequence[Row], jobs: Sequence[Job], workers: int) -> str:
    """How long the rest will take, by the rows that there are."""
    done = {(row.forest, row.config, row.replicate): row.seconds for row in rows}
    left = [
        (job.forest, config, replicate)
        for job in jobs
        for config in range(job.n_configs)
        for replicate in range(REPLICATES)
        if (job.forest, config, replicate) not in done
    ]
    if not done:
        return f"{len(left)} rows to train; the first ones will tell how long a row takes"
    each = sum(done.values()) / len(done)
    hours = len(left) * each / workers / 3600
    return f"{len(left)} rows to train at {each:.0f} s of a core each: about {hours:.1f} h with {workers} workers"


def _parser() -> argparse.ArgumentParser:
    about, _, example = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="where forests, spectrograms, stages and results are kept")
    add("--set", choices=("development", "sealed"), default="development", help="which forests")
    add("--forests", type=int, nargs="+", help="only these of the set")
    add("--results", type=Path, help="a line of JSON for each row done; None: FOLDER/rows.jsonl")
    add("--configs", type=int, default=len(configs()), help="the first so many")
    add("--recordings", type=int, default=Size.train_recordings, help="training recordings of a forest")
    add("--test-recordings", type=int, default=Size.test_recordings, help="test recordings of a forest")
    add("--duration-s", type=float, default=Size.duration_s, help="length of a recording")
    add("--species", type=int, default=Size.species, help="species of a forest")
    add("--knob", action="append", default=[], metavar="KNOB=VALUE", help="another knob, for all configs; repeatable")
    add("--workers", type=int, default=2, help="processes of one thread; each takes a forest")
    add("--any-code", action="store_true", help="keep rows that another version of the model package has made")
    add("--rows", action="store_true", help="also print each forest and row")
    add("--look", action="store_true", help="train nothing, print what the results file holds so far")
    return parser


def _jobs(asked: argparse.Namespace) -> list[Job]:
    seeds = [seed for seed in SETS[asked.set] if asked.forests is None or seed in asked.forests]
    if not seeds:
        sys.exit(f"--forests: some of {', '.join(map(str, SETS[asked.set]))} must be given for --set {asked.set}")
    size = Size(
        train_recordings=asked.recordings,
        test_recordings=asked.test_recordings,
        duration_s=asked.duration_s,
        species=asked.species,
    )
    return [
        Job(
            forest=seed,
            size=size,
            changed=parse_settings(asked.knob),
            n_configs=asked.configs,
            folder=asked.folder,
            results=asked.results or asked.folder / "rows.jsonl",
            any_code=asked.any_code,
        )
        for seed in seeds
    ]


if __name__ == "__main__":
    sys.exit(main())
