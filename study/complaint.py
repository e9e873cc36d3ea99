"""What pydantic has against a value, in this program's words: the place, the rule, what was got."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from rfcx_model.errors import cut

_KINDS: Final = {
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a string",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "an object",
    "tuple_type": "an array",
    "dataclass_type": "an object",
}


def complaint(error: ValidationError) -> str:
    """The first of them, without a full stop."""
    first = error.errors()[0]
    name = f"`{'.'.join(str(part) for part in first['loc'])}`"
    if first["type"] in ("missing", "missing_argument"):  # the input would be all that is there
        return f"{name} must be there, but is not"
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{name} is not known here"
    return f"{name}: {rule(first)}, but got {shown(first['input'])}"


def rule(fact: Mapping[str, Any]) -> str:
    """What must hold."""
    if fact["type"] == "value_error":
        return str(fact["msg"]).removeprefix("Value error, ")
    return "must be " + _KINDS.get(fact["type"], str(fact["msg"]).removeprefix("Input should be "))


def shown(value: object) -> str:
    """A value as it is told, the long ones cut."""
    return cut(repr(value))
