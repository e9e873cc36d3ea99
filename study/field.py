"""predict on field recordings: a model and a folder of sounds of any length and rate → tables of detected calls.

For each recording a selection table for Raven and a label track for Audacity, under its own path; in the end one
`detections.csv` of all. `heard.jsonl` notes what each recording was when it was heard, so that an interrupted call goes
on, and hears again what has changed since.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import soundfile
import torch

from rfcx_model import compute
from rfcx_model.audio_files import edges_digest, openable
from rfcx_model.compute import Compute
from rfcx_model.detections import runs
from rfcx_model.errors import InputError, RunError
from rfcx_model.hyperparameters import Frontend
from rfcx_model.network import CELL_FRAMES
from rfcx_model.pieces import PIECE_S, listen
from rfcx_model.predict import Model
from study.call_tables import CSV, Call, audacity, harmless, raven, read_raven, write_rows
from study.display import Display
from study.machine import cores
from study.model_folder import load_model, read_config
from study.trials import heal
from study.whole_file import write_whole

ASKED: Final = "predict.json"
HEARD: Final = "heard.jsonl"
TABLE: Final = "detections.csv"
EXTENSIONS: Final = frozenset(f".{name.lower()}" for name in soundfile.available_formats()) - {".raw"} | {".aif"}
NAMED: Final = 5


@dataclass(frozen=True)
class Detector:
    """How calls are made of probabilities."""

    threshold: float = 0.5
    piece_s: float = PIECE_S
    join_s: float = 0.6  # calls no further apart are one; at 62.5 frames a second one cell

    def join_cells(self, cell_s: float) -> int:
        """How many cells may lie between two calls that are one."""
        return int(self.join_s / cell_s + 1e-9)


@dataclass(frozen=True)
class Told:
    """The calls of one recording by start, what it was, and the highest frequency in Hz that it can hold."""

    calls: list[Call]
    digest: str
    nyquist_hz: float


@dataclass(frozen=True)
class Summary:
    """What a call of `detect` found."""

    folder: Path
    recordings: int
    known: int  # done by an earlier call
    calls: int
    faults: tuple[str, ...]

    def __str__(self) -> str:
        earlier = f", {self.known} of them before" if self.known else ""
        return f"{self.calls} calls in {self.recordings - len(self.faults)} recordings{earlier}: {self.folder / TABLE}"


def detect(model_folder: Path, sounds: Path, to: Path, detector: Detector, display: Display) -> Summary:
    """Detect calls in a sound file or in all of a folder, and write the tables into the folder `to`.

    Raises:
        InputError: the model is unsound, there is no sound, or `to` is a folder of something else.
        RunError: some recordings cannot be heard; all others are done.
    """
    root, paths = _found(sounds)
    model = load_model(model_folder)
    asked = {"format": 1, "model": read_config(model_folder).digest, **asdict(detector)}
    _claim(to, {**asked, "sounds": str(sounds.resolve())})
    heal(to / HEARD)
    known = _known(to)
    left = [path for path in paths if not _is_done(to, root, path, known)]
    faults: dict[Path, str] = {}
    frontend = model.hyperparameters.frontend
    with display.phase("recordings", len(paths)):
        done = len(paths) - len(left)
        display.at(done)
        for path, told in _heard(left, model, detector):
            done += 1
            if isinstance(told, InputError):
                faults[path] = harmless(str(told))
                display.say(faults[path])
            else:
                _write(to, root, path, told, _band_hz(frontend, told.nyquist_hz))
            display.at(done)
    count = _gather(to, root, [path for path in paths if path not in faults])
    summary = Summary(to, len(paths), len(paths) - len(left), count, tuple(faults.values()))
    if faults:
        some = ", ".join(harmless(path.name) for path in list(faults)[:NAMED]) + (", …" if len(faults) > NAMED else "")
        raise RunError(f"{len(faults)} of {len(paths)} recordings could not be heard ({some}). {summary}")
    return summary


def _found(sounds: Path) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the sound files by name.

    Raises:
        InputError: there is none.
    """
    if sounds.is_file():
        return sounds.parent, [sounds]
    paths = sorted(p for p in sounds.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file() and _plain(p.name))
    if not paths:
        raise InputError(
            f"{sounds}: a sound file or a folder with some (.flac, .wav, .ogg, .mp3) is needed, but there is none. "
            "Give the folder of the recordings."
        )
    return sounds, paths


def _plain(name: str) -> bool:
    return not name.startswith(".")


def _claim(to: Path, asked: dict[str, object]) -> None:
    """Take the folder for this question, or find that it is this question's already.

    Raises:
        InputError: something else stands there, or the answer to another question.
    """
    place = to / ASKED
    if not os.path.lexists(to):
        to.mkdir(parents=True)
        write_whole(place, json.dumps(asked, indent=1) + "\n")
        return
    try:
        known = dict(json.loads(place.read_text(encoding="utf-8")).items())
    except (OSError, ValueError, AttributeError, RecursionError):
        raise InputError(f"{to}: exists already. Give a folder that does not exist yet, or remove it.") from None
    differs = sorted(name for name in {*known, *asked} if known.get(name) != asked.get(name))
    if differs:
        raise InputError(f"{to}: it holds an answer with other {', '.join(differs)}. Give another folder.")


def _table(to: Path, root: Path, path: Path) -> Path:
    name = path.relative_to(root)
    return to / name.parent / f"{name.name}.raven.txt"


def _known(to: Path) -> dict[str, str]:
    """What each recording was when it was heard."""
    path, known = to / HEARD, {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        try:
            name, digest = json.loads(line)
            known[str(name)] = str(digest)
        except (ValueError, TypeError, RecursionError):
            continue  # nothing that was written here: that recording is heard again
    return known


def _is_done(to: Path, root: Path, path: Path, known: Mapping[str, str]) -> bool:
    name = path.relative_to(root).as_posix()
    return name in known and _table(to, root, path).exists() and known[name] == _digest(path)


def _digest(path: Path) -> str:
    """Size and edges of a file; "" where it cannot be read."""
    try:
        return edges_digest(path, path.stat().st_size).hex()
    except OSError:
        return ""


def _band_hz(frontend: Frontend, nyquist_hz: float) -> tuple[float, float]:
    """What the model hears of a recording; all that the recording holds where that is nothing."""
    low, high = frontend.f_min_hz, min(frontend.f_max_hz, nyquist_hz)
    return (low, high) if low < high else (0.0, nyquist_hz)


def _heard(paths: Sequence[Path], model: Model, detector: Detector) -> Iterator[tuple[Path, Told | InputError]]:
    """Each recording in turn with its calls, on all cores or the GPU; a few are heard ahead, however many there are."""
    torch.set_num_threads(1)
    place = compute.best()
    workers = min(len(paths), cores() if place.device.type == "cpu" else 1)
    if workers <= 1:  # a thread of its own would have a heap of its own
        yield from ((path, _calls(path, model, detector, place)) for path in paths)
        return
    waiting = iter(paths)
    with ThreadPoolExecutor(workers) as pool:

        def ask(count: int) -> list[tuple[Path, Future[Told | InputError]]]:
            return [(path, pool.submit(_calls, path, model, detector, place)) for path in islice(waiting, count)]

        ahead = ask(2 * workers)
        try:
            while ahead:
                path, asked = ahead.pop(0)
                yield path, asked.result()
                ahead += ask(1)
        finally:
            pool.shutdown(cancel_futures=True)


def _calls(path: Path, model: Model, detector: Detector, place: Compute) -> Told | InputError:
    """What is told of one recording, or why it cannot be heard."""
    cell_s = CELL_FRAMES / model.hyperparameters.frontend.frames_per_s
    digest = _digest(path)  # before it is heard: a file that grows meanwhile is heard again by the next call
    try:
        info = soundfile.info(openable(path))
        found = runs(listen(path, model, place, detector.piece_s), detector.threshold, detector.join_cells(cell_s))
        calls = [
            Call(run.first * cell_s, min(run.last * cell_s, info.duration), model.species[run.species], run.score)
            for run in found
        ]
    except InputError as error:
        return error
    except soundfile.LibsndfileError:
        return InputError(f"{path}: must be FLAC, WAV, OGG or MP3, but its header is none of theirs. Copy it again.")
    return Told(sorted(calls, key=lambda call: (call.start_s, call.species)), digest, info.samplerate / 2)


def _write(to: Path, root: Path, path: Path, told: Told, band_hz: tuple[float, float]) -> None:
    """Both tables, then the note that it is done."""
    table = _table(to, root, path)
    table.parent.mkdir(parents=True, exist_ok=True)
    write_whole(table.with_name(f"{path.name}.audacity.txt"), audacity(told.calls))
    write_whole(table, raven(told.calls, band_hz))
    with (to / HEARD).open("a", encoding="utf-8") as file:
        file.write(json.dumps([path.relative_to(root).as_posix(), told.digest]) + "\n")


def _gather(to: Path, root: Path, paths: Sequence[Path]) -> int:
    """detections.csv of all recordings, from their tables; returns how many calls it holds."""
    partial, count = to / f".{TABLE}", 0
    with partial.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(CSV) + "\n")
        for path in paths:
            calls = read_raven(_table(to, root, path))
            write_rows(file, path.relative_to(root).as_posix(), calls)
            count += len(calls)
    partial.replace(to / TABLE)
    return count
