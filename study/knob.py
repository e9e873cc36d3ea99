"""One searched knob: what values it may take and when it is asked for; read from a table of a space file.

Words: a *domain* is `choices` or `low..high` (with `log` or `step`); a knob is *active* where its `when` holds.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ValidationError

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import UNSEARCHABLE, build, knobs
from study.complaint import rule

Role = Literal["scientific", "nuisance"]
Value = bool | int | float | str
When = tuple[tuple[str, tuple[Value, ...]], ...]

_SPEC_KEYS: Final = ("low", "high", "log", "step", "choices", "when")
_KINDS: Final = {float: "a number", int: "a whole number", bool: "true or false", str: "a string", list: "an array"}


@dataclass(frozen=True)
class Knob:
    """A searched knob. Either `choices` is filled, or `low` and `high` are."""

    name: str
    role: Role
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    whole: bool = False
    when: When = ()

    def contains(self, value: Any) -> bool:
        """Whether `value` lies in the domain; a value between two steps does not."""
        if self.choices:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-8)

    def values(self) -> tuple[Value, ...]:
        """Every value of a finite domain in order; empty for a continuous one."""
        if self.choices or self.step is None:
            return self.choices
        count = round((self.high - self.low) / self.step) + 1
        steps = (self.low + index * self.step for index in range(count))
        return tuple(int(value) if self.whole else float(f"{value:.12g}") for value in steps)

    def extremes(self) -> tuple[tuple[str, Value], ...]:
        """Each choice, or both bounds, with the word that names it in a message."""
        if self.choices:
            return tuple(("choice", choice) for choice in self.choices)
        return ("low", self.low), ("high", self.high)

    def domain(self) -> dict[str, Any]:
        """The domain and condition as the table of a space file would say them."""
        facts: dict[str, Any] = (
            {"choices": list(self.choices)} if self.choices else {"low": self.low, "high": self.high}
        )
        facts |= {"log": True} if self.log else {}
        facts |= {"step": self.step} if self.step is not None else {}
        facts |= {"when": {name: list(values) for name, values in self.when}} if self.when else {}
        return facts


def suggestion(word: str, known: Iterable[str]) -> str:
    """` Did you mean ...?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean `{near[0]}`?" if near else ""


def check_name(where: str, name: str) -> None:
    """Refuse a name that is no knob.

    Raises:
        InputError: with the nearest knob's name.
    """
    known = knobs()
    if name in known:
        return
    group, dot, short = name.partition(".")
    groups = dict.fromkeys(key.partition(".")[0] for key in known)
    if dot and group in groups:
        names = [key.partition(".")[2] for key in known if key.startswith(f"{group}.")]
        label = f"stage {group[5:]}" if group.startswith("stage") else f"`{group}`"
        hint = suggestion(short, names) or f" Its knobs are {', '.join(names)}."
        raise InputError(f"{where}: `{short}` is not a knob of {label}.{hint}")
    same = [key for key in known if key.partition(".")[2] == (short or group)]
    hint = f" Did you mean `{same[-1]}`?" if same else suggestion(name, known)
    raise InputError(
        f"{where}: `{name}` is not a knob; a knob is written group.name, the groups are {', '.join(groups)}.{hint}"
    )


def check_value(where: str, name: str, value: Any, label: str = "") -> Any:
    """The value in the knob's own type; a whole number becomes a float where the knob is one.

    Raises:
        InputError: the type is wrong or the value outside the knob's limits.
    """
    kind = type(knobs()[name])
    got = f"{label or name.partition('.')[2]}={value!r}"
    right = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not right or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"{where}: `{name}` must be {_KINDS[kind]}, but got {got}.")
    if kind is float:
        value = float(value)
    problem = problem_of({name: value}, only=name)
    if problem:
        raise InputError(f"{where}: `{name}` {problem}, but got {got}.")
    return value


def problem_of(values: Mapping[str, Any], only: str = "") -> str:
    """What `Hyperparameters` says against these values, as words; empty when nothing.

    With `only`, complaints about several knobs at once are left out: they are judged when all are known.
    """
    try:
        build(dict(values))
    except ValidationError as error:
        for fact in error.errors():
            if only and ".".join(str(part) for part in fact["loc"][:2]) != only:
                continue
            return rule(fact)
    return ""


def read_knob(where: str, name: str, role: Role, spec: Mapping[str, Any]) -> Knob:
    """A searched knob from its table, without its `when`.

    Raises:
        InputError: a key, bound or choice that cannot be.
    """
    for key in spec:
        if key not in _SPEC_KEYS:
            hint = suggestion(key, _SPEC_KEYS) or f" Known are {', '.join(_SPEC_KEYS)}."
            raise InputError(f"{where}: `{name}`: `{key}` says nothing about a domain.{hint}")
    group = name.partition(".")[0]
    if group in UNSEARCHABLE:
        raise InputError(
            f"{where}: `{name}` belongs to the ruler, which must not move between trials. Give it one value in [fixed]."
        )
    if isinstance(knobs()[name], list):
        raise InputError(f"{where}: `{name}` is an array; it can be fixed, not searched.")
    if "choices" in spec:
        return Knob(name, role, choices=_choices(where, name, spec))
    return _range(where, name, role, spec)


def _choices(where: str, name: str, spec: Mapping[str, Any]) -> tuple[Value, ...]:
    for key in ("low", "high", "log", "step"):
        if key in spec:
            raise InputError(f"{where}: `{name}` has both choices and {key}. Keep one way of saying its domain.")
    choices = spec["choices"]
    if not isinstance(choices, list) or not choices:
        raise InputError(f"{where}: `{name}`: choices must be an array of at least one value, but got {choices!r}.")
    values = tuple(check_value(where, name, value, "choice") for value in choices)
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"{where}: `{name}`: choices must differ, but {value!r} stands there twice.")
    return values


def _range(where: str, name: str, role: Role, spec: Mapping[str, Any]) -> Knob:
    kind = type(knobs()[name])
    if kind in (bool, str):
        raise InputError(f"{where}: `{name}` is {_KINDS[kind]}; its domain is written choices = [...].")
    for key in ("low", "high"):
        if key not in spec:
            raise InputError(f"{where}: `{name}` needs low and high, or choices, but {key} is missing.")
    low, high = (check_value(where, name, spec[key], key) for key in ("low", "high"))
    if not low < high:
        raise InputError(
            f"{where}: `{name}`: low < high must hold, but got low={spec['low']!r}, high={spec['high']!r}."
        )
    log = spec.get("log", False)
    if not isinstance(log, bool):
        raise InputError(f"{where}: `{name}`: log must be true or false, but got {log!r}.")
    if log and low <= 0:
        raise InputError(f"{where}: `{name}`: with log = true, low > 0 must hold, but got low={spec['low']!r}.")
    step = _step(where, name, spec, low, high)
    if kind is int and not log and step is None:
        step = 1
    return Knob(name, role, low=low, high=high, log=log, step=step, whole=kind is int)


def _step(where: str, name: str, spec: Mapping[str, Any], low: float, high: float) -> float | None:
    step = spec.get("step")
    if step is None:
        return None
    whole = isinstance(knobs()[name], int)
    if isinstance(step, bool) or not isinstance(step, int if whole else int | float) or not step > 0:
        raise InputError(
            f"{where}: `{name}`: step must be {'a whole' if whole else 'a'} number above 0, but got {step!r}."
        )
    if spec.get("log"):
        raise InputError(f"{where}: `{name}` has both log and step. Keep one, or write choices = [...].")
    steps = (high - low) / step
    if steps < 1 or abs(steps - round(steps)) > 1e-8:
        raise InputError(
            f"{where}: `{name}`: step must divide high - low, but got low={low:g}, high={high:g}, step={step:g}."
        )
    return step


def ordered(where: str, found: Sequence[Knob]) -> tuple[Knob, ...]:
    """The knobs in an order in which each comes after those that its `when` asks about.

    Raises:
        InputError: the conditions go round in a circle.
    """
    left = {knob.name: knob for knob in found}
    order: list[Knob] = []
    while left:
        free = [knob for knob in left.values() if not any(name in left for name, _ in knob.when)]
        if not free:
            names = ", ".join(f"`{name}`" for name in left)
            raise InputError(f"{where}: the conditions (when) of {names} go round in a circle. Remove one of them.")
        order.append(free[0])
        del left[free[0].name]
    return tuple(order)
