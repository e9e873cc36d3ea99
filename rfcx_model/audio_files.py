"""The sound files of a folder, and what their headers say. No whole file is decoded here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile

EXTENSIONS = (".flac", ".wav", ".ogg")
RATES_HZ = (8_000, 192_000)
DURATIONS_S = (5.0, 600.0)
ROUNDING_S = 0.05  # a file cut to 5 s may lack some samples
_EDGE_BYTES = 65_536
_THREADS = 8


@dataclass(frozen=True)
class AudioFile:
    """One sound file: its length in seconds, its rate, and a digest of its name, size, first and last 64 KiB."""

    path: Path
    duration_s: float
    sample_rate_hz: int
    digest: bytes


@dataclass(frozen=True)
class Listing:
    """The sound files of one folder by recording id; `faults` name the ids that stand there twice."""

    folder: Path
    paths: dict[str, Path]
    faults: tuple[str, ...]


def list_folder(folder: Path) -> Listing:
    """Find `<recording_id>.flac`, `.wav` or `.ogg`, in one reading of the folder."""
    if not folder.is_dir():
        fault = f"{folder.name}/: the folder must exist, but {folder} does not. Is this the competition's folder?"
        return Listing(folder, {}, (fault,))
    paths: dict[str, Path] = {}
    faults: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in EXTENSIONS or path.name.startswith("."):
            continue
        if (first := paths.setdefault(path.stem, path)) != path:
            got = f"got {first.name} and {path.name}"
            faults.append(f"{folder.name}/: one file a recording must stand, but {got}. Delete one of them.")
    return Listing(folder, paths, tuple(faults))


def probe(paths: Sequence[Path]) -> tuple[dict[str, AudioFile], dict[str, str]]:
    """Headers of `paths` by recording id, and the fault of each file that is broken, empty or out of range."""
    with ThreadPoolExecutor(_THREADS) as threads:
        found = {path.stem: one for path, one in zip(paths, threads.map(_probe_one, paths), strict=True)}
    files = {name: one for name, one in found.items() if isinstance(one, AudioFile)}
    return files, {name: one for name, one in found.items() if isinstance(one, str)}


def _probe_one(path: Path) -> AudioFile | str:
    where = f"{path.parent.name}/{path.name}"
    sound = None
    try:
        if path.is_dir():
            return f"{where}: must be a sound file, but is a folder. Remove it or rename it."
        size = path.stat().st_size
        if size == 0:
            return f"{where}: a sound file must hold sound, but it is empty (0 bytes). Copy it again."
        with soundfile.SoundFile(path) as sound:
            frames, rate_hz, channels = sound.frames, sound.samplerate, sound.channels
            if frames > 0:
                sound.seek(frames - 1)  # a file cut short has a sound header and fails here
                frames = frames if len(sound.read(1)) == 1 else 0
        digest = edges_digest(path, size)
    except soundfile.LibsndfileError:
        said = "its header is none of theirs" if sound is None else "its end is missing"
        return f"{where}: must decode as FLAC, WAV or OGG, but {said}. Copy it again."
    except OSError as error:
        return f"{where}: must be readable, but: {error.strerror}. Mend the file or its permissions."
    duration_s = frames / rate_hz
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        rule = f"the sample rate must lie within {RATES_HZ[0]} to {RATES_HZ[1]} Hz"
        return f"{where}: {rule}, but got {rate_hz}. Resample or remove it."
    if not DURATIONS_S[0] - ROUNDING_S <= duration_s <= DURATIONS_S[1] + ROUNDING_S:
        rule = f"a recording must last {DURATIONS_S[0]:g} to {DURATIONS_S[1]:g} s"
        return f"{where}: {rule}, but got {duration_s:.3f}. Cut or remove it."
    if channels > 2:
        return f"{where}: a recording must be mono or stereo, but got {channels} channels. Mix it down."
    return AudioFile(path, duration_s, rate_hz, digest)


def edges_digest(path: Path, size: int) -> bytes:
    """SHA-256 over the names of folder and file, the size in bytes, and the first and last 64 KiB."""
    named = os.fsencode(f"{path.parent.name}/{path.name}\0{size}\0")
    with path.open("rb") as file:
        head = file.read(_EDGE_BYTES)
        file.seek(max(size - _EDGE_BYTES, 0))
        return hashlib.sha256(named + head + file.read()).digest()


def openable(path: Path) -> Path | bytes:
    """A path as soundfile opens it: as bytes where a file's name need not be text."""
    return path if os.name == "nt" else os.fsencode(path)


def fingerprint(tables: Iterable[Path], files: Iterable[AudioFile]) -> str:
    """SHA-256, in hex, over the bytes of the tables and the digests of the sound files, each in the order given."""
    whole = hashlib.sha256()
    for table in tables:
        whole.update(f"{table.name}\0".encode() + hashlib.sha256(table.read_bytes()).digest())
    for file in files:
        whole.update(file.digest)
    return whole.hexdigest()
