"""`confirm.json`: which settings run again and how often, written down before any of them runs. Knows no Ray."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rfcx_model.errors import InputError
from study.json_file import read_object
from study.space import Study
from study.trials import Trial
from study.whole_file import write_whole

DECLARED: Final = "confirm.json"


@dataclass(frozen=True)
class Candidate:
    """A setting that is confirmed. `trial` is the search's trial that it was chosen from."""

    label: str
    arm: Any  # the value of the knob that was asked about; None where none was
    config: Mapping[str, Any]  # every knob
    trial: int
    baseline: bool = False
    by: str | None = None  # the knob whose arm it is the best of
    among: int | None = None  # the trials of which it was the best when it was declared


@dataclass(frozen=True)
class Declaration:
    """What was asked for last. `raised` holds the numbers of replicates that were declared before and raised."""

    by: str | None
    replicates: tuple[int, ...]
    arms: tuple[Candidate, ...]
    raised: tuple[int, ...] = ()


@dataclass(frozen=True)
class Repeat:
    """One setting in one replicate that is still to be run; `trial` is the unfinished trial that does it already."""

    config: Mapping[str, Any]
    replicate: int
    trial: Trial | None


def declare(folder: Path, study: Study, by: str | None, arms: Sequence[Candidate], count: int) -> Declaration:
    """Write down what will be run, beside what was declared before, and return it.

    Settings that were declared earlier stay, after the new ones, and run as often. The number of replicates can be
    raised, never lowered.

    Raises:
        InputError: fewer replicates are asked for than were declared, or confirm.json cannot be read.
    """
    before = declaration(folder)
    refuse_fewer(folder, before, count)
    raised: tuple[int, ...] = ()
    if before is not None:
        known = len(before.replicates)
        raised = (*before.raised, known) if count > known else before.raised
        old = {json.dumps(one.config, sort_keys=True): one for one in before.arms}
        asked = [(one, old.pop(json.dumps(one.config, sort_keys=True), None)) for one in arms]
        arms = [known if known is not None and one.by is None else one for one, known in asked] + list(old.values())
    first = study.search.replicates
    told = Declaration(by, tuple(range(first, first + count)), tuple(arms), raised)
    write_whole(folder / DECLARED, json.dumps({"v": 1, **asdict(told)}, indent=1) + "\n")
    return told


def refuse_fewer(folder: Path, before: Declaration | None, asked: int) -> None:
    """Refuse fewer replicates than were declared.

    Raises:
        InputError: so few are asked for.
    """
    known = 0 if before is None else len(before.replicates)
    if asked < known:
        raise InputError(
            f"{folder / DECLARED}: {known} replicates were declared, so --replicates must be {known} or more, but got "
            f"{asked}: to stop early when a look pleases is what declaring is against."
        )


def declaration(folder: Path) -> Declaration | None:
    """What was declared; None where nothing was.

    Raises:
        InputError: the file cannot be read.
    """
    path, way_out = folder / DECLARED, "Restore it from a copy."
    try:
        told = read_object(path, way_out)
        arms = tuple(Candidate(**one) for one in told["arms"])
        made = Declaration(told["by"], tuple(told["replicates"]), arms, tuple(told["raised"]))
    except FileNotFoundError:
        return None
    except (KeyError, TypeError):
        made = None
    if made is None or not _is_whole(made):
        raise InputError(f"{path}: must be what `confirm` wrote, but is not. {way_out}")
    return made


def _is_whole(told: Declaration) -> bool:
    arms = all(isinstance(one.label, str) and isinstance(one.config, dict) for one in told.arms)
    numbers = all(isinstance(one, int) for one in (*told.replicates, *told.raised))
    named = told.by is None or isinstance(told.by, str)
    return bool(told.arms and told.replicates) and arms and numbers and named


def left(told: Declaration, trials: Iterable[Trial]) -> list[Repeat]:
    """What is still to be run: all settings of a replicate before the next one, so that each is whole early."""
    repeats = [trial for trial in trials if trial.origin == "confirm"]
    found = []
    for replicate in told.replicates:
        for one in told.arms:
            mine = [t for t in repeats if t.replicate == replicate and dict(t.config) == dict(one.config)]
            if not any(trial.state == "COMPLETE" for trial in mine):
                open_ = next((trial for trial in mine if trial.state in ("RUNNING", "STOPPED")), None)
                found.append(Repeat(one.config, replicate, open_))
    return found
