"""What a submission is asked for: the test recordings of a competition folder, and nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rfcx_model import audio_files
from rfcx_model.audio_files import AudioFile
from rfcx_model.errors import InputError
from rfcx_model.recordings import file_table
from rfcx_model.survey import SUBMISSION, absolute, asked_rows, sounds, summary
from rfcx_model.tables import read_table, species_of


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
        return file_table([self.files[name] for name in self.ids if name in self.files])


def load_to_predict(folder: Path) -> ToPredict:
    """Read what a submission needs of the folder `folder`; a file that is broken is told, and does not refuse the rest.

    Raises:
        InputError: sample_submission.csv is unsound, or one of its ids has no file.
    """
    folder = absolute(folder)
    path = folder / SUBMISSION
    submission = read_table(path, ("recording_id",))
    species, found = species_of(submission)
    if submission.columns and submission.columns[0] != "recording_id":
        got = f"got `{submission.columns[0]}`"
        found.append(f"{path.name}, row 1: recording_id must be the first column, but {got}. Move it there.")
    rows, repeated = asked_rows(submission)
    test = sounds(audio_files.list_folder(folder / "test"), rows)
    if found := [*submission.faults, *found, *repeated, *test.faults]:
        raise InputError(summary(folder, found))
    files = [test.files[name] for name in rows if name in test.files]
    return ToPredict(path, species, tuple(rows), test.files, test.broken, audio_files.fingerprint([path], files))
