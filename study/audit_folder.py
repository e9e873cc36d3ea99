"""An audit's folder: which windows were drawn and how, and what the model says of all of them.

audit.json is the design: model, data, threshold, seed; for each species its strata and what was drawn. windows.npz has
scores and strata of every window, so that the answers can be read at any threshold. s3.flac are the drawn windows of
species 3 one after another, s3.txt is the label track that a person fills in, and instructions.md says how.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from rfcx_model.errors import InputError
from rfcx_model.labels import Floats
from study import label_track
from study.complaint import complaint
from study.json_file import read_object
from study.npz_file import read_arrays

FORMAT: Final = 1
DESIGN: Final = "audit.json"
WINDOWS: Final = "windows.npz"
INSTRUCTIONS: Final = "instructions.md"
_AGAIN: Final = "Restore the file, or draw a new audit."
_strict = ConfigDict(extra="forbid", allow_inf_nan=False)


@checked(frozen=True, config=_strict)
class Drawn:
    """A window that a person judges for one species; its number is its place in the list, from 1."""

    window: int  # row in windows.npz
    stratum: str
    recording_id: str
    start_s: float  # in the recording
    span: tuple[float, float]  # seconds from the start of the species' sound file


@checked(frozen=True, config=_strict)
class Sample:
    """One species' strata, each with the number of its windows, and what was drawn from them, in random order."""

    species: int
    strata: dict[str, int]
    drawn: tuple[Drawn, ...]

    @property
    def name(self) -> str:
        """Of its files, and of its column in a submission."""
        return f"s{self.species}"


@checked(frozen=True, config=_strict)
class Design:
    """What audit.json holds."""

    format: int
    model: str
    model_sha256: str  # over all that its config.json says, the hashes of its other files among it
    data: str
    data_fingerprint: str  # of what was to be predicted
    threshold: float  # between the strata `above` and `near`
    seed: int
    window_s: float
    windows_sha256: str
    species: tuple[Sample, ...]


@dataclass(frozen=True, eq=False)
class Population:
    """All windows, in the order of recordings and time; species as in the design."""

    scores: Floats  # (window, species)
    stratum: NDArray[np.int8]  # (window, species) places in `study.strata.STRATA`


@dataclass(frozen=True, eq=False)
class Audit:
    """A folder as it is read back."""

    design: Design
    population: Population
    answers: tuple[tuple[str, ...], ...]  # (species, drawn)


def write_population(folder: Path, population: Population) -> str:
    """Write windows.npz; its SHA-256."""
    path = folder / WINDOWS
    np.savez_compressed(path, scores=population.scores, stratum=population.stratum)
    return sha256(path.read_bytes()).hexdigest()


def write_design(folder: Path, design: Design) -> None:
    """Write audit.json and an empty label track for each species."""
    (folder / DESIGN).write_text(json.dumps(asdict(design), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for sample in design.species:
        (folder / f"{sample.name}.txt").write_text(label_track.blank(_spans(sample)), encoding="utf-8")


def read(folder: Path) -> Audit:
    """Read an audit's folder with the answers that stand in its label tracks.

    Raises:
        InputError: the folder is no audit's, or of another format, a file has changed, or a label track is unsound.
    """
    design = _design(folder)
    path = folder / WINDOWS
    if not path.is_file():
        raise InputError(f"{path}: missing. {_AGAIN}")
    if sha256(path.read_bytes()).hexdigest() != design.windows_sha256:
        raise InputError(f"{path}: its content is not what was written. {_AGAIN}")
    population = _population(path, design)
    answers = tuple(label_track.read(folder / f"{one.name}.txt", _spans(one)) for one in design.species)
    return Audit(design, population, answers)


def _population(path: Path, design: Design) -> Population:
    drawn = [one.window for sample in design.species for one in sample.drawn]
    try:
        scores, stratum = read_arrays(path, "scores", "stratum")
        whole = scores.shape == stratum.shape == (len(scores), len(design.species))
    except (OSError, ValueError, TypeError):
        raise InputError(f"{path}: must hold scores and strata of all windows, but does not. {_AGAIN}") from None
    if not whole or not 0 <= min(drawn, default=0) <= max(drawn, default=0) < len(scores):
        raise InputError(f"{path}: must hold every window that {DESIGN} names, but does not. {_AGAIN}")
    return Population(scores, stratum)


def _design(folder: Path) -> Design:
    path = folder / DESIGN
    try:
        said = read_object(path, _AGAIN)
        version = said["format"]
    except (FileNotFoundError, NotADirectoryError, KeyError):
        raise InputError(f"{folder}: not an audit's folder. Make one with `rfcx-study audit`.") from None
    if version != FORMAT:
        raise InputError(
            f"{path}: this program reads audits of format {FORMAT}, but got {version!r}. Read it with the version that "
            "wrote it, or draw a new audit."
        )
    try:
        return TypeAdapter(Design).validate_python(said)
    except ValidationError as error:
        raise InputError(f"{path}: {complaint(error)}. {_AGAIN}") from None


def _spans(sample: Sample) -> list[tuple[float, float]]:
    return [one.span for one in sample.drawn]
