"""All that is read of a competition folder, sound or not, and every fault of it, with file and row."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rfcx_model import audio_files
from rfcx_model.audio_files import AudioFile, Listing
from rfcx_model.errors import cut
from rfcx_model.tables import BOX_COLUMNS, Box, Table, parse_boxes, read_table, species_of

SHOWN_FAULTS: Final = 10
LONGEST_ID_BYTES: Final = 250  # file systems take names of 255 bytes, the ending among them
END_ROUNDING_S: Final = 0.1  # template matchers write times on a spectrogram's grid; assumption
SUBMISSION: Final = "sample_submission.csv"
TABLES: Final = ("train_tp.csv", "train_fp.csv", SUBMISSION, "recordings.csv")


@dataclass(frozen=True)
class Survey:
    """All that was read from a folder, sound or not."""

    folder: Path
    species: tuple[int, ...]
    boxes: list[Box]
    test_ids: list[str]
    sites: dict[str, str]
    train: dict[str, AudioFile]
    test: dict[str, AudioFile]
    faults: list[str]


def absolute(folder: Path) -> Path:
    """The folder's absolute path; `~` is the user's own."""
    return Path(folder).expanduser().absolute()


def survey(folder: Path) -> Survey:
    """Read all tables of the folder, and the headers of the sound files that they name."""
    folder = absolute(folder)
    if not folder.is_dir():
        got = "is a file" if folder.exists() else "there is none"
        fault = f"{folder}: must be a folder in the competition's layout, but {got}. Check the path."
        return Survey(folder, (), [], [], {}, {}, {}, [fault])
    tp, fp = (read_table(folder / name, BOX_COLUMNS) for name in TABLES[:2])
    submission = read_table(folder / SUBMISSION, ("recording_id",))
    species, found = species_of(submission)
    found = [*tp.faults, *fp.faults, *submission.faults, *found]
    boxes: list[Box] = []
    for table, positive in ((tp, True), (fp, False)):
        rows, wrong = parse_boxes(table, positive=positive, species=species)
        boxes, found = boxes + rows, found + wrong
    train_rows = {
        row["recording_id"]: f"{table.name}, row {line}" for table in (fp, tp) for line, row in table.rows[::-1]
    }
    test_rows, repeated = asked_rows(submission)
    train = sounds(audio_files.list_folder(folder / "train"), train_rows)
    test = sounds(audio_files.list_folder(folder / "test"), test_rows)
    sites, site_faults = _sites(folder / "recordings.csv", train_rows)
    found += [*repeated, *train.all_faults, *test.all_faults, *site_faults, *_late_boxes(boxes, train.files)]
    return Survey(folder, species, boxes, list(test_rows), sites, train.files, test.files, found)


def summary(folder: Path, found: list[str]) -> str:
    """The faults of a folder as one message: the first ten, and how many there are."""
    if len(found) == 1:
        return found[0] if found[0].startswith(f"{absolute(folder)}:") else f"{folder}: {found[0]}"
    more = [f"... and {len(found) - SHOWN_FAULTS} more"] if len(found) > SHOWN_FAULTS else []
    return "\n".join([f"{folder}: {len(found)} faults must be mended:", *found[:SHOWN_FAULTS], *more])


def asked_rows(submission: Table) -> tuple[dict[str, str], list[str]]:
    """Where each recording of sample_submission.csv stands, by id, and the faults of those that stand there twice."""
    rows: dict[str, str] = {}
    repeated: list[str] = []
    for line, row in submission.rows:
        where = f"{submission.name}, row {line}"
        if (first := rows.setdefault(row["recording_id"], where)) != where:
            got = f"{cut(row['recording_id'])} again ({first})"
            repeated.append(f"{where}: recording_id must stand once, but got {got}. Delete one.")
    return rows, repeated


@dataclass(frozen=True)
class Sounds:
    """The files of some ids: those that are sound, why others are broken, by id, and what is wrong with the listing."""

    files: dict[str, AudioFile]
    broken: dict[str, str]
    faults: list[str]

    @property
    def all_faults(self) -> list[str]:
        """Of the listing, and of each broken file."""
        return [*self.faults, *self.broken.values()]


def sounds(listing: Listing, rows: dict[str, str]) -> Sounds:
    """The files of the ids in `rows`, which says where each id stands."""
    found = list(listing.faults)
    if listing.paths or not found:
        for name, where in rows.items():
            if not _is_a_files_name(name):
                rule = "recording_id must be a file's name without its folder and ending"
                found.append(f"{where}: {rule}, but got `{cut(name)}`. Correct the row or delete it.")
            elif name not in listing.paths:
                wanted = f"{listing.folder.name}/{name}.flac, .wav or .ogg"
                found.append(
                    f"{where}: its recording must have a file, but {wanted} is missing. Add it or delete the row."
                )
    files, broken = audio_files.probe([listing.paths[name] for name in rows if name in listing.paths])
    return Sounds(files, broken, found)


def _is_a_files_name(name: str) -> bool:
    return 0 < len(os.fsencode(name)) <= LONGEST_ID_BYTES and not set(name) & set("/\0")


def _sites(path: Path, train_rows: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    if not path.exists():
        return {}, []
    table = read_table(path, ("recording_id", "site"))
    found = list(table.faults)
    sites: dict[str, str] = {}
    for line, row in table.rows:
        if not row["site"]:
            found.append(f"{table.name}, row {line}: site must be named, but got nothing. Name it, or remove the file.")
        elif sites.setdefault(row["recording_id"], row["site"]) != row["site"]:
            got = f"{cut(row['recording_id'])} has two"
            found.append(f"{table.name}, row {line}: one site a recording must stand, but {got}. Keep one.")
    listed = {row["recording_id"] for _, row in table.rows}
    for name, where in train_rows.items() if table.columns else ():
        if name not in listed:
            found.append(
                f"{table.name}: every training recording must have a row, but {name} ({where}) has none. Add it."
            )
    return sites, found


def _late_boxes(boxes: Iterable[Box], train: dict[str, AudioFile]) -> Iterator[str]:
    for box in boxes:
        file = train.get(box.recording_id)
        if file is not None and box.t_max > file.duration_s + END_ROUNDING_S:
            rule = f"t_max must lie within the recording's {file.duration_s:g} s"
            yield f"{box.where}: {rule}, but got t_max={box.t_max:g}. Correct the row or delete it."
