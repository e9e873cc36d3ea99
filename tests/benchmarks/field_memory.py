"""How much memory does `predict --recordings` take? An untrained model of three folds on made-up files of any length.

A row a length: the resident memory that the process had at most, of which `imports` is what the libraries alone take;
seconds; and how many calls were found. It exits 1 over 1,000 MB. Linux only: the peak stands in /proc (what `getrusage`
gives a child process counts the parent's memory too).

Example: python tests/benchmarks/field_memory.py --minutes 1 10 120
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import soundfile

RATE_HZ: Final = 48_000
BOUND_MB: Final = 1_000.0
HEAD: Final = """
| minutes of 48 kHz | peak MB | of it imports | s | minutes heard a second | calls |
| ---: | ---: | ---: | ---: | ---: | ---: |"""
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
    from hashlib import sha256

    from safetensors.torch import save_file

    from rfcx_model import network
    from rfcx_model.hyperparameters import flatten
    from study.model_folder import write_front_end
    from study.space import load

    space = Path(__file__).parents[2] / "search_spaces" / "mixup.toml"
    study = load(space, {"network.backbone": backbone})
    h = study.hyperparameters(study.baseline)
    folder.mkdir()
    for fold in range(3):
        save_file(network.build(h.network, 24, seed=fold).state_dict(), folder / f"fold{fold}.safetensors")
    (folder / "species.csv").write_text("\n".join(["species_id", *map(str, range(24))]) + "\n")
    write_front_end(folder, h.frontend)
    hashes = {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    facts = {"format": 1, "hyperparameters": flatten(h), "folds": 3, "sha256": hashes}
    (folder / "config.json").write_text(json.dumps(facts))
    return folder


def main() -> int:
    """Print the table; 1 where the bound is not kept."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10, 120])
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
            sound = folder / f"{minutes}.flac"
            write_sound(sound, minutes)
            peak, seconds, calls = measured(HEAR, model, sound, folder / f"calls{minutes}")
            cells = (minutes, f"{peak:.0f}", f"{imports:.0f}", f"{seconds:.0f}", f"{minutes / seconds:.1f}", calls)
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
            kept = kept and peak < BOUND_MB
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
