"""study.json read back: what was asked, of what data, with which versions. Every key but `name` may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Hyperparameters, build
from rfcx_model.hyperparameters import knobs as all_knobs
from study.complaint import complaint
from study.json_file import read_object
from study.knob import Knob


def read_study(folder: Path) -> dict[str, Any]:
    """study.json as it stands.

    Raises:
        InputError: the folder is not a study's, or its study.json cannot be read.
    """
    path = folder / "study.json"
    try:
        return read_object(path, "Restore the file, or `run` the space again.")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder}: not a study's folder, it has no study.json. Give the folder `run` wrote."
        ) from None


def sound(study: Mapping[str, Any]) -> dict[str, Any]:
    """study.json as a report can read it: what is not of its kind is as if it were missing."""
    kept = dict(study)
    for name in ("fixed", "objective", "search", "data", "versions", "fold_epochs", "scientific", "nuisance"):
        if not isinstance(kept.get(name), dict):
            kept.pop(name, None)
    for name in ("knobs", "arms"):
        told = kept.pop(name, None)
        if isinstance(told, list) and all(isinstance(item, dict) for item in told):
            kept[name] = told
    if any(not isinstance(arm.get("params"), dict) or not arm.get("regime") for arm in kept.get("arms", [])):
        del kept["arms"]
    return {**kept, "question": str(kept.get("question") or "")}


def stages_of(folder: Path, study: Mapping[str, Any]) -> Path:
    """Where a study's stages are: as recorded, or in the study's own folder where that has been moved since.

    Raises:
        KeyError: study.json does not say.
    """
    recorded, own = Path(study["store"]), folder.absolute() / "stages"
    return own if own.is_dir() and not recorded.is_dir() else recorded


def searched_knobs(study: Mapping[str, Any]) -> tuple[Knob, ...]:
    """The searched knobs, each after those that its `when` asks about.

    They stand as a list `knobs`, or as the tables `scientific` and `nuisance` with their `order`.
    """
    if study.get("knobs"):
        return tuple(
            _knob(item["name"], item.get("role"), {"when": item.get("when"), **(item.get("distribution") or {})})
            for item in study["knobs"]
            if item.get("name")
        )
    tables = {role: study.get(role) or {} for role in ("scientific", "nuisance")}
    found = {name: _knob(name, role, domain) for role, table in tables.items() for name, domain in table.items()}
    order = [name for name in study.get("order") or () if name in found]
    return tuple(found[name] for name in [*order, *(name for name in found if name not in order)])


def recipe_of(config: Mapping[str, Any], where: str) -> Hyperparameters:
    """The hyperparameters of a configuration on record.

    Raises:
        InputError: this version does not know them.
    """
    try:
        return build(dict(config))
    except ValidationError as error:
        raise InputError(
            f"{where}: {complaint(error)}. The study was written by another version; use that one."
        ) from None


def active_values(knobs: Sequence[Knob], config: Mapping[str, Any]) -> dict[str, Any]:
    """The searched knobs that act in a full configuration, with their values."""
    names = {knob.name for knob in knobs}
    seen = {name: value for name, value in config.items() if name not in names}
    values: dict[str, Any] = {}
    for knob in knobs:
        if knob.name in config and all(name in seen and seen[name] in allowed for name, allowed in knob.when):
            seen[knob.name] = values[knob.name] = config[knob.name]
    return values


def _knob(name: str, role: str | None, domain: Mapping[str, Any]) -> Knob:
    known: Literal["scientific", "nuisance"] = "scientific" if role == "scientific" else "nuisance"
    return Knob(
        name=name,
        role=known,
        choices=tuple(domain.get("choices") or ()),
        low=domain.get("low", 0.0),
        high=domain.get("high", 0.0),
        log=bool(domain.get("log")),
        step=domain.get("step"),
        whole=type(all_knobs().get(name)) is int,
        when=tuple((other, tuple(values)) for other, values in (domain.get("when") or {}).items()),
    )
