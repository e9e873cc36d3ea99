"""A bundle's card.md: how its setting was chosen, what it changes, what it is worth, and the way to a submission."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rfcx_model.hyperparameters import Hyperparameters, build, flatten
from study.bundle import Bundle
from study.confirmed import Confirmation, Standing
from study.facts import finite, shown
from study.floor import Floor
from study.machine import uv_run
from study.ranked import finished as finished_of
from study.recording_intervals import DRAWS, Interval
from study.tables import number, signed
from study.trials import Trial

NOT_OUT_OF_FOLD: Final = ("score", "train_loss", "seconds")
"""Metrics of an epoch that are no figures of the ruler; the score has a row of its own."""


@dataclass(frozen=True)
class Chosen:
    """How a trial came to be exported: by its number, by a confirmation, or by the search alone."""

    number: int | None
    confirmed: Confirmation | None

    def standing(self, trial: int) -> Standing | None:
        """What a confirmation says of the trial's setting."""
        return (
            next((s for s in self.confirmed.standings if s.candidate.trial == trial), None) if self.confirmed else None
        )

    def how(self, replicates: int) -> str:
        """In words."""
        if self.number is not None:
            return "asked for by number"
        if self.confirmed is not None and self.confirmed.winner is not None:
            return "the highest mean score of those that were confirmed"
        return f"the highest mean score over {replicates} replicates" if replicates > 1 else "the highest score"


@dataclass(frozen=True)
class Sure:
    """Intervals over recordings of the trial's metrics and of the baseline's, by name; empty where none can be told."""

    mine: Mapping[str, Interval] = field(default_factory=dict)
    first: Mapping[str, Interval] = field(default_factory=dict)


def baseline_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial of the baseline, where it has finished."""
    return next((trial for trial in finished_of(trials) if trial.origin == "baseline"), None)


@dataclass(frozen=True)
class Origin:
    """What a bundle was chosen from, and how."""

    study: Mapping[str, Any]
    trials: Sequence[Trial]
    chosen: Chosen
    sure: Sure = Sure()
    floor: Floor | None = None  # under the trial's own scores


@dataclass(frozen=True)
class Road:
    """Where the bundle stands and where the study's data are, as far as that is known."""

    bundle: Path
    data: Path | None

    def __str__(self) -> str:
        """The commands from here to a submission."""
        bundle = str(self.bundle.absolute())
        data = "DATA" if self.data is None else shlex.quote(str(self.data))
        here, model, to = map(shlex.quote, (bundle, f"{bundle}-model", f"{bundle}-submission.csv"))
        train = f"{uv_run()}rfcx-study train {here} --data {data} --to {model}"
        return f"{train}\n{uv_run()}rfcx-study predict {model} --data {data} --to {to}"


def card(made: Bundle, origin: Origin, road: Road) -> str:
    """card.md: how the configuration was chosen, what it changes, how it scored, and the commands to a submission."""
    first = baseline_of(origin.trials)
    sections = [
        (f"# {_text(made.study)}, trial {made.trial}", _choice(made, origin)),
        ("## What differs from the baseline", _difference(made.hyperparameters, first)),
        ("## Scores, out of fold", [*_scores(made, first, origin.sure), *_learned(origin.floor)]),
        ("## Where it comes from", _source(made)),
        ("## From here to a submission", ["```", str(road), "```"]),
    ]
    return "\n".join(line for head, lines in sections for line in (head, "", *lines, ""))


def _choice(made: Bundle, origin: Origin) -> list[str]:
    finished, chosen = finished_of(origin.trials), origin.chosen
    replicates = {trial.replicate for trial in finished if trial.config == flatten(made.hyperparameters)}
    searched = sum(trial.origin != "confirm" for trial in origin.trials)
    return [
        f"- Question: {_text(origin.study.get('question'))}",
        f"- Chosen: {chosen.how(len(replicates))}, out of {len(finished)} finished trials of {searched}.",
        f"- Confirmed: {_confirmed(chosen.standing(made.trial), chosen.confirmed)}",
    ]


def _scores(made: Bundle, first: Trial | None, sure: Sure) -> list[str]:
    return [
        "| metric | this trial | 95 % | baseline | 95 % |",
        "| --- | ---: | ---: | ---: | ---: |",
        f"| score | {number(made.score)} |  | {number(finite(first.score) if first else None)} |  |",
        *(
            f"| {_text(n)} | {number(v)} | {_span(sure.mine, n)} | {_beside(first, n)} | {_span(sure.first, n)} |"
            for n, v in made.metrics.items()
            if n not in NOT_OUT_OF_FOLD
        ),
        "",
        f"Intervals: {_covered(sure)}",
        "",
        f"Difference of the score: {signed(made.score - first.score if first and first.score is not None else None)}.",
    ]


def _learned(floor: Floor | None) -> list[str]:
    return [] if floor is None else ["", floor.sentence("This trial")]


def _source(made: Bundle) -> list[str]:
    return [
        f"- Data fingerprint: {_text(made.data_fingerprint)}",
        f"- Folds: {_text(made.folds)}, hash {_text(made.folds_hash)}",
        f"- Seed: {made.seed}, replicate {made.replicate}",
        f"- Pretrained weights: {_pretrained(made)}",
        f"- Signature of the study: {_text(made.signature)}",
        f"- Commit: {_text(made.commit)}",
        f"- Versions: {', '.join(f'{_text(k)} {_text(v)}' for k, v in made.versions.items()) or 'not known'}",
    ]


def _confirmed(standing: Standing | None, told: Confirmation | None) -> str:
    if standing is None or told is None:
        return "no. The score comes from the search itself and is optimistic as the best of several."
    declared = len(told.declared.replicates)
    if standing.score.n < declared or declared == 1:
        return f"no. {standing.score.n} of {declared} declared replicates have run; it takes two or more, and all."
    lockbox = f", {number(standing.lockbox.mean)} on the lockbox" if standing.lockbox.n else ""
    first = next((one for one in told.standings if one.candidate.baseline and one != standing), None)
    beside = f"; the baseline {number(first.score.mean)}" if first is not None else ""
    return (
        f"run again on {declared} fresh replicates: score {number(standing.score.mean)} ± "
        f"{number(standing.score.half)} (95 % t-interval over partitions and seeds){lockbox}{beside}. Whether that is "
        "better than the baseline `compare` says."
    )


def _pretrained(made: Bundle) -> str:
    told = [f"{_text(name)}, SHA-256 {_text(digest)}" for name, digest in made.pretrained.items()]
    asked = made.hyperparameters.network.source
    return "; ".join(told) or (f"{_text(asked)}, hash not on record" if asked else "none, trained from scratch")


def _difference(chosen: Hyperparameters, first: Trial | None) -> list[str]:
    defaults = first is None
    reference = flatten(Hyperparameters()) if first is None else flatten(build(dict(first.config)))
    changed = [(name, value) for name, value in flatten(chosen).items() if reference[name] != value]
    against = "default" if defaults else "baseline"
    alone = "The baseline has no finished trial to compare with; compared with the program's defaults."
    note = [alone, ""] if defaults else []
    if not changed:
        return [*note, "Nothing."]
    head = ["| knob | this trial | " + against + " |", "| --- | --- | --- |"]
    return [*note, *head, *(f"| {n} | {_text(shown(v))} | {_text(shown(reference[n]))} |" for n, v in changed)]


def _span(intervals: Mapping[str, Interval], name: str) -> str:
    return intervals[name].span if name in intervals else ""


def _covered(sure: Sure) -> str:
    if not sure.mine:
        return "none, the trial's out-of-fold scores are not on file."
    return (
        f"the middle 95 % of {DRAWS} draws of the recordings, whole sites where the data name them. They cover neither "
        "another partition nor another training."
    )


def _beside(first: Trial | None, name: str) -> str:
    return number(finite(first.metrics.get(name)) if first else None)


def _text(value: object) -> str:
    if value is None or value == "":
        return "not known"
    return " ".join(str(value).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").split())
