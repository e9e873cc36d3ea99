"""What a person should know once a run is over: was anything learnt, has each arm a finished trial, what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from study.declaration import declaration, left
from study.facts import finite
from study.floor import of_trial
from study.knob import Knob
from study.machine import uv_run
from study.ranked import finished
from study.space import Study
from study.trials import Trial, read_trials

REPLICATES: Final = 5
"""As many as the next command names, for a start: `compare` says how many would settle what these leave open."""


@dataclass(frozen=True)
class Afterwards:
    """Sentences of warning, and the command that follows; empty where there is none, or nothing was learnt."""

    cautions: tuple[str, ...]
    following: str


def afterwards(study: Study, folder: Path) -> Afterwards:
    """Of a study that has run, as far as it has.

    Raises:
        InputError: confirm.json cannot be read.
    """
    trials = read_trials(folder / "trials.jsonl")
    whole = finished(trials)
    if not whole:
        return Afterwards((), "")
    best = max(whole, key=lambda trial: finite(trial.score) or 0.0)
    asked = next((knob for knob in study.knobs if knob.role == "scientific" and knob.choices), None)
    told = of_trial(folder, best, trials)
    cautions = [] if told is None or told.left else [told.sentence(f"Trial {best.number}, the best,")]
    if asked is not None and not study.arms:
        cautions += _thin(study, asked, trials)
    following = "" if told is not None and not told.left else _following(study, folder, asked, trials)
    return Afterwards(tuple(cautions), f"{uv_run()}rfcx-study {following}" if following else "")


def _thin(study: Study, asked: Knob, trials: Sequence[Trial]) -> list[str]:
    """Arms of which pruning has left nothing."""
    states: dict[object, set[str]] = {value: set() for value in asked.choices}
    for trial in trials:
        if trial.origin != "confirm" and asked.name in study.params_of(trial.config):
            states[trial.config[asked.name]].add(trial.state)
    pruned = [str(value) for value, mine in states.items() if "PRUNED" in mine and mine <= {"PRUNED", "FAILED"}]
    if not pruned:
        return []
    return [
        f"No trial of {asked.name} = {', '.join(pruned)} has ended without being pruned, so nothing is known of "
        f'{"it" if len(pruned) == 1 else "them"}: give more --trials, or ask with [search] scheduler = "none".'
    ]


def _following(study: Study, folder: Path, asked: Knob | None, trials: Sequence[Trial]) -> str:
    here = quote(str(folder))
    declared = declaration(folder)
    if declared is not None:
        by = f" --by {declared.by}" if declared.by else ""
        if not left(declared, trials):
            return f"compare {here}{by}"
        top = sum(one.by is None and not one.baseline for one in declared.arms)
        return f"confirm {here}{by or f' --top {top}'} --replicates {len(declared.replicates)}"
    by = f" --by {asked.name}" if asked is not None else ""
    if study.search.sampler == "grid":
        return f"compare {here}{by}" if study.search.replicates > 1 and not study.arms else ""
    if all(trial.origin == "baseline" for trial in finished(trials)):
        return ""
    return f"confirm {here}{f'{by} --fill' if by else ' --top 3'} --replicates {REPLICATES}"
