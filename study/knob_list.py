"""Every knob as a person looks it up: name, default, what it takes, and the note that stands beside it in the code."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from pydantic import TypeAdapter

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Hyperparameters, knobs
from study.knob import suggestion

_LINE: Final = re.compile(r"^    (\w+): [^#\n]+= [^#\n]+?(?:  # (.*))?$", re.MULTILINE)
_KINDS: Final = {"integer": "whole number", "number": "number", "boolean": "true, false", "string": "text"}
_BOUNDS: Final = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


@dataclass(frozen=True)
class Group:
    """The knobs of one stage or part, and what it is."""

    name: str
    says: str
    knobs: tuple[Listed, ...]


@dataclass(frozen=True)
class Listed:
    """A knob. `default` is as TOML writes it."""

    name: str
    default: str
    takes: str
    note: str


def listed(asked: str | None = None) -> tuple[Group, ...]:
    """All groups, or the knobs in whose names `asked` stands.

    Raises:
        InputError: none does.
    """
    found = [_group(one.name, type(getattr(Hyperparameters(), one.name))) for one in fields(Hyperparameters)]
    if asked:
        found = [Group(one.name, one.says, tuple(k for k in one.knobs if asked in k.name)) for one in found]
        if not any(one.knobs for one in found):
            hint = suggestion(asked, list(knobs())) or f" Groups are {', '.join(one.name for one in found)}."
            raise InputError(f"{asked}: it must stand in the name of a knob, but stands in none.{hint}")
    return tuple(one for one in found if one.knobs)


def as_text(groups: tuple[Group, ...]) -> str:
    """Lines for a terminal, in columns."""
    every = [knob for group in groups for knob in group.knobs]
    widths = [max(len(getattr(knob, part)) for knob in every) for part in ("name", "default", "takes")]
    lines = []
    for group in groups:
        lines += ["", f"{group.name}  {group.says}"]
        for knob in group.knobs:
            cells = [
                part.ljust(width) for part, width in zip((knob.name, knob.default, knob.takes), widths, strict=True)
            ]
            lines.append(f"  {'  '.join(cells)}  {knob.note}".rstrip())
    return "\n".join(lines[1:])


def _group(name: str, kind: type) -> Group:
    said = TypeAdapter(kind).json_schema()
    notes = dict(_LINE.findall(inspect.getsource(kind)))
    each = (
        Listed(f"{name}.{knob}", json.dumps(schema["default"]), _takes(schema), notes.get(knob, ""))
        for knob, schema in said["properties"].items()
    )
    return Group(name, " ".join((kind.__doc__ or "").split()), tuple(each))


def _takes(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if schema["type"] == "array":
        return f"list, each a {_takes(schema['items'])}"
    bounds = [f"{sign} {schema[key]:g}" for key, sign in _BOUNDS.items() if key in schema]
    return f"{_KINDS[schema['type']]} {', '.join(bounds)}".rstrip()
