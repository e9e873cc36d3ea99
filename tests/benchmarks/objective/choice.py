"""The seal: the table of the sealed forests is printed only after the choice is committed.

`choice.json` beside this file names the objective that the development forests were found to favour, why, and the
commit at which it was chosen. What the result could be bent by must since be as it was then.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from candidates import CANDIDATES

from rfcx_model.errors import InputError

CHOICE: Final = Path(__file__).with_name("choice.json")
UNCHANGED: Final = ("candidates.py", "configs.py", "design.py", "forests.py", "agreement.py")


@dataclass(frozen=True)
class Choice:
    """The default objective, the commit at which it was chosen by the development forests, and why."""

    objective: str
    commit: str
    why: str

    def __str__(self) -> str:
        return f"Chosen at {self.commit[:9]} by the development forests: {self.objective}. {self.why}"


def choice(path: Path = CHOICE) -> Choice:
    """The choice, if it was made and committed before.

    Raises:
        InputError: there is none, or it is not one that the seal can be opened by.
    """
    where = f"{path}: the sealed forests stay closed"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        made = Choice(str(found["objective"]), str(found["commit"]), str(found["why"]))
    except FileNotFoundError:
        raise InputError(f"{where} until a choice is written there: objective, commit, why.") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{where}: a JSON object with objective, commit and why must stand there.") from None
    names = [candidate.name for candidate in CANDIDATES]
    if made.objective not in names:
        raise InputError(f"{where}: objective must be one of {', '.join(names)}, but got {made.objective}.")
    folder = path.parent
    if _git(folder, "cat-file", "-e", f"{made.commit}^{{commit}}") is None:
        raise InputError(f"{where}: commit must be one of this repository, but got {made.commit}.")
    for name in UNCHANGED:
        then = _git(folder, "show", f"{made.commit}:./{name}")
        if then is None or then != (folder / name).read_text(encoding="utf-8"):
            raise InputError(f"{where}: {name} is not what it was when the choice was made ({made.commit[:9]}).")
    if _git(folder, "show", f"HEAD:./{path.name}") != path.read_text(encoding="utf-8"):
        raise InputError(f"{where}: the choice must be committed as it stands. Commit it.")
    return made


def _git(folder: Path, *words: str) -> str | None:
    """What git says, or None where it refuses."""
    said = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, encoding="utf-8", check=False)
    return said.stdout if said.returncode == 0 else None
