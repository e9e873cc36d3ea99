"""The log-mel of all training recordings in one memory-mapped array of bytes.

A cache is a folder named by the data's fingerprint and the front end's knobs:

    cells.npy       uint8 (frame of all recordings one after another, mel)
    statistics.npy  float64 (recording, 4 + mel): floor, mean, std, residual std, band medians, in dB
    meta.json       version, fingerprint, front end, frames of each recording

It is made in a work folder beside, which is renamed when whole; rows of statistics that are not a number yet say which
recordings are still to be made, so an interrupted `prepare` carries on. A lock on a file beside lets one process at a
time work on a cache. Threads, not processes, share out the files: decoding, resampling, FFT and matrix products all
release Python's lock (2 threads on 2 cores: 1.9 times one thread), and nothing has to be imported again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Frontend
from rfcx_model.recordings import Recordings
from rfcx_model.spectrogram import (
    LEVELS,
    affine_rows,
    count_frames,
    encode,
    log_mel,
    mel_basis,
    one_thread_each,
    read_audio,
    resampled_samples,
)

CACHE_VERSION = 2  # raise it when cells of the same sound change
_SAVE_EVERY_S = 2.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Spectrograms:
    """A cache, opened. Pickled as its path.

    Attributes:
        folder: where it stands.
        cells: uint8 (frame of all recordings, mel), memory-mapped, read-only.
        offsets: int64 (recording + 1,), the first frame of each recording in `cells`.
        statistics: float64 (recording, 4 + mel), see `spectrogram.affine_rows`.
        frontend: what it was made with.
    """

    folder: Path
    cells: np.ndarray
    offsets: np.ndarray
    statistics: np.ndarray
    frontend: Frontend

    def __reduce__(self) -> tuple[Callable[[Path], Spectrograms], tuple[Path]]:
        return open_cache, (self.folder,)

    def frames(self) -> np.ndarray:
        """Frames of each recording: int64 (recording,)."""
        return np.diff(self.offsets)

    def affine(self, normalise: str) -> tuple[np.ndarray, np.ndarray]:
        """Float32 scale (recording,) and shift (recording, mel) so that `cells · scale + shift` is normalised."""
        return affine_rows(self.statistics, self.frontend.range_db / LEVELS, normalise)

    def gather(self, recordings: np.ndarray, starts: np.ndarray, window_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows that start at frame `starts` (batch,) of `recordings` (batch,); they may hang over either end.

        Returns:
            Cells, uint8 (batch, frame, mel), 0 outside the recording; and whether a frame is inside, (batch, frame).
        """
        cells = np.zeros((len(starts), window_frames, self.cells.shape[1]), dtype=np.uint8)
        inside = np.zeros((len(starts), window_frames), dtype=bool)
        for row, (recording, start) in enumerate(zip(recordings.tolist(), starts.tolist(), strict=True)):
            first, end = int(self.offsets[recording]), int(self.offsets[recording + 1])
            low, high = max(start, 0), min(start + window_frames, end - first)
            if low < high:
                cells[row, low - start : high - start] = self.cells[first + low : first + high]
                inside[row, low - start : high - start] = True
        return cells, inside


def cache_name(fingerprint: str, frontend: Frontend) -> str:
    """The name of the cache of these recordings under these knobs."""
    asked = json.dumps([CACHE_VERSION, fingerprint, asdict(frontend)], sort_keys=True)
    return f"logmel-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"


def open_cache(folder: Path) -> Spectrograms:
    """Open the whole cache in `folder`.

    Raises:
        OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError: it is not there or not whole.
    """
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    offsets = np.concatenate([[0], np.cumsum(meta["frames"], dtype=np.int64)])
    frontend = Frontend(**meta["frontend"])
    cells = _mapped(folder / "cells.npy", np.uint8)
    statistics = np.array(_mapped(folder / "statistics.npy", np.float64))
    if cells.shape != (offsets[-1], frontend.n_mels) or statistics.shape != (len(offsets) - 1, 4 + frontend.n_mels):
        raise ValueError(f"{folder}: arrays and meta.json do not agree")
    return Spectrograms(folder, cells, offsets, statistics, frontend)


def _mapped(path: Path, kind: type[np.generic]) -> np.ndarray:
    """An array on disk, read-only. A header that claims more than the file holds takes no memory.

    Raises:
        OSError, ValueError: it is not there or not whole.
    """
    try:
        made = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError):
        raise
    except Exception as error:  # NumPy evaluates the header, and what a damaged one does there has many names
        raise ValueError(f"{path}: {error}") from error
    if made.dtype != kind:
        raise ValueError(f"{path}: must hold {kind.__name__}, but holds {made.dtype}")
    return made


def prepare(
    recordings: Recordings, frontend: Frontend, folder: Path, *, workers: int, progress: Progress | None = None
) -> Spectrograms:
    """Open the cache of the training recordings in `folder`; make it, or what is left of it, where it is not there.

    Args:
        recordings: whose `train` is cached, in its order.
        frontend: the knobs.
        folder: holds caches, one folder each.
        workers: threads.
        progress: told (recordings done, recordings in all), from the calling thread.

    Raises:
        InputError: a sound file is broken, or the disk is too full; nothing is left behind.
    """
    folder = Path(folder).absolute()
    final = folder / cache_name(recordings.fingerprint, frontend)
    if (found := _try_open(final)) is not None:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f".{final.name}.lock"):
        if (found := _try_open(final)) is not None:
            return found
        shutil.rmtree(final, ignore_errors=True)
        work = folder / f".{final.name}.work"
        try:
            _fill(work, recordings, frontend, workers, progress or _silent)
        except InputError:
            shutil.rmtree(work)
            raise
        work.rename(final)
        _sync(folder)
    return open_cache(final)


def _silent(done: int, total: int) -> None:
    del done, total


def _try_open(folder: Path) -> Spectrograms | None:
    try:
        return open_cache(folder)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None  # not there or damaged: it is made again


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for, hold and remove a lock file; the system frees it when its holder dies."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            break
        os.close(descriptor)  # its last holder removed it between our opening and our lock
    try:
        yield
    finally:
        path.unlink()
        os.close(descriptor)


def _fill(work: Path, recordings: Recordings, frontend: Frontend, workers: int, progress: Progress) -> None:
    """Make all recordings that `work` lacks, and write its meta.json."""
    train = recordings.train
    frames = [
        count_frames(resampled_samples(round(seconds * rate_hz), rate_hz, frontend.sample_rate_hz), frontend)
        for seconds, rate_hz in zip(train["duration_s"].tolist(), train["sample_rate_hz"].tolist(), strict=True)
    ]
    statistics = _begin(work, frames, frontend)
    offsets = np.concatenate([[0], np.cumsum(frames)]).tolist()
    missing = np.flatnonzero(np.isnan(statistics[:, 0])).tolist()
    mel_basis(frontend)  # made once, before the threads ask for it together
    with one_thread_each(), (work / "cells.npy").open("r+b") as file:
        start = np.lib.format.open_memmap(work / "cells.npy", mode="r").offset
        pool = ThreadPoolExecutor(workers)

        def make(row: int) -> np.ndarray:
            one = encode(log_mel(read_audio(train["path"][row], frontend.sample_rate_hz), frontend), frontend)
            _write(file.fileno(), one.cells, start + offsets[row] * frontend.n_mels)
            own = [one.floor_db, one.mean_db, one.std_db, one.residual_std_db]
            return np.concatenate([own, one.band_median_db])

        try:
            saved, done = monotonic(), len(frames) - len(missing)
            futures = {pool.submit(make, row): row for row in missing}
            for future in as_completed(futures):
                statistics[futures[future]] = future.result()
                done += 1
                progress(done, len(frames))
                if monotonic() - saved > _SAVE_EVERY_S:
                    _save(work, file.fileno(), statistics)
                    saved = monotonic()
        finally:
            pool.shutdown(cancel_futures=True)
            _save(work, file.fileno(), statistics)
    meta: dict[str, Any] = {"version": CACHE_VERSION, "fingerprint": recordings.fingerprint}
    meta |= {"frontend": asdict(frontend), "frames": frames}
    (work / "meta.json").write_text(json.dumps(meta))
    _sync(work / "meta.json")


def _begin(work: Path, frames: list[int], frontend: Frontend) -> np.ndarray:
    """The statistics made so far; a fresh work folder where there is none."""
    try:
        made = np.array(_mapped(work / "statistics.npy", np.float64))
        cells = _mapped(work / "cells.npy", np.uint8)
        if made.shape == (len(frames), 4 + frontend.n_mels) and cells.shape == (sum(frames), frontend.n_mels):
            return made
    except (OSError, ValueError):
        pass  # not begun, or damaged
    shutil.rmtree(work, ignore_errors=True)
    need, free = sum(frames) * frontend.n_mels, shutil.disk_usage(work.parent).free
    work.mkdir()
    if need > free:
        got = f"{free / 1e9:.1f} GB where {need / 1e9:.1f} GB are needed"
        raise InputError(f"{work.parent}: the disk must have room for the spectrograms, but got {got}. Make room.")
    np.lib.format.open_memmap(work / "cells.npy", mode="w+", dtype=np.uint8, shape=(sum(frames), frontend.n_mels))
    statistics = np.full((len(frames), 4 + frontend.n_mels), np.nan)
    np.save(work / "statistics.npy", statistics)
    return statistics


def _write(descriptor: int, cells: np.ndarray, place: int) -> None:
    """All bytes of `cells` at `place` of the file; a full disk is an OSError here, and a crash in a memory map."""
    left = memoryview(cells.tobytes())
    while left:
        written = os.pwrite(descriptor, left, place)
        left, place = left[written:], place + written


def _save(work: Path, descriptor: int, statistics: np.ndarray) -> None:
    """Cells first, then the statistics that vouch for them."""
    os.fsync(descriptor)
    np.save(work / "next.npy", statistics)
    _sync(work / "next.npy")
    (work / "next.npy").replace(work / "statistics.npy")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
