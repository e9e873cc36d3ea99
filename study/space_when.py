"""`when`: the conditions under which a searched knob is asked for, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import knobs
from study.knob import Knob, check_value, ordered, suggestion
from study.space_tables import flat


def conditions(where: str, tables: Mapping[str, Any], found: list[Knob], fixed: Mapping[str, Any]) -> tuple[Knob, ...]:
    """The knobs with their conditions, each after those that it asks about.

    Raises:
        InputError: a condition that never holds, names no knob, or asks for itself.
    """
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
        told = []
        for name, value in flat(where, f"when of `{knob.name}`", when).items():
            wanted = tuple(check_value(where, name, v, "when") for v in (value if isinstance(value, list) else [value]))
            _check(f"{where}: `{knob.name}`", _Condition(name, wanted), by_name, constants)
            told.append((name, wanted))
        complete.append(replace(knob, when=tuple(told)))
    return ordered(where, complete)


@dataclass(frozen=True)
class _Condition:
    name: str
    wanted: tuple[Any, ...]


def _check(where: str, condition: _Condition, searched: Mapping[str, Knob], constants: Mapping[str, Any]) -> None:
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
