"""`[[arm]]`: recipes that are tried as they stand, each repeated; read from a space file.

A list of arms is a grid that is no product: the knobs of different regimes differ. Every knob that some arm names is
searched, and an arm that does not name it has the value of [fixed], else the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import knobs
from study.knob import check_value
from study.space import Arm

_ALONE: Final = ("scientific", "nuisance", "baseline", "try")


def arms_of(where: str, tables: dict[str, Any]) -> tuple[Arm, ...]:
    """The arms of a file, and in `tables` the [scientific] knobs and the baseline that they amount to.

    Raises:
        InputError: an arm without a name, of unsound values, or twice the same; arms beside a search.
    """
    written = tables.get("arm", [])
    if not written:
        return ()
    for name in _ALONE:
        if name in tables:
            raise InputError(f"{where}: [[arm]] lists all that is tried, but [{name}] is there too. Keep one of them.")
    if tables.get("search", {}).get("sampler") != "grid":
        raise InputError(f"{where}: [[arm]] needs [search] sampler = 'grid': every arm is tried. Add it.")
    named = list(dict.fromkeys(name for arm in written for name in arm if "." in name))
    if not named:
        raise InputError(f"{where}: no [[arm]] names a knob, so there is nothing to compare. Give each what differs.")
    prior = {**knobs(), **tables.get("fixed", {})}
    tables["fixed"] = {name: value for name, value in tables.get("fixed", {}).items() if name not in named}
    arms: list[Arm] = []
    for number, arm in enumerate(written, start=1):
        place = f"{where}: [[arm]] {number}"
        params = {name: check_value(place, name, arm.get(name, prior[name])) for name in named}
        for name in named:
            if isinstance(prior[name], list):
                raise InputError(
                    f"{place}: `{name}` is an array; it can be fixed for all arms, not differ between them."
                )
        arms.append(
            Arm(_regime(place, arm), params, tuple(name for name in named if name in arm), _published(place, arm))
        )
        twin = next((n for n, other in enumerate(arms[:-1], start=1) if other.params == params), None)
        if twin is not None:
            raise InputError(f"{place} has the same knobs as [[arm]] {twin}. Remove one, or let them differ.")
    domains = {name: list(dict.fromkeys(arm.params[name] for arm in arms)) for name in named}
    tables["scientific"] = {name: {"choices": choices} for name, choices in domains.items()}
    tables["baseline"] = dict(arms[0].params)
    return tuple(arms)


def _regime(place: str, arm: Mapping[str, Any]) -> str:
    regime = arm.get("regime")
    if not isinstance(regime, str) or not regime.strip():
        raise InputError(f'{place}: regime must be a name such as "pseudo 0.9 + focal", but got {regime!r}.')
    return regime


def _published(place: str, arm: Mapping[str, Any]) -> dict[str, float]:
    said = arm.get("published", {})
    sound = isinstance(said, dict) and all(type(value) in (int, float) for value in said.values())
    if not sound:
        raise InputError(
            f"{place}: published must be a table of figures such as {{ cv = 0.84, leaderboard = 0.831 }}, "
            f"but got {said!r}."
        )
    return {name: float(value) for name, value in said.items()}
