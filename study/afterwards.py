"""What a person should know once a run is over: was anything learnt, has each arm a finished trial, what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from study.candidates import chances, finished, ranking
from study.floor import of_trial
from study.knob import Knob
from study.space import Study
from study.trials import Trial, read_trials

REPLICATES: Final = 5
"""As many as the next command names, for a start: `compare` says how many would settle what these leave open."""


@dataclass(frozen=True)
class Afterwards:
    """Sentences of warning, and the command that follows; empty where there is none."""

    cautions: tuple[str, ...]
    following: str


def afterwards(study: Study, folder: Path) -> Afterwards:
    """Of a study that has run, as far as it has."""
    trials = read_trials(folder / "trials.jsonl")
    best = next(iter(ranking(trials)), None)
    if best is None:
        return Afterwards((), "")
    asked = next((knob for knob in study.knobs if knob.role == "scientific" and knob.choices), None)
    told = of_trial(folder, best)
    cautions = [] if told is None or told.left else [told.sentence(f"Trial {best.number}, the best,")]
    if study.search.sampler != "grid" and asked is not None:
        cautions += _thin(study, asked, trials)
    return Afterwards(tuple(cautions), _following(study, folder, asked, trials))


def _thin(study: Study, asked: Knob, trials: list[Trial]) -> list[str]:
    """That arms have no finished trial, where pruning has ended them."""
    whole = [trial.config[asked.name] for trial in finished(trials) if asked.name in study.params_of(trial.config)]
    none = [value for value, begun in chances(study, trials, asked.name).items() if begun and value not in whole]
    if not none:
        return []
    named = ", ".join(str(value) for value in none)
    return [
        f"No trial of {asked.name} = {named} has finished, so {'it' if len(none) == 1 else 'they'} cannot be compared: "
        'more --trials, or a space with [search] scheduler = "none", in which every trial ends.'
    ]


def _following(study: Study, folder: Path, asked: Knob | None, trials: list[Trial]) -> str:
    here = quote(str(folder))
    by = f" --by {asked.name}" if asked is not None else ""
    if study.search.sampler == "grid":
        return f"rfcx-study compare {here}{by}" if study.search.replicates > 1 and not study.arms else ""
    if not any(trial.origin != "baseline" for trial in finished(trials)):
        return ""
    how = f"{by} --fill" if by else " --top 3"
    return f"rfcx-study confirm {here}{how} --replicates {REPLICATES}"
