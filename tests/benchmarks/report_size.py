"""How long does a report take to write, and how large is it? Made-up studies of many trials, without training.

A row is printed a study: seconds of wall clock and of CPU time for `report.write`, imports left out, and the megabytes
of both files. The bound is 60 s and 10 MB for 5,000 trials.

Example: python tests/benchmarks/report_size.py --trials 100 1000 5000
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from made_scores import leave_scores
from made_study import make_study

from study import report

BOUND_S: Final = 60.0
BOUND_MB: Final = 10.0
HEAD: Final = """
| trials | s | s of CPU | report.html, MB | report.md, MB | ledger, MB |
| ---: | ---: | ---: | ---: | ---: | ---: |"""


def row(folder: Path, trials: int) -> tuple[str, bool]:
    """One line of the table, and whether it keeps the bound."""
    make_study(folder, trials)
    leave_scores(folder, {0: 1.0, report.facts(folder).ranked[0].number: 1.5})
    begun, begun_cpu = time.perf_counter(), time.process_time()
    html, markdown = report.write(folder)
    taken, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
    page, text, ledger = (path.stat().st_size / 1e6 for path in (html, markdown, folder / "trials.jsonl"))
    kept = taken < BOUND_S and page < BOUND_MB
    return f"| {trials:,} | {taken:.1f} | {cpu:.1f} | {page:.2f} | {text:.2f} | {ledger:.1f} |", kept


def main() -> int:
    """Print the table; 1 where a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 5000])
    print(HEAD)
    held = True
    for trials in parser.parse_args().trials:
        with TemporaryDirectory() as folder:
            line, kept = row(Path(folder), trials)
        print(line, flush=True)
        held = held and kept
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
