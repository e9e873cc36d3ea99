"""`[[arm]]`: recipes that are tried as they stand, each repeated; read from a space file.

A list of arms is a grid that is no product: the knobs of different regimes differ. Every knob that some arm names is
searched, and an arm that does not name it has the value of [fixed], else the default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import UNSEARCHABLE, knobs
from study.knob import check_value, suggestion
from study.space import Arm

_ALONE: Final = {"scientific": "[scientific]", "nuisance": "[nuisance]", "baseline": "[baseline]", "try": "[[try]]"}
PUBLISHED: Final = ("cv", "precision", "leaderboard")
"""Figures of an arm's author that are shown beside ours."""
_LONGEST: Final = 100  # of a regime's name, which becomes part of a folder's


def arms_of(where: str, tables: dict[str, Any], overrides: dict[str, Any]) -> tuple[Arm, ...]:
    """The arms of a file, and in `tables` the [scientific] knobs and the baseline that they amount to.

    `overrides` go into [fixed], and so to the arms that do not name the knob themselves; those are taken out.

    Raises:
        InputError: an arm without a name, of unsound values, or twice the same; arms beside a search.
    """
    written = tables.get("arm", [])
    if not written:
        return ()
    _check_alone(where, tables)
    named = list(dict.fromkeys(name for arm in written for name in arm if "." in name))
    if not named:
        raise InputError(f"{where}: no [[arm]] names a knob, so there is nothing to compare. Give each what differs.")
    fixed = tables.get("fixed", {}) | _for_the_others(written, named, overrides)
    _check_named(where, written, named, fixed)
    prior = {**knobs(), **fixed}
    arms: list[Arm] = []
    for number, arm in enumerate(written, start=1):
        place = f"{where}: [[arm]] {number}"
        regime, published = _regime(place, arm), _published(place, arm)
        params = {name: check_value(place, name, arm.get(name, prior[name])) for name in named}
        arms.append(Arm(regime, params, tuple(name for name in named if name in arm), published))
        twin = next((n for n, other in enumerate(arms[:-1], start=1) if other.params == params), None)
        if twin is not None:
            raise InputError(f"{place} has the same knobs as [[arm]] {twin}. Remove one, or let them differ.")
    domains = {name: list(dict.fromkeys(arm.params[name] for arm in arms)) for name in named}
    tables["fixed"] = {name: value for name, value in fixed.items() if name not in named}
    tables["scientific"] = {name: {"choices": choices} for name, choices in domains.items()}
    tables["baseline"] = dict(arms[0].params)
    return tuple(arms)


def _for_the_others(
    written: Sequence[Mapping[str, Any]], named: Sequence[str], overrides: dict[str, Any]
) -> dict[str, Any]:
    """The overrides of knobs that some arms name and others do not."""
    shared = [name for name in named if name in overrides and not all(name in arm for arm in written)]
    return {name: check_value(f"--set {name}", name, overrides.pop(name)) for name in shared}


def _check_alone(where: str, tables: Mapping[str, Any]) -> None:
    for name, shown in _ALONE.items():
        if name in tables:
            raise InputError(f"{where}: [[arm]] lists all that is tried, but {shown} is there too. Keep one of them.")
    search = tables.get("search", {})
    if search.get("sampler") != "grid":
        got = f"sampler={search['sampler']!r}" if "sampler" in search else "none"
        raise InputError(
            f"{where}: [[arm]] needs [search] sampler = 'grid', since every arm is tried, but got {got}. Set it."
        )
    if search.get("scheduler", "asha") != "none":
        raise InputError(
            f"{where}: [[arm]] needs [search] scheduler = 'none', since an arm is compared at its own end, but got "
            f"scheduler={search.get('scheduler', 'asha')!r}. Set it."
        )


def _check_named(where: str, written: Sequence[Mapping[str, Any]], named: list[str], fixed: Mapping[str, Any]) -> None:
    """What is wrong with a knob for all arms: it cannot differ between them, or [fixed] holds for none of them."""
    for name in named:
        number = next(number for number, arm in enumerate(written, start=1) if name in arm)
        if name.partition(".")[0] in UNSEARCHABLE:
            raise InputError(
                f"{where}: [[arm]] {number}: `{name}` belongs to the ruler, which must not move between arms. "
                "Give it one value in [fixed]."
            )
        if isinstance(knobs()[name], list):
            raise InputError(
                f"{where}: [[arm]] {number}: `{name}` is an array, which cannot differ between arms. "
                "Give it one value in [fixed]."
            )
        if name in fixed:
            check_value(f"{where}: [fixed]", name, fixed[name])
            if all(name in arm for arm in written):
                raise InputError(
                    f"{where}: [fixed] `{name}` holds for no arm, since every [[arm]] gives it too. Remove it there."
                )


def _regime(place: str, arm: Mapping[str, Any]) -> str:
    regime = arm.get("regime")
    if not isinstance(regime, str) or not regime.strip():
        got = repr(regime) if "regime" in arm else "none"
        raise InputError(f'{place}: regime must be a name such as "pseudo 0.9 + focal", but got {got}. Name it.')
    if len(regime) > _LONGEST:
        raise InputError(
            f"{place}: regime names folders and must have at most {_LONGEST} characters, but got {len(regime)}. "
            "Shorten it."
        )
    return " ".join(regime.split())


def _published(place: str, arm: Mapping[str, Any]) -> dict[str, float]:
    said = arm.get("published", {})
    sound = isinstance(said, dict) and all(
        type(value) in (int, float) and math.isfinite(value) for value in said.values()
    )
    if not sound:
        raise InputError(
            f"{place}: published must be a table of figures such as {{ cv = 0.84, leaderboard = 0.831 }}, "
            f"but got {said!r}. Give numbers, or leave it out."
        )
    for name in said:
        if name not in PUBLISHED:
            hint = suggestion(name, PUBLISHED) or f" Known are {', '.join(PUBLISHED)}."
            raise InputError(f"{place}: `{name}` is not a published figure that is shown.{hint}")
    return {name: float(value) for name, value in said.items()}
