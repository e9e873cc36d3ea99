"""What a study's data list and what a trial said of it, read back from the study's folder: no data and no model.

`listed.npz` stands beside the ledger, so that whoever has a study years later can score its trials again, by species
and by recording. Arrays only, nothing that is loaded can run code.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rfcx_model.errors import InputError
from rfcx_model.metrics import Listed, OutOfFold
from rfcx_model.recordings import Recordings
from study.npz_file import read_arrays
from study.trials import Trial

LISTED: Final = "listed.npz"
_BOXES: Final = ("recording", "of_species", "template", "positive")


@dataclass(frozen=True, eq=False)
class Ruler:
    """The listed boxes and the recordings in which they stand, in the order of every trial's scores."""

    ids: NDArray[np.str_]  # (recording,)
    sites: NDArray[np.str_]  # (recording,) "" where the data name none
    species: NDArray[np.int64]  # (species,) the data's own numbers
    listed: Listed

    @property
    def groups(self) -> NDArray[np.int64]:
        """(recording,) what new recordings would bring anew together: a site, else the recording alone."""
        names = self.ids if (self.sites == "").any() else self.sites
        return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.int64)


def write_ruler(folder: Path, recordings: Recordings) -> Path:
    """Write `listed.npz` into a study's folder, whole or not at all; returns its path."""
    boxes = recordings.boxes
    arrays: dict[str, Any] = {
        "ids": recordings.train["recording_id"].to_numpy(dtype=str),
        "sites": recordings.train["site"].to_numpy(dtype=str),
        "species": np.asarray(recordings.species, dtype=np.int64),
        "recording": boxes["recording"].to_numpy(np.int64),
        "of_species": boxes["species"].to_numpy(np.int64),
        "template": boxes["template"].to_numpy(np.int64),
        "positive": boxes["positive"].to_numpy(bool),
    }
    path = folder / LISTED
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with half.open("wb") as file:
            np.savez_compressed(file, **arrays)
        return half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def read_ruler(folder: Path) -> Ruler:
    """What the study's data list.

    Raises:
        InputError: the folder has no such file, or it cannot be read.
    """
    path = folder / LISTED
    try:
        ids, sites, species, *boxes = read_arrays(path, "ids", "sites", "species", *_BOXES)
        return Ruler(ids, sites, species, Listed(boxes[0], boxes[1], boxes[2], boxes[3], len(species)))
    except FileNotFoundError:
        raise InputError(
            f"{path}: it is needed to score trials by recording and species, but there is none. Call `run` again with "
            "the study's space and data; it writes the file and trains nothing that is done."
        ) from None
    except (OSError, ValueError):
        raise InputError(f"{path}: must hold whole arrays, but does not. `run` again writes it anew.") from None


def out_of_fold(folder: Path, trial: Trial) -> OutOfFold | None:
    """What a trial's fold models said at its last measured epoch; None where that is not on file whole."""
    try:
        recording_scores, box_scores, folds = read_arrays(
            folder / (trial.scores or ""), "recording_scores", "box_scores", "folds"
        )
        return OutOfFold(recording_scores, box_scores, folds)
    except (OSError, ValueError):
        return None
