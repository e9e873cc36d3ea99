"""A bundle: one configuration on its way to a final model. `config.json` for the program, `card.md` for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Hyperparameters, build, flatten, knobs
from study.complaint import complaint
from study.json_file import read_object
from study.knob import suggestion

FORMAT: Final = 1
CONFIG: Final = "config.json"
CARD: Final = "card.md"


@dataclass(frozen=True)
class Bundle:
    """What config.json holds. `seed` and `replicate` are the trial's; `versions` and `commit` are the study's."""

    hyperparameters: Hyperparameters
    folds: int | None
    seed: int
    replicate: int
    data_fingerprint: str | None
    folds_hash: str | None
    study: str
    trial: int
    signature: str | None
    score: float
    metrics: Mapping[str, float | None]
    versions: Mapping[str, str]
    commit: str | None
    store: str | None = None  # where the study keeps its stages; what is still there need not be trained again
    threads: int = 1  # that a trial computed with; another number may round otherwise
    pretrained: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of pretrained weights by their source


@checked(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class _Said:
    format: int
    hyperparameters: dict[str, Any]
    seed: Annotated[int, Field(ge=0)]
    replicate: Annotated[int, Field(ge=0)]
    study: str
    trial: int
    score: float
    folds: Annotated[int, Field(ge=2)] | None = None
    data_fingerprint: str | None = None
    folds_hash: str | None = None
    signature: str | None = None
    metrics: dict[str, float | None] | None = None
    versions: dict[str, str] | None = None
    commit: str | None = None
    store: str | None = None
    threads: Annotated[int, Field(ge=1)] = 1
    pretrained: dict[str, str] | None = None


def to_json(bundle: Bundle) -> str:
    """config.json's text; floats read back bit for bit."""
    said = {name: value for name, value in vars(bundle).items() if name != "hyperparameters"}
    whole = {"format": FORMAT, "hyperparameters": flatten(bundle.hyperparameters), **said}
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle's config.json; nothing in it is a pickle.

    Raises:
        InputError: the folder is no bundle, its format is unknown, or a knob is unknown, missing or out of its limits.
    """
    path = folder / CONFIG
    try:
        said = read_object(path, "Export the bundle again.")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: not a bundle, it has no {CONFIG}. Make one with `rfcx-study export`.") from None
    version = said.get("format")
    if (folder / "species.csv").exists():
        raise InputError(f"{folder}: it must be a bundle from `export`, but is a model from `train`. Give its bundle.")
    if version != FORMAT:
        raise InputError(
            f"{path}: this program reads bundles of format {FORMAT}, but got format={version!r}. "
            "Export the study again with this program, or use the program's version that wrote it."
        )
    try:
        facts = TypeAdapter(_Said).validate_python(said)
    except ValidationError as error:
        raise InputError(f"{path}: {complaint(error)}. Export the bundle again.") from None
    told = {name: value for name, value in asdict(facts).items() if name not in ("format", "hyperparameters")}
    for name in ("metrics", "versions", "pretrained"):
        told[name] = told[name] or {}
    return Bundle(hyperparameters=checked_hyperparameters(path, facts.hyperparameters, "export it again"), **told)


def checked_hyperparameters(path: Path, values: Mapping[str, Any], way_out: str) -> Hyperparameters:
    """The settings that a file holds: every knob, and no other.

    Raises:
        InputError: a knob is unknown, missing or out of its limits; the text names the file and ends in `way_out`.
    """
    known = knobs()
    for name in values:
        if name not in known:
            raise InputError(
                f"{path}: `{name}` is not a knob of this program.{suggestion(name, known)} "
                f"It was written by another version; {way_out}."
            )
    missing = [name for name in known if name not in values]
    if missing:
        raise InputError(
            f"{path}: every knob must be there, but {', '.join(missing)} is not. "
            f"It was written by another version or edited; {way_out}."
        )
    try:
        return build(dict(values))
    except ValidationError as error:
        raise InputError(f"{path}: {complaint(error)}. Its knobs must keep this version's limits; {way_out}.") from None
