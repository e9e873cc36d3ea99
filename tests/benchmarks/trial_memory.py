"""Do the trials of a node share the spectrograms? A study runs, and the memory maps of its processes are read.

Told are, at the moment when most of the cache was mapped, the size of its file; `Rss`, what the processes have of it,
added up, as if each had a copy; and `Pss`, in which a page that several share is counted once between them. Linux only.

Example: python tests/benchmarks/trial_memory.py --slots 2 --recordings 60
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Final

import psutil

SPACE: Final = Path(__file__).parents[2] / "search_spaces" / "smoke.toml"
CELLS: Final = "cells.npy"
POLL_S: Final = 0.5
HEAD: Final = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")  # of a mapping; lines of figures follow
SHORT: Final = {"stage1.epochs": 1, "stage2.epochs": 1, "stage3.epochs": 6, "stage3.teachers": 1}


@dataclass(frozen=True)
class Mapped:
    """Megabytes of the cache in all processes that have it, and of everything in them."""

    processes: int = 0
    rss: float = 0.0
    pss: float = 0.0
    whole_pss: float = 0.0


def mapped(root: psutil.Process) -> Mapped:
    """What the process and its descendants have of the cache now."""
    count, rss, pss, whole = 0, 0, 0, 0
    for process in [root, *root.children(recursive=True)]:
        try:
            lines = Path(f"/proc/{process.pid}/smaps").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        inside, mine = False, 0
        for line in lines:
            word, _, rest = line.partition(":")
            if HEAD.match(line):
                inside = line.endswith(CELLS)
            elif word == "Pss":
                pss += int(rest.split()[0]) if inside else 0
                whole += int(rest.split()[0])
            elif word == "Rss" and inside:
                mine += int(rest.split()[0])
        rss += mine
        count += mine > 0
    return Mapped(count, rss / 1024, pss / 1024, whole / 1024)


def watched(command: list[str]) -> Mapped:
    """Run to the end; the moment with most of the cache mapped."""
    environment = {**os.environ, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    with TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=environment)
        root, most = psutil.Process(process.pid), Mapped()
        try:
            while process.poll() is None:
                most = max(most, mapped(root), key=lambda one: one.rss)
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        if process.returncode:
            said.seek(0)
            raise RuntimeError(said.read().decode(errors="replace")[-2000:])
    return most


def main() -> None:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=60)
    parser.add_argument("--duration-s", type=float, default=60.0)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args()
    print("| trials at once | processes with the cache | file, MB | Rss, MB | Pss, MB | all processes, Pss MB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        verb = [sys.executable, "-m", "study"]
        sizes = ["--recordings", asked.recordings, "--test-recordings", 1, "--duration-s", asked.duration_s]
        made = [*verb, "synthesize", folder / "forest", *sizes, "--sample-rate-hz", 24_000, "--species", 8]
        subprocess.run([*map(str, made)], check=True, capture_output=True)
        for slots in asked.slots:
            settings = {**SHORT, "resources.concurrent": slots}
            words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
            places = ["--data", folder / "forest", "--out", folder / f"out{slots}", "--cache", folder / "cache"]
            command = [*verb, "run", SPACE, *places, "--trials", 2 * slots, *words]
            most = watched([*map(str, command)])
            (cells,) = (folder / "cache").glob(f"*/{CELLS}")
            cells_mb = cells.stat().st_size / 2**20
            told = (cells_mb, most.rss, most.pss, most.whole_pss)
            print(f"| {slots} | {most.processes} | {' | '.join(f'{one:.0f}' for one in told)} |", flush=True)


if __name__ == "__main__":
    main()
