"""The competition folder: what stands in it, whether it is sound, and how its recordings fall into folds.

A folder holds `train/` and `test/` with one FLAC, WAV or OGG file a recording, `train_tp.csv`, `train_fp.csv` and
`sample_submission.csv`; `recordings.csv` with a site for each training recording is optional.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rfcx_model import audio_files
from rfcx_model.audio_files import AudioFile, Listing
from rfcx_model.errors import InputError, cut
from rfcx_model.folds import assign_folds, folds_hash
from rfcx_model.tables import BOX_COLUMNS, Box, Table, parse_boxes, read_table, species_of

__all__ = [
    "Recordings",
    "ToPredict",
    "assign_folds",
    "faults",
    "folds_hash",
    "load",
    "load_to_predict",
    "warnings_of",
]

SHOWN_FAULTS = 10
LONGEST_ID_BYTES = 250  # file systems take names of 255 bytes, the ending among them
END_ROUNDING_S = 0.1  # template matchers write times on a spectrogram's grid; assumption
TEMPLATE_HZ = 1.0  # the same template is written as 10406.2 and 10406.25
TEMPLATE_S = 0.005


@dataclass(frozen=True, eq=False)
class Recordings:
    """A sound competition folder.

    Attributes:
        folder: absolute path.
        species: species ids in the order of the columns of sample_submission.csv.
        train: one row a recording that stands in a TP or FP row, by recording_id: recording_id, path, duration_s,
            sample_rate_hz, site ("" without recordings.csv).
        boxes: TP rows, then FP rows, in file order: recording (row of `train`), species (index into `species`),
            species_id, songtype_id, t_min, f_min, t_max, f_max (seconds, hertz), positive, template (an index).
        test: in the order of sample_submission.csv: recording_id, path, duration_s, sample_rate_hz.
        fingerprint: SHA-256 over the tables and every sound file's name, size, first and last 64 KiB.
    """

    folder: Path
    species: tuple[int, ...]
    train: pd.DataFrame
    boxes: pd.DataFrame
    test: pd.DataFrame
    fingerprint: str


@dataclass(frozen=True, eq=False)
class ToPredict:
    """What a submission is asked for: sample_submission.csv and `test/` of a competition folder, nothing else of it.

    Attributes:
        sample: the path of sample_submission.csv.
        species: species ids in the order of its columns.
        ids: recording ids in its order; each has a file.
        files: the sound files by id.
        faults: why a file is broken, by id; `files` and `faults` together hold all `ids`.
        fingerprint: SHA-256 over sample_submission.csv and the files.
    """

    sample: Path
    species: tuple[int, ...]
    ids: tuple[str, ...]
    files: Mapping[str, AudioFile]
    faults: Mapping[str, str]
    fingerprint: str

    @property
    def table(self) -> pd.DataFrame:
        """One row a file, in order: recording_id, path, duration_s, sample_rate_hz."""
        return _file_table([self.files[name] for name in self.ids if name in self.files])


@dataclass(frozen=True)
class _Survey:
    """All that was read from a folder, sound or not."""

    folder: Path
    species: tuple[int, ...]
    boxes: list[Box]
    test_ids: list[str]
    sites: dict[str, str]
    train: dict[str, AudioFile]
    test: dict[str, AudioFile]
    faults: list[str]


def load(folder: Path) -> Recordings:
    """Read the folder `folder`; only headers of sound files are read.

    Raises:
        InputError: the folder is unsound; the first ten faults are named with file and row, and their number.
    """
    survey = _survey(folder)
    if survey.faults:
        raise InputError(_summary(folder, survey.faults))
    train = _train_table(survey)
    tables = [path for name in _TABLES if (path := survey.folder / name).exists()]
    sounds = [survey.train[name] for name in train["recording_id"]] + [survey.test[name] for name in survey.test_ids]
    return Recordings(
        folder=survey.folder,
        species=survey.species,
        train=train,
        boxes=_box_table(survey, train),
        test=_file_table([survey.test[name] for name in survey.test_ids]),
        fingerprint=audio_files.fingerprint(tables, sounds),
    )


def load_to_predict(folder: Path) -> ToPredict:
    """Read what a submission needs of the folder `folder`; a file that is broken is told, and does not refuse the rest.

    Raises:
        InputError: sample_submission.csv is unsound, or one of its ids has no file.
    """
    folder = _absolute(folder)
    path = folder / _SUBMISSION
    submission = read_table(path, ("recording_id",))
    species, found = species_of(submission)
    if submission.columns and submission.columns[0] != "recording_id":
        got = f"got `{submission.columns[0]}`"
        found.append(f"{path.name}, row 1: recording_id must be the first column, but {got}. Move it there.")
    rows, repeated = _test_rows(submission)
    test = _sounds(audio_files.list_folder(folder / "test"), rows)
    if found := [*submission.faults, *found, *repeated, *test.faults]:
        raise InputError(_summary(folder, found))
    files = [test.files[name] for name in rows if name in test.files]
    return ToPredict(path, species, tuple(rows), test.files, test.broken, audio_files.fingerprint([path], files))


def faults(folder: Path) -> list[str]:
    """Every fault of `folder`, one line each; empty where the folder is sound."""
    return _survey(folder).faults


def warnings_of(recordings: Recordings, n_folds: int) -> list[str]:
    """What a sound folder still should make its user think about, one line each."""
    return [
        *_rare_species(recordings, n_folds),
        *_left_over(
            audio_files.list_folder(recordings.folder / "train"), recordings.train["recording_id"], "in no CSV"
        ),
        *_left_over(
            audio_files.list_folder(recordings.folder / "test"),
            recordings.test["recording_id"],
            "not in sample_submission.csv",
        ),
        *_above_nyquist(recordings),
    ]


_SUBMISSION = "sample_submission.csv"
_TABLES = ("train_tp.csv", "train_fp.csv", _SUBMISSION, "recordings.csv")


def _absolute(folder: Path) -> Path:
    return Path(folder).expanduser().absolute()


def _survey(folder: Path) -> _Survey:
    folder = _absolute(folder)
    if not folder.is_dir():
        got = "is a file" if folder.exists() else "there is none"
        fault = f"{folder}: must be a folder in the competition's layout, but {got}. Check the path."
        return _Survey(folder, (), [], [], {}, {}, {}, [fault])
    tp, fp = (read_table(folder / name, BOX_COLUMNS) for name in _TABLES[:2])
    submission = read_table(folder / _SUBMISSION, ("recording_id",))
    species, found = species_of(submission)
    found = [*tp.faults, *fp.faults, *submission.faults, *found]
    boxes: list[Box] = []
    for table, positive in ((tp, True), (fp, False)):
        rows, wrong = parse_boxes(table, positive=positive, species=species)
        boxes, found = boxes + rows, found + wrong
    train_rows = {
        row["recording_id"]: f"{table.name}, row {line}" for table in (fp, tp) for line, row in table.rows[::-1]
    }
    test_rows, repeated = _test_rows(submission)
    train = _sounds(audio_files.list_folder(folder / "train"), train_rows)
    test = _sounds(audio_files.list_folder(folder / "test"), test_rows)
    sites, site_faults = _sites(folder / "recordings.csv", train_rows)
    found += [*repeated, *train.all_faults, *test.all_faults, *site_faults, *_late_boxes(boxes, train.files)]
    return _Survey(folder, species, boxes, list(test_rows), sites, train.files, test.files, found)


def _summary(folder: Path, found: list[str]) -> str:
    if len(found) == 1:
        return found[0] if found[0].startswith(f"{_absolute(folder)}:") else f"{folder}: {found[0]}"
    more = [f"... and {len(found) - SHOWN_FAULTS} more"] if len(found) > SHOWN_FAULTS else []
    return "\n".join([f"{folder}: {len(found)} faults must be mended:", *found[:SHOWN_FAULTS], *more])


def _test_rows(submission: Table) -> tuple[dict[str, str], list[str]]:
    rows: dict[str, str] = {}
    repeated: list[str] = []
    for line, row in submission.rows:
        where = f"{submission.name}, row {line}"
        if (first := rows.setdefault(row["recording_id"], where)) != where:
            got = f"{cut(row['recording_id'])} again ({first})"
            repeated.append(f"{where}: recording_id must stand once, but got {got}. Delete one.")
    return rows, repeated


@dataclass(frozen=True)
class _Sounds:
    """The files of some ids: those that are sound, why others are broken, by id, and what is wrong with the listing."""

    files: dict[str, AudioFile]
    broken: dict[str, str]
    faults: list[str]

    @property
    def all_faults(self) -> list[str]:
        return [*self.faults, *self.broken.values()]


def _sounds(listing: Listing, rows: dict[str, str]) -> _Sounds:
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
    return _Sounds(files, broken, found)


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


def _file_table(files: list[AudioFile]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "recording_id": [file.path.stem for file in files],
            "path": [str(file.path) for file in files],
            "duration_s": np.array([file.duration_s for file in files], dtype=np.float64),
            "sample_rate_hz": np.array([file.sample_rate_hz for file in files], dtype=np.int64),
        }
    )


def _train_table(survey: _Survey) -> pd.DataFrame:
    table = _file_table([survey.train[name] for name in sorted({box.recording_id for box in survey.boxes})])
    return table.assign(site=[survey.sites.get(name, "") for name in table["recording_id"]])


def _box_table(survey: _Survey, train: pd.DataFrame) -> pd.DataFrame:
    rows = {name: row for row, name in enumerate(train["recording_id"])}
    places = {species_id: place for place, species_id in enumerate(survey.species)}
    table = pd.DataFrame(
        {
            "recording": [rows[box.recording_id] for box in survey.boxes],
            "species": [places[box.species_id] for box in survey.boxes],
            **{column: [getattr(box, column) for box in survey.boxes] for column in BOX_COLUMNS[1:]},
            "positive": [box.positive for box in survey.boxes],
        }
    )
    return table.assign(template=_templates(table))


def _templates(boxes: pd.DataFrame) -> np.ndarray:
    """Number boxes (box,) so that species, songtype, band and duration are one template's, up to rounding."""
    group = boxes.groupby(["species_id", "songtype_id"]).ngroup().to_numpy()
    duration_s = boxes["t_max"] - boxes["t_min"]
    for values, tolerance in ((boxes["f_min"], TEMPLATE_HZ), (boxes["f_max"], TEMPLATE_HZ), (duration_s, TEMPLATE_S)):
        order = np.lexsort((values, group))
        jump = (np.diff(group[order]) != 0) | (np.diff(values.to_numpy()[order]) > tolerance)
        split = np.empty_like(group)
        split[order] = np.concatenate(([0], np.cumsum(jump)))
        group = split
    return group


def _rare_species(recordings: Recordings, n_folds: int) -> Iterator[str]:
    boxes = recordings.boxes
    for place, species_id in enumerate(recordings.species):
        for positive, name in ((True, "train_tp.csv"), (False, "train_fp.csv")):
            count = boxes.loc[(boxes["species"] == place) & (boxes["positive"] == positive), "recording"].nunique()
            if count < n_folds:
                lacking = f"species {species_id} stands in {count} recordings, fewer than the {n_folds} folds"
                yield f"{name}: {lacking}, so some folds cannot measure it. Use fewer folds or add recordings."


def _left_over(listing: Listing, used: Iterable[str], why: str) -> Iterator[str]:
    if extra := sorted(set(listing.paths) - set(used)):
        shown = ", ".join(extra[:3]) + (", ..." if len(extra) > 3 else "")
        yield f"{listing.folder.name}/: {len(extra)} files stand {why} and are not used ({shown})."


def _above_nyquist(recordings: Recordings) -> Iterator[str]:
    nyquist_hz = recordings.train["sample_rate_hz"].to_numpy()[recordings.boxes["recording"]] / 2
    if beyond := int((recordings.boxes["f_max"].to_numpy() > nyquist_hz).sum()):
        yield f"train_tp.csv, train_fp.csv: {beyond} boxes reach above half the sample rate of their recording."
