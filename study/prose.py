"""A sentence of the report: plain text in which what stands between backticks is shown as code.

Names and values that others wrote go in through `code` or `plain`, so that a backtick of theirs is only a backtick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_TICK: Final = "\ue000"  # a private character: stands for a backtick that is text


def plain(text: str) -> str:
    """A name or value as it goes into a sentence."""
    return text.replace("`", _TICK)


def code(text: str) -> str:
    """A name or value that is to be shown as code."""
    return f"`{plain(text)}`"


def parts(sentence: str) -> list[tuple[bool, str]]:
    """(is it code, text) in order; a backtick without a partner is text."""
    pieces = sentence.split("`")
    if len(pieces) % 2 == 0:
        pieces[-2:] = ["`".join(pieces[-2:])]
    return [(place % 2 == 1, piece.replace(_TICK, "`")) for place, piece in enumerate(pieces) if piece]


def numbers(trials: Sequence[int], most: int = 10) -> str:
    """`0, 1, 2`, and no more than `most` of them."""
    head = ", ".join(str(trial) for trial in trials[:most])
    return head if len(trials) <= most else f"{head} and {len(trials) - most} more"
