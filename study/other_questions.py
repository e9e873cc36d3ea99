"""What a new study asks otherwise than the latest one of its name: a changed question gets a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rfcx_model.errors import InputError
from study.space import Study
from study.study_json import read_study

_ASKED: Final = ("scientific", "nuisance", "fixed", "baseline", "try", "objective", "search", "arms")
_SHOWN: Final = 5


def difference(study: Study, fingerprint: str, folder: Path) -> str:
    """A sentence for the start of a new study in `folder`; empty where it is no new one, or there is no other."""
    if (folder / "study.json").exists():
        return ""
    others = [one for one in folder.parent.glob(f"{study.name}-*/study.json") if one.parent != folder]
    if not others:
        return ""
    latest = max(others, key=lambda path: path.stat().st_mtime).parent
    try:
        before = read_study(latest)
    except InputError:
        return ""
    changes = list(_changes(before, study.resolved()))
    if (before.get("data") or {}).get("fingerprint") != fingerprint:
        changes.append("other data")
    more = f", and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    told = ", ".join(changes[:_SHOWN]) or "what this version records"
    return f"a new question, so a folder of its own: {folder.name} differs from {latest.name} in {told}{more}"


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """`search.folds (3, was 5)`, leaf by leaf."""
    old, new = (dict(_leaves({key: asked.get(key) for key in _ASKED})) for asked in (before, now))
    for name in [*new, *(name for name in old if name not in new)]:
        if old.get(name) != new.get(name):
            yield f"{name} ({_shown(new.get(name))}, was {_shown(old.get(name))})"


def _leaves(told: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """A searched knob's domain is one leaf; knobs go by their names alone, settings by their table's too."""
    for name, value in told.items():
        if above in ("scientific", "nuisance", "fixed"):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _leaves(value, name)
        else:
            yield f"{above}.{name}" if above else name, value


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return " ".join(f"{key} {member}" for key, member in value.items())
    return (
        f"{len(value)} of them" if isinstance(value, list) and value and isinstance(value[0], Mapping) else str(value)
    )
