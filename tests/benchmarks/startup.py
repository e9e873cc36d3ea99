"""How long until something is seen? Wall seconds of a cold process, by turns, and what it has imported.

    --help     from the call to the end
    plan       of `search_spaces/smoke.toml` on a small made-up forest; what an epoch costs is known from a call before
    run        of the same, from the call to the first epoch of a network on the disk

Files stand in the page cache, bytecode is cached: the first call of each is not counted.

Example: python tests/benchmarks/startup.py --repeats 5
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

SPACE: Final = Path(__file__).parents[2] / "search_spaces" / "smoke.toml"
HEAVY: Final = ("torch", "timm", "ray", "optuna", "librosa", "pandas", "sklearn", "matplotlib", "tensorboard")
IMPORTED: Final = """
import atexit, sys
told = {told!r}
atexit.register(lambda: print(*(one for one in told if one in sys.modules), file=sys.stderr))
sys.argv = ["rfcx-study", *{words!r}]
from study.__main__ import main
main()
"""
POLL_S: Final = 0.02
LONGEST_S: Final = 300.0


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "study", *map(str, words)]


def whole(*words: object) -> float:
    """Seconds of a call."""
    begun = time.perf_counter()
    subprocess.run(command(*words), check=True, capture_output=True)
    return time.perf_counter() - begun


def first_epoch(out: Path, *words: object) -> float:
    """Seconds until the first epoch of a stage is on the disk; the call is then interrupted, as by Ctrl-C."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command(*words, "--out", out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while not any(out.glob("*/stages/*/epoch-*")):
            if process.poll() is not None or time.perf_counter() - begun > LONGEST_S:
                raise RuntimeError(f"no epoch after {time.perf_counter() - begun:.0f} s")
            time.sleep(POLL_S)
        return time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def imported(*words: object) -> str:
    """Which of the heavy packages a verb imports."""
    code = IMPORTED.format(told=HEAVY, words=[*map(str, words)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    return ", ".join(done.stderr.splitlines()[-1].split()) or "none"


def main() -> None:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data, places = folder / "forest", ("--cache", folder / "cache")
        sizes = ("--recordings", 24, "--test-recordings", 1, "--duration-s", 12, "--sample-rate-hz", 24000)
        whole("synthesize", data, *sizes, "--species", 8)
        turns = iter(range(1000))
        ways: dict[str, Callable[[], float]] = {
            "--help": lambda: whole("--help"),
            "plan": lambda: whole("plan", SPACE, "--data", data, *places),
            "run, first epoch": lambda: first_epoch(folder / str(next(turns)), "run", SPACE, "--data", data, *places),
        }
        verbs = {"--help": ("--help",), "plan": ("plan", SPACE, "--data", data, *places)}
        print("| call | wall s, median | slowest | imports |\n| --- | ---: | ---: | --- |")
        for name, way in ways.items():
            way()
            taken = [way() for _ in range(asked.repeats)]
            names = imported(*verbs[name]) if name in verbs else ""
            print(f"| {name} | {statistics.median(taken):.2f} | {max(taken):.2f} | {names} |", flush=True)


if __name__ == "__main__":
    main()
