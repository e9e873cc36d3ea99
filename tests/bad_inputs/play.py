"""Play a case in this process, through the program's own `main`: exit code, what is said, and what it has left."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Final
from unittest.mock import patch

from bad_inputs import caches, calls, judged, models, oddities, results, sounds, spaces, studies, tables
from bad_inputs.case import Bad, told
from study.__main__ import main

DOORS: Final[Mapping[str, ModuleType]] = {
    "Space files": spaces,
    "Tables of a competition folder": tables,
    "Sounds": sounds,
    "A study's folder": studies,
    "Results of stages and trials": results,
    "A spectrogram cache": caches,
    "Bundles and models": models,
    "Audits, submissions and truths": judged,
    "Command lines": calls,
    "Oddities that are taken": oddities,
}
EXPECTED: Final = Path(__file__).parent / "messages.json"


@dataclass(frozen=True)
class Answer:
    """What came of a case."""

    exit: int
    says: str  # on stderr
    tells: str  # on stdout
    leaves: tuple[str, ...]  # files that were made, changed or removed


def cases() -> Iterator[tuple[str, Bad]]:
    """All, with the door."""
    for door, module in DOORS.items():
        for one in module.CASES:
            yield door, one


def expected() -> dict[str, dict[str, Answer]]:
    """By door and case; what is not written down is empty."""
    said = json.loads(EXPECTED.read_text(encoding="utf-8"))
    nothing = {"says": "", "tells": ""}
    return {
        door: {wrong: Answer(**{**nothing, **one, "leaves": tuple(one.get("leaves", ()))}) for wrong, one in of.items()}
        for door, of in said.items()
    }


def play(case: Bad, template: Path, place: Path) -> Answer:
    """Copy the sound world, spoil it, give the command."""
    world = place / "world"
    shutil.copytree(template, world, symlinks=True)
    case.make(world)
    before = _listing(world)
    out, err = io.StringIO(), io.StringIO()
    own = {**os.environ, "XDG_CACHE_HOME": str(place / "cache"), "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    with (
        patch.dict(os.environ, own, clear=True),
        patch.object(sys, "argv", ["rfcx-study", *shlex.split(case.words)]),
        contextlib.chdir(world),
        contextlib.redirect_stderr(err),
        contextlib.redirect_stdout(out),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    assert "ray" not in sys.modules or not sys.modules["ray"].is_initialized(), "a bad input was met after Ray started"
    after = _listing(world)
    changed = {told(name, world) for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return Answer(code, told(err.getvalue(), world), told(out.getvalue(), world), tuple(sorted(changed)))


def _listing(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }
