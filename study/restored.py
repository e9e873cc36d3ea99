"""study.json → the Study that was run, and the folder of data it was run on: what verbs after `run` go on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rfcx_model.errors import InputError
from rfcx_model.recordings import Recordings, load
from study.complaint import complaint, rule, shown
from study.machine import parse_settings
from study.order import Order
from study.space import Arm, Study
from study.space_settings import Budget, Objective, Resources, Search
from study.study_json import read_study, searched_knobs, stages_of


def restored(folder: Path, settings: Sequence[str] = ()) -> Study:
    """The Study whose folder this is. `settings` (`resources.cpus=1`) may change what is no part of the question.

    Raises:
        InputError: the folder is no study's, its study.json is of another version or was changed, or a setting is
            not one of [resources].
    """
    told = read_study(folder)
    path = folder / "study.json"
    try:
        study = _study(path, told)
        same = study.signature(told["data"]["fingerprint"]) == told["signature"]
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise InputError(
            f"{path}: it must say the whole question, but {_first(error)}. It is of another version or was changed: "
            "use that version, or call `run` again with the space and data."
        ) from None
    if not same:
        raise InputError(
            f"{path}: its signature must be that of the question in it, but is not. It is of another version or was "
            "changed: use that version, or call `run` again with the space and data."
        )
    return replace(study, resources=_resources(study, settings))


def _resources(study: Study, settings: Sequence[str]) -> Resources:
    asked = parse_settings(settings)
    known = {f"resources.{field.name}": field.name for field in fields(Resources)}
    for name in asked:
        if name not in known:
            raise InputError(f"--set {name}: only {', '.join(known)} may be changed here; the rest is the question.")
    try:
        return Resources(**{**asdict(study.resources), **{known[name]: value for name, value in asked.items()}})
    except ValidationError as error:
        fact = error.errors()[0]
        raise InputError(f"--set resources.{fact['loc'][0]}: {rule(fact)}, but got {shown(fact['input'])}.") from None


def order_of(folder: Path, data: Path | None, cache: Path | None, address: str | None, hours: float | None) -> Order:
    """Where the study's things are, as its own `run` was told; `data` and `cache` where they have moved.

    Raises:
        InputError: the data are not there, or study.json does not say where stages and spectrograms are kept.
    """
    told = read_study(folder)
    try:
        store, kept = stages_of(folder, told), Path(told["cache"])
    except (KeyError, TypeError):
        raise InputError(f"{folder}/study.json: store or cache are missing. Call `run` again.") from None
    return Order(
        data=data_of(folder, data).absolute(),
        out=folder.absolute().parent,
        cache=kept if cache is None else cache.absolute(),
        store=store,
        address=address,
        hours=hours,
    )


def data_of(folder: Path, given: Path | None) -> Path:
    """The data that the study was run on: as given, else where they were.

    Raises:
        InputError: they are not there any more.
    """
    if given is not None:
        return given
    kept = (read_study(folder).get("data") or {}).get("path")
    if not kept or not Path(kept).is_dir():
        where = f"{kept} is no folder" if kept else "study.json does not say where they are"
        raise InputError(f"{folder}: its data are needed, but {where}. Give --data DATA.")
    return Path(kept)


def same_data(folder: Path, data: Path) -> Recordings:
    """The data, which must be those that the study was run on.

    Raises:
        InputError: they are unsound, or others.
    """
    recordings = load(data)
    kept = str((read_study(folder).get("data") or {}).get("fingerprint"))
    if kept != recordings.fingerprint:
        raise InputError(
            f"{data}: these are other data (fingerprint {recordings.fingerprint[:12]}) than the study's "
            f"({kept[:12]}). Give the folder that the study was run on."
        )
    return recordings


def _study(path: Path, told: Mapping[str, Any]) -> Study:
    arms = told.get("arms") or ()
    return Study(
        name=told["name"],
        path=path,
        question=told["question"],
        knobs=searched_knobs(told),
        fixed=told["fixed"],
        baseline=told["baseline"],
        tries=tuple(told["try"]),
        objective=Objective(**told["objective"]),
        search=Search(**told["search"]),
        budget=Budget(**told["budget"]),
        resources=Resources(**told["resources"]),
        arms=tuple(Arm(arm["regime"], arm["params"], tuple(arm["params"]), arm["published"]) for arm in arms),
    )


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return complaint(error)
    return f"{error} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
