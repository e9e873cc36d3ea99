"""How fast are the parts? Each beside what one would do without this package, and beside the floor where it is known.

A row is measured in turns, ours and the peer's by turns on the same inputs, one thread, and told are medians of CPU
seconds and their ratio. Before it is timed, both have given the same numbers to the tolerance that stands in the row.

    sound     a minute of 48 kHz FLAC to log-mel: librosa.load, melspectrogram, power_to_db; floor: decoding alone
    native    the same with the mel taken at the file's rate (48 kHz, n_fft 3072, hop 768), which needs no resampling.
              It has the same shape and, but for a constant, the same numbers below the top bands, where soxr cuts
    window    a random window of 512 frames: the cache's, and that of one compressed .npz a recording
    lwlrap    100,000 recordings × 24 species with ties: scikit-learn, weighted by the number of positives
    cores     files prepared on one core and on two: ours alone, wall time, of which linear would be 1

Example: python tests/benchmarks/parts.py --repeats 7
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: one thread each

import librosa
import numpy as np
import soundfile
from numpy.typing import NDArray
from sklearn.metrics import label_ranking_average_precision_score

from rfcx_model.forest import Forest
from rfcx_model.hyperparameters import Frontend
from rfcx_model.metrics import lwlrap
from rfcx_model.recordings import load
from rfcx_model.spectrogram import encode, log_mel, read_audio
from rfcx_model.spectrogram_cache import prepare
from rfcx_model.synthetic import write as write_forest

Floats = NDArray[np.float32]
NATIVE: Final = Frontend(sample_rate_hz=48_000, n_fft=3072, hop_length=768)
TOP_BANDS: Final = 4  # of 128; above them the resampler's filter cuts
WINDOW: Final = 512
BATCH: Final = 50  # windows a turn
HEAD: Final = """
| what | peer | tolerance | ours, CPU s | peer, CPU s | times faster | floor, CPU s | ours / floor |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"""


@dataclass(frozen=True)
class Rival:
    """What is measured: ours, another way to the same, and what cannot be avoided."""

    what: str
    peer: str
    tolerance: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    floor: Callable[[], Any] | None = None


def row(rival: Rival, repeats: int) -> str:
    """A line of the table: medians of turns."""
    ways = [rival.ours, rival.theirs, *([rival.floor] if rival.floor else [])]
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for place, way in enumerate(ways):
            begun = time.process_time()
            way()
            taken[place].append(time.process_time() - begun)
    ours, theirs, *floor = map(statistics.median, taken)
    cells = [rival.what, rival.peer, rival.tolerance, f"{ours:.4f}", f"{theirs:.4f}", f"{theirs / ours:.2f}"]
    cells += [f"{floor[0]:.4f}", f"{ours / floor[0]:.2f}"] if floor else ["", ""]
    return f"| {' | '.join(cells)} |"


def forest(folder: Path, recordings: int, duration_s: float) -> Path:
    """Made-up recordings at 48 kHz."""
    options = Forest(
        train_recordings=recordings, test_recordings=1, duration_s=duration_s, sample_rate_hz=48_000, species=8, seed=1
    )
    write_forest(options, folder / "forest", workers=2)
    return folder / "forest"


def librosas(path: Path) -> Floats:
    """(frame, mel) in dB, as a notebook has it."""
    audio, rate = librosa.load(path, sr=32_000)
    mel = librosa.feature.melspectrogram(
        y=audio, sr=rate, n_fft=2048, hop_length=512, n_mels=128, fmax=16_000, pad_mode="constant"
    )
    return np.asarray(librosa.power_to_db(mel, top_db=None).T, dtype=np.float32)


def cells_of(path: Path, frontend: Frontend) -> NDArray[np.uint8]:
    """As `prepare` makes them."""
    return encode(log_mel(read_audio(path, frontend.sample_rate_hz), frontend), frontend).cells


def sound(path: Path) -> Rival:
    """Both front ends agree within a thousandth of a dB."""
    ours = log_mel(read_audio(path, 32_000), Frontend())
    apart = float(np.abs(ours - librosas(path)).max())
    assert apart < 1e-3, apart
    return Rival(
        "a minute of 48 kHz FLAC to cells",
        "librosa.load, melspectrogram",
        f"{apart:.0e} dB",
        lambda: cells_of(path, Frontend()),
        lambda: librosas(path),
        lambda: soundfile.read(path, dtype="float32"),
    )


def native(path: Path) -> Rival:
    """Told is how far the bands below the top ones are from librosa's at 32 kHz, but for their mean difference."""
    apart = log_mel(read_audio(path, 48_000), NATIVE)[:, :-TOP_BANDS] - librosas(path)[:, :-TOP_BANDS]
    rest = float(np.abs(apart - np.median(apart)).max())
    return Rival(
        "the same, mel at the native rate",
        "librosa.load, melspectrogram",
        f"{rest:.0e} dB below the top {TOP_BANDS} bands, less {-np.median(apart):.2f}",
        lambda: cells_of(path, NATIVE),
        lambda: librosas(path),
        lambda: soundfile.read(path, dtype="float32"),
    )


def window(data: Path, folder: Path) -> Rival:
    """Random windows of random recordings, the very same bytes."""
    cache = prepare(load(data), Frontend(), folder / "cache", workers=2)
    frames = cache.frames()
    paths = [folder / f"{one}.npz" for one in range(len(frames))]
    for one, path in enumerate(paths):
        np.savez_compressed(path, cells=cache.cells[cache.offsets[one] : cache.offsets[one + 1]])
    generator = np.random.default_rng(0)
    which = generator.integers(len(frames), size=BATCH)
    starts = np.floor(generator.random(BATCH) * (frames[which] - WINDOW)).astype(np.int64)

    def theirs() -> NDArray[np.uint8]:
        found = []
        for one, start in zip(which.tolist(), starts.tolist(), strict=True):
            with np.load(paths[one]) as file:
                found.append(file["cells"][start : start + WINDOW])
        return np.stack(found)

    ours = cache.gather(which, starts, WINDOW)[0]
    assert (ours == theirs()).all()
    return Rival(
        f"{BATCH} random windows of {WINDOW} frames",
        "compressed .npz",
        "equal",
        lambda: cache.gather(which, starts, WINDOW),
        theirs,
    )


def ranking(rows: int) -> Rival:
    """Scores of two digits, so that many are equal."""
    generator = np.random.default_rng(0)
    truth = generator.random((rows, 24)) < 0.1
    scores = np.round(generator.random((rows, 24)), 2)
    weight = truth.sum(axis=1)
    kept = weight > 0

    def theirs() -> float:
        return float(label_ranking_average_precision_score(truth[kept], scores[kept], sample_weight=weight[kept]))

    apart = abs(lwlrap(truth, scores) - theirs())
    assert apart < 1e-12, apart
    return Rival(f"LWLRAP of {rows:,} × 24", "scikit-learn", f"{apart:.0e}", lambda: lwlrap(truth, scores), theirs)


def cores(data: Path, folder: Path, repeats: int) -> str:
    """Wall time of `prepare` on one core and on two."""
    recordings = load(data)
    taken: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(repeats):
        for workers, times in taken.items():
            begun = time.perf_counter()
            prepare(recordings, Frontend(), folder / f"{workers}-{turn}", workers=workers)
            times.append(time.perf_counter() - begun)
    one, two = (statistics.median(times) for times in taken.values())
    return (
        f"`prepare` of {len(recordings.train)} recordings: {one:.2f} s with one worker, {two:.2f} with two, "
        f"{one / two / 2:.2f} of linear"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--recordings", type=int, default=16)
    parser.add_argument("--duration-s", type=float, default=60.0)
    parser.add_argument("--rows", type=int, default=100_000, help="of LWLRAP")
    asked = parser.parse_args(arguments)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = forest(folder, asked.recordings, asked.duration_s)
        path = Path(load(data).train["path"].iloc[0])
        print(HEAD)
        for rival in (sound(path), native(path), window(data, folder)):
            print(row(rival, asked.repeats), flush=True)
        print(row(ranking(asked.rows), max(1, asked.repeats // 3)), flush=True)
        print(f"\n{cores(data, folder, max(1, asked.repeats // 2))}")


if __name__ == "__main__":
    main()
