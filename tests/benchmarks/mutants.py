"""Which small faults in a module does no test notice? Each is put in, and the module's fast tests are run on it.

The faults are those of `mutations.py`, tried as `mutant_trials.py` says. What survives, and why that may be, is listed
in `mutants.toml`; a survivor that is not there is NEW and makes the status 1, and an entry there that is killed after
all is told. Tests that run the program in another process see the sound module there.

python tests/benchmarks/mutants.py > tests/benchmarks/mutants.md      # all, a quarter of an hour of one core
python tests/benchmarks/mutants.py --modules study/spending.py
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from mutant_trials import Outcome, collected
from mutations import mutants

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = {
    "rfcx_model/metrics.py": ("test_metrics.py",),
    "rfcx_model/losses.py": ("test_losses.py",),
    "rfcx_model/labels.py": ("test_labels.py",),
    "rfcx_model/folds.py": ("test_folds.py", "test_lockbox.py", "test_recordings.py"),
    "study/events.py": ("test_trials.py",),
    "study/trials.py": ("test_trials.py",),
    "study/compare.py": ("test_compare.py",),
    "study/spending.py": ("test_spending.py",),
    "study/reweighted.py": ("test_reweighted.py",),
    "study/redrawn.py": ("test_redrawn.py", "test_compared.py"),
    "study/horvitz.py": ("test_horvitz.py",),
    "study/objective.py": ("test_objective.py",),
}
HEAD: Final = """# Mutants

`python tests/benchmarks/mutants.py > tests/benchmarks/mutants.md` writes this page; see the README beside it.

| module | mutants | killed | survive, listed | survive, new | s of CPU |
| --- | ---: | ---: | ---: | ---: | ---: |"""


def tried(module: str, rows: Path) -> None:
    """Try each mutant of a module but those that `rows` tells to be killed; a line of `rows` each."""
    every = list(mutants((ROOT / module).read_text()))
    killed = {key(one) for one in _told(rows) if one.killed}
    tests = [str(ROOT / "tests" / name) for name in TESTS[module]]
    child = os.fork()
    if child == 0:
        os._exit(collected(module, tests, [one for one in every if (module, *one.key) not in killed], rows))
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit(f"{module}: its tests could not be run")


def outcomes_of(module: str, rows: Path) -> list[Outcome]:
    """What became of each mutant of a module as it stands, so far as it was tried."""
    told = {key(one): one for one in _told(rows)}
    names = [(module, *one.key) for one in mutants((ROOT / module).read_text())]
    return [told[name] for name in names if name in told]


def key(outcome: Outcome) -> tuple[str, str, str, str]:
    """What names a mutant."""
    return outcome.module, outcome.where, outcome.before, outcome.after


def _told(rows: Path) -> list[Outcome]:
    return [Outcome(**json.loads(line)) for line in rows.read_text().splitlines()] if rows.exists() else []


def known() -> dict[tuple[str, str, str, str], str]:
    """Why a mutant may live, by what names it."""
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    return {
        (module, one["where"], one["before"], one["after"]): one["why"]
        for module, all_ in listed.items()
        for one in all_
    }


def row(module: str, outcomes: Sequence[Outcome], why: Mapping[tuple[str, str, str, str], str]) -> str:
    """One line of the table."""
    killed = sum(one.killed for one in outcomes)
    listed = sum(not one.killed and key(one) in why for one in outcomes)
    cells = (
        module,
        len(outcomes),
        killed,
        listed,
        len(outcomes) - killed - listed,
        f"{sum(o.cpu_s for o in outcomes):.0f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    """Try the mutants of each module: a table, and what survives with the reason why; 1 where there is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", nargs="+", choices=list(TESTS), default=list(TESTS), metavar="MODULE")
    parser.add_argument("--rows", type=Path, help="keep each outcome here, and do not try again what was killed")
    parser.add_argument("--look", action="store_true", help="tell what --rows holds so far, and try nothing")
    asked = parser.parse_args()
    os.chdir(ROOT)
    why = known()
    print(HEAD)
    with TemporaryDirectory() as folder:
        outcomes: list[Outcome] = []
        for module in asked.modules:
            rows = (asked.rows or Path(folder, "rows.jsonl")).absolute()
            if not asked.look:
                tried(module, rows)
            mine = outcomes_of(module, rows)
            print(row(module, mine, why), flush=True)
            outcomes += mine
    print(row("all", outcomes, why))
    alive = [one for one in outcomes if not one.killed]
    for module in dict.fromkeys(one.module for one in alive):
        print(f"\n## {module}\n\n| in | was | is | why no test tells |\n| --- | --- | --- | --- |")
        for one in (one for one in alive if one.module == module):
            cells = one.where, f"`{one.before}`", f"`{one.after}`", why.get(key(one), "NEW")
            print("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    for stale in why.keys() & {key(one) for one in outcomes if one.killed}:
        print(f"mutants.toml: is killed: {stale}", file=sys.stderr)
    return 0 if all(key(one) in why for one in alive) else 1


if __name__ == "__main__":
    sys.exit(main())
