"""The ledger's events: what each line must hold, and all lines of a file, read and checked. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

VERSION: Final = 1
EndState = Literal["COMPLETE", "PRUNED", "FAILED", "STOPPED"]
FACTS: Final = {
    "started": {"trial", "time", "origin", "attempt", "replicate", "seed", "config"},
    "epoch": {"trial", "time", "stage", "cycle", "epoch", "step", "reused", "metrics"},
    "ended": {"trial", "time", "state"},
}
"""What each event must hold."""


class LedgerError(ValueError):
    """The ledger is damaged in the middle, or of a version this program does not know."""


def read_events(path: Path) -> list[dict[str, Any]]:
    """All whole events in order. An unfinished last line is left out.

    Raises:
        LedgerError: a line that is not the last one is damaged or missing, or has another version.
    """
    if not path.exists():
        return []
    try:
        *whole, _unfinished = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise LedgerError(f"{path}: must be readable, but: {error.strerror}. Restore the file from a copy.") from None
    events = []
    begun = set()
    for number, line in enumerate(whole, start=1):
        try:
            event = json.loads(line)
            version = event["v"]
            told = version != VERSION or _is_told(event)
        except (ValueError, KeyError, TypeError, RecursionError):
            told = False
        if not told:
            raise LedgerError(
                f"{path}, line {number}: not a ledger event: {line[:60]!r}. Restore the file from a copy, "
                "or delete this line if you know what it said."
            )
        if version != VERSION:
            raise LedgerError(
                f"{path}, line {number}: this program reads events of version {VERSION}, but got {version!r}. Read the "
                "study with the version that wrote it."
            )
        begun |= {event["trial"]} if event["event"] == "started" else set()
        if event["trial"] not in begun:
            raise LedgerError(f"{path}, line {number}: trial {event['trial']} never started. Restore a lost line.")
        events.append(event)
    return events


def _is_told(event: Mapping[str, Any]) -> bool:
    """Whether an event of this version has all its facts, each of its kind; no name leads out of the study's folder."""
    if not FACTS[event["event"]] <= event.keys() or not isinstance(event["trial"], int):
        return False
    if event["event"] == "epoch":
        metrics = event["metrics"]
        return isinstance(metrics, dict) and all(_is_number(value) for value in metrics.values())
    if event["event"] == "ended":
        known = event["state"] in get_args(EndState)
        return known and _is_number(event.get("score")) and _is_inside(event.get("scores"))
    name = event.get("name", "")
    return isinstance(event["config"], dict) and isinstance(name, str) and not set(name) & set("/\\\0")


def _is_inside(name: object) -> bool:
    return name is None or (isinstance(name, str) and not name.startswith("/") and ".." not in name.split("/"))


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float)
