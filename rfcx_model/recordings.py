"""The competition folder: what stands in it, whether it is sound, and how its recordings fall into folds.

A folder holds `train/` and `test/` with one FLAC, WAV or OGG file a recording, `train_tp.csv`, `train_fp.csv` and
`sample_submission.csv`; `recordings.csv` with a site for each training recording is optional.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rfcx_model import audio_files
from rfcx_model.audio_files import AudioFile, Listing
from rfcx_model.errors import InputError
from rfcx_model.folds import assign_folds, folds_hash
from rfcx_model.survey import TABLES, Survey, summary, survey
from rfcx_model.tables import BOX_COLUMNS

__all__ = [
    "Recordings",
    "assign_folds",
    "faults",
    "folds_hash",
    "load",
    "warnings_of",
]

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


def load(folder: Path) -> Recordings:
    """Read the folder `folder`; only headers of sound files are read.

    Raises:
        InputError: the folder is unsound; the first ten faults are named with file and row, and their number.
    """
    seen = survey(folder)
    if seen.faults:
        raise InputError(summary(folder, seen.faults))
    train = _train_table(seen)
    tables = [path for name in TABLES if (path := seen.folder / name).exists()]
    sounds = [seen.train[name] for name in train["recording_id"]] + [seen.test[name] for name in seen.test_ids]
    return Recordings(
        folder=seen.folder,
        species=seen.species,
        train=train,
        boxes=_box_table(seen, train),
        test=file_table([seen.test[name] for name in seen.test_ids]),
        fingerprint=audio_files.fingerprint(tables, sounds),
    )


def faults(folder: Path) -> list[str]:
    """Every fault of `folder`, one line each; empty where the folder is sound."""
    return survey(folder).faults


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


def file_table(files: list[AudioFile]) -> pd.DataFrame:
    """One row a file, in order: recording_id, path, duration_s, sample_rate_hz."""
    return pd.DataFrame(
        {
            "recording_id": [file.path.stem for file in files],
            "path": [str(file.path) for file in files],
            "duration_s": np.array([file.duration_s for file in files], dtype=np.float64),
            "sample_rate_hz": np.array([file.sample_rate_hz for file in files], dtype=np.int64),
        }
    )


def _train_table(seen: Survey) -> pd.DataFrame:
    table = file_table([seen.train[name] for name in sorted({box.recording_id for box in seen.boxes})])
    return table.assign(site=[seen.sites.get(name, "") for name in table["recording_id"]])


def _box_table(seen: Survey, train: pd.DataFrame) -> pd.DataFrame:
    rows = {name: row for row, name in enumerate(train["recording_id"])}
    places = {species_id: place for place, species_id in enumerate(seen.species)}
    table = pd.DataFrame(
        {
            "recording": [rows[box.recording_id] for box in seen.boxes],
            "species": [places[box.species_id] for box in seen.boxes],
            **{column: [getattr(box, column) for box in seen.boxes] for column in BOX_COLUMNS[1:]},
            "positive": [box.positive for box in seen.boxes],
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
