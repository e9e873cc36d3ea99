"""What pydantic finds, in this program's words."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any

import pytest
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from study.complaint import complaint


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Told:
    count: Annotated[int, Field(ge=1)]
    share: float = 0.0
    names: dict[str, int] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "`count` must be there, but is not"),
        ({"count": "one"}, "`count`: must be a whole number, but got 'one'"),
        ({"count": 1.5}, "`count`: must be a whole number, but got 1.5"),
        ({"count": 0}, "`count`: must be greater than or equal to 1, but got 0"),
        ({"count": 1, "share": float("nan")}, "`share`: must be a finite number, but got nan"),
        ({"count": 1, "share": None}, "`share`: must be a number, but got None"),
        ({"count": 1, "names": []}, "`names`: must be an object, but got []"),
        ({"count": 1, "names": {"a": "b"}}, "`names.a`: must be a whole number, but got 'b'"),
        ({"count": 1, "other": 2}, "`other` is not known here"),
        ({"count": "x" * 999}, f"`count`: must be a whole number, but got '{'x' * 59}..."),
    ],
)
def test_the_first_complaint_says_the_place_the_rule_and_what_was_got(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Told).validate_python(said)
    assert complaint(error.value) == words
