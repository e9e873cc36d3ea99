"""The tables of a space file and the words of `--set`, made flat and checked for names that mean nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import knobs
from study.knob import check_name, suggestion
from study.space_settings import Budget, Objective, Resources, Search

SETTINGS: Final[dict[str, type]] = {
    "objective": Objective,
    "search": Search,
    "budget": Budget,
    "resources": Resources,
}
"""Tables of settings, which are no knobs."""

_TABLES: Final = ("scientific", "nuisance", "fixed", "baseline", "try", "arm", *SETTINGS)
_LISTS: Final = ("try", "arm")
_OF_ARMS: Final = ("regime", "published")


def check_tables(where: str, tables: dict[str, Any]) -> None:
    """Refuse what is no table of a space file; make those of knobs flat, in place.

    Raises:
        InputError: an unknown table, a value where a table belongs; or, a line each, unknown knobs and those that stand
            twice.
    """
    wrong: list[str] = []
    for name, table in tables.items():
        if name not in _TABLES:
            hint = suggestion(name, _TABLES) or f" Known are {', '.join(_TABLES)}."
            raise InputError(f"{where}: [{name}] is not a table of a space file.{hint}")
        if name in _LISTS:
            if not isinstance(table, list) or not all(isinstance(point, dict) for point in table):
                raise InputError(f"{where}: `{name}` must be written as [[{name}]], once for each.")
            own = _OF_ARMS if name == "arm" else ()
            numbered = enumerate(table, start=1)
            tables[name] = [
                _flat(f"{where}: [[{name}]] {number}", "it", point, wrong, own) for number, point in numbered
            ]
        elif not isinstance(table, dict):
            raise InputError(f"{where}: `{name}` must be a table, [{name}], but got {table!r}.")
        elif name not in SETTINGS:
            tables[name] = _flat(where, f"[{name}]", table, wrong)
    refuse_all(wrong)


def flat(where: str, table: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A table of knobs with each name in full.

    Raises:
        InputError: with a line for each name that is no knob, or stands twice.
    """
    wrong: list[str] = []
    told = _flat(where, table, values, wrong)
    refuse_all(wrong)
    return told


def refuse_all(wrong: Sequence[str]) -> None:
    """Refuse, with a line each, what was found wrong.

    Raises:
        InputError: anything was.
    """
    if wrong:
        raise InputError("\n".join(wrong))


def _flat(
    where: str, table: str, values: Mapping[str, Any], wrong: list[str], own: tuple[str, ...] = ()
) -> dict[str, Any]:
    """`stage3.epochs = 1` without quotes is a table in a table to TOML; both ways of writing it mean the knob.

    Keys in `own` are the table's own and no knobs. What is `wrong` with a name is told there.
    """
    told: dict[str, Any] = {}
    for key, value in values.items():
        inner = (
            {f"{key}.{name}": v for name, v in value.items()}
            if key in _groups() and isinstance(value, dict)
            else {key: value}
        )
        for name, member in inner.items():
            if name in told:
                wrong.append(f"{where}: `{name}` stands twice in {table}. Keep one.")
            try:
                if name not in own:
                    _check_key(where, name, own)
            except InputError as error:
                wrong.append(str(error))
            told[name] = member
    return told


def set_settings(tables: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Put overrides such as `search.folds` into their tables; return the others, which are knobs.

    Raises:
        InputError: an override names neither a knob nor a setting.
    """
    left: dict[str, Any] = {}
    for key, value in overrides.items():
        if not key:
            raise InputError(f"--set ={value}: KNOB=VALUE must be given, but the knob is missing. Name it.")
        table, dot, name = key.partition(".")
        if table in SETTINGS:
            if not dot:
                raise InputError(f"--set {key}: `{key}` is a table of settings. Name one of its keys, {key}.KEY=VALUE.")
            tables[table] = {**tables.get(table, {}), name: value}
            continue
        near = suggestion(table, SETTINGS) if dot and table not in _groups() else ""
        if near:
            raise InputError(f"--set {key}: `{table}` is neither a group of knobs nor a table of settings.{near}")
        _check_key(f"--set {key}", key, ())
        left[key] = value
    return left


def _check_key(where: str, name: str, own: tuple[str, ...]) -> None:
    """As `check_name`, for a key that may be meant for something else than a knob."""
    if name in _groups():
        raise InputError(f"{where}: `{name}` is a group of knobs, not a knob; a knob is written {name}.NAME.")
    if name in _OF_ARMS:
        raise InputError(f"{where}: `{name}` says something of an arm. Move it to [[arm]], or remove it.")
    if name in SETTINGS and own:
        raise InputError(f"{where}: [{name}] holds for all arms alike. Write it once, outside of [[arm]].")
    near = suggestion(name, own) if "." not in name else ""
    if near:
        raise InputError(f"{where}: `{name}` is not a key of [[arm]].{near}")
    check_name(where, name)


def _groups() -> set[str]:
    return {key.partition(".")[0] for key in knobs()}
