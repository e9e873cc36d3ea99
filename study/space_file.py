"""The text of a space file → a checked `Study`. Everything that can be wrong in the file is said here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import knobs
from study.knob import Knob, Role, check_name, check_value, ordered, read_knob, suggestion
from study.space import Budget, Objective, Params, Resources, Search, Study
from study.space_arms import arms_of
from study.space_checks import check_constants, check_pairs, check_recipes, check_search

_ROLES: Final[tuple[Role, ...]] = ("scientific", "nuisance")
_SETTINGS: Final[dict[str, type]] = {
    "objective": Objective,
    "search": Search,
    "budget": Budget,
    "resources": Resources,
}
_TABLES: Final = ("scientific", "nuisance", "fixed", "baseline", "try", "arm", *_SETTINGS)
_OF_ARMS: Final = ("regime", "published")


def read(path: Path, overrides: Mapping[str, Any]) -> Study:
    """See `study.space.load`."""
    where = str(path)
    text = _text(path)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: not valid TOML: {error}. Mend that line.") from None
    _check_tables(where, tables)
    overrides = _set_settings(tables, overrides)
    arms = arms_of(where, tables)
    found, fixed = _knobs(where, tables, overrides)
    study = Study(
        name=path.stem,
        path=path,
        question=_question(text),
        knobs=_conditions(where, tables, found, fixed),
        fixed=fixed,
        baseline={},
        tries=(),
        objective=_settings(where, Objective, tables),
        search=_settings(where, Search, tables),
        budget=_settings(where, Budget, tables),
        resources=_settings(where, Resources, tables),
        arms=arms,
    )
    check_constants(where, study)
    study = replace(study, baseline=_complete(where, study, "[baseline]", tables.get("baseline", {}), {}))
    points = enumerate(tables.get("try", []), start=1)
    study = replace(
        study, tries=tuple(_complete(where, study, f"[[try]] {n}", point, study.baseline) for n, point in points)
    )
    check_pairs(where, study)
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


def _check_tables(where: str, tables: dict[str, Any]) -> None:
    for name, table in tables.items():
        if name not in _TABLES:
            hint = suggestion(name, _TABLES) or f" Known are {', '.join(_TABLES)}."
            raise InputError(f"{where}: [{name}] is not a table of a space file.{hint}")
        if name in ("try", "arm"):
            if not isinstance(table, list) or not all(isinstance(point, dict) for point in table):
                raise InputError(f"{where}: `{name}` must be written as [[{name}]], once for each.")
            own = _OF_ARMS if name == "arm" else ()
            tables[name] = [_flat(where, f"[[{name}]]", point, own) for point in table]
        elif not isinstance(table, dict):
            raise InputError(f"{where}: `{name}` must be a table, [{name}], but got {table!r}.")
        elif name not in _SETTINGS:
            tables[name] = _flat(where, f"[{name}]", table)


def _flat(where: str, table: str, values: Mapping[str, Any], own: tuple[str, ...] = ()) -> dict[str, Any]:
    """`stage3.epochs = 1` without quotes is a table in a table to TOML; both ways of writing it mean the knob.

    Keys in `own` are the table's own and no knobs.
    """
    groups = {key.partition(".")[0] for key in knobs()}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = (
            {f"{key}.{name}": v for name, v in value.items()}
            if key in groups and isinstance(value, dict)
            else {key: value}
        )
        for name, member in inner.items():
            if name in flat:
                raise InputError(f"{where}: `{name}` stands twice in {table}. Keep one.")
            if name not in own:
                check_name(where, name)
            flat[name] = member
    return flat


def _set_settings(tables: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Put overrides such as `search.folds` into their tables; return the others."""
    left: dict[str, Any] = {}
    for key, value in overrides.items():
        table, dot, name = key.partition(".")
        if dot and table in _SETTINGS:
            tables[table] = {**tables.get(table, {}), name: value}
        else:
            check_name(f"--set {key}", key)
            left[key] = value
    return left


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
        rule = fact["msg"].removeprefix("Input should be ")
        raise InputError(f"{where}: [{name}] `{key}` must be {rule}, but got {key}={fact['input']!r}.") from None


def _knobs(where: str, tables: Mapping[str, Any], overrides: Mapping[str, Any]) -> tuple[list[Knob], dict[str, Any]]:
    """The searched knobs in the order of the file, and the fixed ones. A bare value among the searched is fixed."""
    found: dict[str, Knob] = {}
    fixed: dict[str, Any] = {}
    for name, value in tables.get("fixed", {}).items():
        if isinstance(value, dict):
            raise InputError(
                f"{where}: `{name}` in [fixed] must be one value, but got the table {value!r}. "
                "Move it to [scientific] or [nuisance] to search it."
            )
        fixed[name] = check_value(where, name, value)
    for role in _ROLES:
        for name, spec in tables.get(role, {}).items():
            if name in found or name in fixed:
                raise InputError(
                    f"{where}: `{name}` stands in [{role}] and in "
                    f"[{found[name].role if name in found else 'fixed'}]. Keep one."
                )
            if isinstance(spec, dict):
                found[name] = read_knob(where, name, role, spec)
            else:
                fixed[name] = check_value(where, name, spec)
    for name, value in overrides.items():
        if name in found:
            raise InputError(
                f"--set {name}: {where} searches this knob. Remove it from [{found[name].role}] to fix it."
            )
        fixed[name] = check_value(f"--set {name}", name, value)
    if not found:
        raise InputError(
            f"{where}: nothing is searched. Give [scientific] or [nuisance] a knob, such as "
            '"stage3.mixup_site" = { choices = ["none", "input"] }.'
        )
    return list(found.values()), fixed


def _conditions(where: str, tables: Mapping[str, Any], found: list[Knob], fixed: Mapping[str, Any]) -> tuple[Knob, ...]:
    by_name = {knob.name: knob for knob in found}
    constants = {**knobs(), **fixed}
    complete = []
    for knob in found:
        when = tables[knob.role][knob.name].get("when", {})
        if not isinstance(when, dict):
            raise InputError(
                f"{where}: `{knob.name}`: when must be a table such as "
                f'{{ "stage3.mixup_site" = ["input"] }}, but got {when!r}.'
            )
        conditions = []
        for name, value in _flat(where, f"when of `{knob.name}`", when).items():
            wanted = tuple(check_value(where, name, v, "when") for v in (value if isinstance(value, list) else [value]))
            _check_condition(f"{where}: `{knob.name}`", _Condition(name, wanted), by_name, constants)
            conditions.append((name, wanted))
        complete.append(replace(knob, when=tuple(conditions)))
    return ordered(where, complete)


@dataclass(frozen=True)
class _Condition:
    name: str
    wanted: tuple[Any, ...]


def _check_condition(
    where: str, condition: _Condition, searched: Mapping[str, Knob], constants: Mapping[str, Any]
) -> None:
    name, wanted = condition.name, condition.wanted
    if not wanted:
        raise InputError(f"{where}: when `{name}` has no value. List those with which the knob is asked for.")
    if name not in searched:
        if constants[name] not in wanted:
            raise InputError(
                f"{where} is asked for when `{name}` is one of {list(wanted)}, but that is fixed at "
                f"{constants[name]!r}. Remove the knob, or search `{name}`."
            )
        return
    parent = searched[name]
    if not parent.values():
        raise InputError(f"{where}: a when needs a knob with choices or steps, but `{name}` is continuous.")
    for value in wanted:
        if not parent.contains(value):
            hint = suggestion(str(value), map(str, parent.values()))
            raise InputError(f"{where} is asked for when `{name}` is {value!r}, which is not one of its values.{hint}")


def _complete(where: str, study: Study, table: str, said: Mapping[str, Any], prior: Mapping[str, Any]) -> Params:
    """A full assignment of the active knobs: what is said, else `prior`, else what is fixed by default."""
    searched, defaults = study.searched(), knobs()
    for name in said:
        if name not in searched:
            raise InputError(f"{where}: {table} `{name}` is not searched. Move it to [fixed].")
    params: Params = {}
    for knob in study.knobs:
        if not study.active(knob, params):
            if knob.name in said:
                raise InputError(
                    f"{where}: {table} `{knob.name}` is given, but its when does not hold there. Remove it."
                )
            continue
        value = said.get(knob.name, prior.get(knob.name, defaults[knob.name]))
        value = check_value(where, knob.name, value)
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
