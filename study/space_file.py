"""The text of a space file → a checked `Study`. Everything that can be wrong in the file is said here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import knobs
from study.complaint import rule
from study.knob import Knob, Role, check_value, read_knob, suggestion
from study.space import Params, Study
from study.space_arms import arms_of
from study.space_checks import check_constants, check_points, check_recipes, check_search
from study.space_settings import Budget, Objective, Resources, Search
from study.space_tables import check_tables, refuse_all, set_settings
from study.space_when import conditions

Table = Literal["fixed"] | Role
_TABLES: Final[tuple[Table, ...]] = ("fixed", "scientific", "nuisance")


def read(path: Path, overrides: Mapping[str, Any]) -> Study:
    """See `study.space.load`."""
    where = str(path)
    text = _text(path)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: not valid TOML: {error}. Mend that line.") from None
    check_tables(where, tables)
    overrides = set_settings(tables, overrides)
    arms = arms_of(where, tables, overrides)
    found, fixed = _knobs(where, tables, overrides)
    study = Study(
        name=path.stem,
        path=path,
        question=_question(text),
        knobs=conditions(where, tables, found, fixed),
        fixed=fixed,
        baseline={},
        tries=(),
        objective=_settings(where, Objective, tables),
        search=_settings(where, Search, tables),
        budget=_settings(where, Budget, tables),
        resources=_settings(where, Resources, tables),
        arms=arms,
    )
    check_constants(where, study, overrides)
    study = replace(study, baseline=_complete(where, study, "[baseline]", tables.get("baseline", {}), {}))
    points = enumerate(tables.get("try", []), start=1)
    study = replace(
        study, tries=tuple(_complete(where, study, f"[[try]] {n}", point, study.baseline) for n, point in points)
    )
    check_points(where, study)
    check_recipes(where, study)
    return check_search(where, study, "trials" in tables.get("budget", {}))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: a space file must be UTF-8 text, but byte {error.start} is not. Save it as UTF-8."
        ) from None
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise InputError(
            f"{path}: {reason}. Give the path of a space file, such as search_spaces/mixup.toml."
        ) from None


def _settings(where: str, kind: type[Any], tables: Mapping[str, Any]) -> Any:
    name = kind.__name__.lower()
    table = tables.get(name, {})
    known = [field.name for field in fields(kind)]
    for key in table:
        if key not in known:
            hint = suggestion(key, known) or f" Known are {', '.join(known)}."
            raise InputError(f"{where}: `{key}` is not a key of [{name}].{hint}")
    if str(table.get("precision_form", "")).startswith("diary"):
        raise InputError(
            f"{where}: [objective] `precision_form`: the diary's own measures move with the "
            "trial's pseudo-labels and cannot be an objective. Use precision, precision_avg or tpfp_auc."
        )
    try:
        return kind(**table)
    except ValidationError as error:
        fact = error.errors()[0]
        key = str(fact["loc"][0])
        raise InputError(f"{where}: [{name}] `{key}` {rule(fact)}, but got {key}={fact['input']!r}.") from None


def _knobs(where: str, tables: Mapping[str, Any], overrides: Mapping[str, Any]) -> tuple[list[Knob], dict[str, Any]]:
    """The searched knobs in the order of the file, and the fixed ones. A bare value among the searched is fixed.

    Raises:
        InputError: with a line for each entry that is wrong.
    """
    found: dict[str, Knob] = {}
    fixed: dict[str, Any] = {}
    wrong: list[str] = []
    for table in _TABLES:
        for name, spec in tables.get(table, {}).items():
            try:
                _enter(where, table, name, spec, found, fixed)
            except InputError as error:
                wrong.append(str(error))
    refuse_all(wrong)
    for name, value in overrides.items():
        if name in found:
            raise InputError(f"--set {name}: {where} {_searched_by(found[name], tables)}")
        fixed[name] = check_value(f"--set {name}", name, value)
    if not found:
        raise InputError(
            f"{where}: nothing is searched. Give [scientific] or [nuisance] a knob, such as "
            '"stage3.mixup_site" = { choices = ["none", "input"] }.'
        )
    return list(found.values()), fixed


def _enter(where: str, table: Table, name: str, spec: Any, found: dict[str, Knob], fixed: dict[str, Any]) -> None:
    """An entry of [fixed], [scientific] or [nuisance], put where it belongs."""
    if name in found or name in fixed:
        other = found[name].role if name in found else "fixed"
        raise InputError(f"{where}: `{name}` stands in [{table}] and in [{other}]. Keep one.")
    if isinstance(spec, list) and table != "fixed" and not isinstance(knobs()[name], list):
        raise InputError(f"{where}: `{name}` is given a list; to search its values write {{ choices = {spec!r} }}.")
    if not isinstance(spec, dict):
        fixed[name] = check_value(where, name, spec)
    elif table == "fixed":
        raise InputError(
            f"{where}: `{name}` in [fixed] must be one value, but got the table {spec!r}. "
            "Move it to [scientific] or [nuisance] to search it."
        )
    else:
        found[name] = read_knob(where, name, table, spec)


def _searched_by(knob: Knob, tables: Mapping[str, Any]) -> str:
    if "arm" in tables:
        return "gives this knob in all its [[arm]] tables. Change it there, or remove it there to fix it for all."
    return f"searches this knob. Remove it from [{knob.role}] to fix it."


def _complete(where: str, study: Study, table: str, said: Mapping[str, Any], prior: Mapping[str, Any]) -> Params:
    """A full assignment of the active knobs: what is said, else `prior`, else what is fixed by default."""
    searched, defaults = study.searched(), knobs()
    for name in said:
        if name not in searched:
            raise InputError(f"{where}: {table} `{name}` is not searched. Move it to [fixed], or search it.")
    params: Params = {}
    for knob in study.knobs:
        if not study.active(knob, params):
            if knob.name in said:
                raise InputError(
                    f"{where}: {table} `{knob.name}` is given, but its when does not hold there. Remove it."
                )
            continue
        value = said.get(knob.name, prior.get(knob.name, defaults[knob.name]))
        value = check_value(f"{where}: {table}", knob.name, value)
        if not knob.contains(value):
            source = "is" if knob.name in said else "would be its default,"
            raise InputError(
                f"{where}: {table} `{knob.name}` {source} {value!r}, outside its domain {knob.domain()}. "
                "Give it a value inside."
            )
        params[knob.name] = value
    return params


def _question(text: str) -> str:
    """The QUESTION of the comment header, until the next word in capitals."""
    header = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        header.append(line.lstrip("#").strip())
    match = re.search(r"QUESTION\s+(.*?)\s*(?=\b(?:COST|ANSWER|RUN)\b|\n\s*\n|\Z)", "\n".join(header), re.DOTALL)
    return " ".join(match.group(1).split()) if match else ""
