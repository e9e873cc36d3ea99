"""How much memory does `predict --recordings` take? An untrained model of three folds on made-up files of any length.

A row a length: the resident memory that the process had at most, of which `imports` is what the libraries alone take;
seconds; and how many calls were found. It exits 1 over 1,000 MB. Linux only: the peak stands in /proc (what `getrusage`
gives a child process counts the parent's memory too).

Example: python tests/benchmarks/field_memory.py --minutes 1 10 120
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import soundfile

from study.machine import cores

RATE_HZ: Final = 48_000
BOUND_MB: Final = 1_000.0
HEAD: Final = """
| backbone | workers | files | minutes of 48 kHz each | peak MB | of it imports | s | minutes heard a second | calls |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""
IMPORTS: Final = "import study.field"
PEAK: Final = """
import re, sys
from pathlib import Path
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1), file=sys.stderr)
"""
HEAR: Final = """
import sys
from pathlib import Path
from rich.console import Console
from study.display import Display
from study.field import Detector, detect
model, sound, to = map(Path, sys.argv[1:])
print(detect(model, sound, to, Detector(), Display(Console(quiet=True))).calls)
"""


def noise(minutes: int) -> Iterator[np.ndarray]:
    """Minute by minute, a rising tone in each."""
    generator = np.random.default_rng(0)
    time_s = np.arange(60 * RATE_HZ, dtype=np.float32) / RATE_HZ
    for _ in range(minutes):
        tone = np.sin(2 * np.pi * (1000 + 20 * time_s) * time_s) * (time_s % 10 < 1)
        yield (0.05 * generator.standard_normal(len(time_s), dtype=np.float32) + 0.2 * tone).astype(np.float32)


def write_sound(path: Path, minutes: int) -> None:
    """A file of so many minutes, never held whole."""
    with soundfile.SoundFile(path, "w", RATE_HZ, 1) as file:
        for block in noise(minutes):
            file.write(block)


def measured(code: str, *words: object) -> tuple[float, float, str]:
    """Peak resident MB, seconds and stdout of a process that runs the code."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", f"{code}\n{PEAK}", *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    return int(done.stderr.split()[-1]) * 1024 / 1e6, time.perf_counter() - begun, done.stdout.strip()


def write_model(folder: Path, backbone: str) -> Path:
    """Three folds with the front end and windows of `search_spaces/mixup.toml`."""
    from rfcx_model import network
    from study import model_folder
    from study.space import load

    space = Path(__file__).parents[2] / "search_spaces" / "mixup.toml"
    study = load(space, {"network.backbone": backbone})
    h = study.hyperparameters(study.baseline)
    weights = [network.build(h.network, 24, seed=fold).state_dict() for fold in range(3)]
    return model_folder.write_model(folder, model_folder.Contents(h, range(24), weights))


def main() -> int:
    """Print the table; 1 where the bound is not kept."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10, 120])
    parser.add_argument("--files", type=int, default=1, help="so many of each length at once")
    parser.add_argument("--backbone", default="test_resnet")
    parser.add_argument("--folder", type=Path, help="where the files are made (default: a temporary one)")
    asked = parser.parse_args()
    kept = True
    print(HEAD)
    with TemporaryDirectory(dir=asked.folder) as temporary:
        folder = Path(temporary)
        model = write_model(folder / "model", asked.backbone)
        imports, _, _ = measured(IMPORTS)
        for minutes in asked.minutes:
            sounds = folder / f"sounds{minutes}"
            sounds.mkdir()
            write_sound(sounds / "0.flac", minutes)
            for number in range(1, asked.files):
                (sounds / f"{number}.flac").hardlink_to(sounds / "0.flac")
            peak, seconds, calls = measured(HEAR, model, sounds, folder / f"calls{minutes}")
            speed = asked.files * minutes / seconds
            place = (asked.backbone, min(asked.files, cores()), asked.files, minutes)
            cells = (*place, f"{peak:.0f}", f"{imports:.0f}", f"{seconds:.0f}", f"{speed:.1f}", calls)
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
            kept = kept and peak < BOUND_MB
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
