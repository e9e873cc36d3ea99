"""export: a study's best finished trial → a bundle, written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Hyperparameters, build, flatten, leaks
from study.bundle import CARD, CONFIG, Bundle, to_json
from study.candidates import finished as finished_of
from study.candidates import ranking
from study.confirmed import Confirmation, Standing, confirmation
from study.facts import finite, shown
from study.recording_intervals import DRAWS, Interval, of_figure, weights
from study.reweighted import FIGURES
from study.scored import out_of_fold, read_ruler
from study.study_json import read_study, recipe_of, stages_of
from study.tables import number, signed
from study.trials import Trial, read_trials


def export(study_folder: Path, bundle: Path, trial: int | None = None) -> Path:
    """Write the confirmed winner, else the best COMPLETE trial, or the one numbered `trial`; returns its folder.

    Raises:
        InputError: no such study, no finished trial, the asked trial is not finished or leaky, or the target exists.
    """
    study = read_study(study_folder)
    trials = read_trials(study_folder / "trials.jsonl")
    confirmed = confirmation(study_folder, trials)
    winner = confirmed.winner if confirmed is not None else None
    asked = winner.candidate.trial if trial is None and winner is not None else trial
    chosen = chosen_trial(study_folder, trials, asked)
    if os.path.lexists(bundle):
        raise InputError(f"{bundle}: exists already. Give a folder that does not exist yet, or remove it.")
    made = _bundle(study_folder, study, chosen)
    sure = Sure(*(_intervals(study_folder, one) for one in (chosen, _first(trials))))
    _write(bundle, {CONFIG: to_json(made), CARD: card(made, study, trials, Chosen(trial, confirmed), sure)})
    return bundle


def chosen_trial(study_folder: Path, trials: list[Trial], asked: int | None) -> Trial:
    """The asked trial, or the finished one of the search with the highest score; of equals, the first.

    Of settings that ran in several replicates the mean decides, and the first replicate's trial stands for its setting.

    Leaky trials are not exported: their scores say nothing of recordings that nobody has seen.

    Raises:
        InputError: there is none, or the asked one is not finished or leaky.
    """
    ledger = study_folder / "trials.jsonl"
    finished = finished_of(trials)
    if asked is None:
        if not finished:
            states = sorted({trial.state for trial in trials})
            got = f"{len(trials)} trials ({', '.join(states)})" if trials else "no trial"
            leaky = sum(leaks(trial.config) for trial in trials)
            got += f", of which {leaky} leaky (their teachers saw the held-out fold)" if leaky else ""
            raise InputError(
                f"{ledger}: a finished (COMPLETE) trial is needed, but got {got}. "
                "Carry on with `rfcx-study run`; pruned and leaky trials are never exported."
            )
        return ranking(finished)[0]
    found = next((trial for trial in trials if trial.number == asked), None)
    ready = ", ".join(str(trial.number) for trial in finished[:20]) or "none yet"
    if found is not None and leaks(found.config):
        raise InputError(
            f"{ledger}: trial {asked} must not be leaky, but got `stage3.teacher_scheme` = 'diary': its teachers saw "
            f"the fold that it was scored on. Export one with 'own' or 'nested' teachers. Finished: {ready}."
        )
    if found is not None and _finished(found):
        return found
    got = "there is none of this number" if found is None else f"it is {found.state}, score {number(found.score)}"
    raise InputError(f"{ledger}: trial {asked} must be COMPLETE with a score, but {got}. Finished: {ready}.")


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


def _intervals(folder: Path, trial: Trial | None) -> dict[str, Interval]:
    """Of the metrics of a trial, where its out-of-fold scores are on file."""
    said = out_of_fold(folder, trial) if trial is not None else None
    try:
        ruler = read_ruler(folder)
    except InputError:
        return {}
    if said is None or len(said.folds) != len(ruler.ids) or len(said.box_scores) != len(ruler.listed.recording):
        return {}
    drawn = weights(ruler.listed, said, ruler.groups)
    try:
        return {name: of_figure(name, ruler.listed, said, drawn) for name in FIGURES}
    except ValueError:  # a score is NaN
        return {}


def _first(trials: list[Trial]) -> Trial | None:
    return next((trial for trial in finished_of(trials) if trial.origin == "baseline"), None)


def card(made: Bundle, study: Mapping[str, Any], trials: list[Trial], chosen: Chosen, sure: Sure = Sure()) -> str:
    """card.md: how the configuration was chosen, what it changes, how it scored, and the commands to a submission."""
    finished = finished_of(trials)
    first = _first(trials)
    replicates = {trial.replicate for trial in finished if trial.config == flatten(made.hyperparameters)}
    lines = [
        f"# {_text(made.study)}, trial {made.trial}",
        "",
        f"- Question: {_text(study.get('question'))}",
        f"- Chosen: {chosen.how(len(replicates))}, out of {len(finished)} finished trials of "
        f"{sum(trial.origin != 'confirm' for trial in trials)}.",
        f"- Confirmed: {_confirmed(chosen.standing(made.trial), chosen.confirmed)}",
        "",
        "## What differs from the baseline",
        "",
        *_difference(made.hyperparameters, first),
        "",
        "## Scores, out of fold",
        "",
        "| metric | this trial | 95 % | baseline | 95 % |",
        "| --- | ---: | ---: | ---: | ---: |",
        f"| score | {number(made.score)} |  | {number(finite(first.score) if first else None)} |  |",
        *(
            f"| {_text(n)} | {number(v)} | {_span(sure.mine, n)} | {_beside(first, n)} | {_span(sure.first, n)} |"
            for n, v in made.metrics.items()
            if n != "score"
        ),
        "",
        f"Intervals: {_covered(sure)}",
        "",
        f"Difference of the score: {signed(made.score - first.score if first and first.score is not None else None)}.",
        "",
        "## Where it comes from",
        "",
        f"- Data fingerprint: {_text(made.data_fingerprint)}",
        f"- Folds: {_text(made.folds)}, hash {_text(made.folds_hash)}",
        f"- Seed: {made.seed}, replicate {made.replicate}",
        f"- Pretrained weights: {_pretrained(made)}",
        f"- Signature of the study: {_text(made.signature)}",
        f"- Commit: {_text(made.commit)}",
        f"- Versions: {', '.join(f'{_text(k)} {_text(v)}' for k, v in made.versions.items()) or 'not known'}",
        "",
        "## From here to a submission",
        "",
        "```",
        "rfcx-study train BUNDLE --data DATA --to MODEL",
        "rfcx-study predict MODEL --data DATA --to submission.csv",
        "```",
        "",
    ]
    return "\n".join(lines)


def _confirmed(standing: Standing | None, told: Confirmation | None) -> str:
    if standing is None or told is None:
        return "no. The score comes from the search itself and is optimistic as the best of several."
    declared = len(told.declared.replicates)
    if standing.score.n < declared or declared == 1:
        return f"no. {standing.score.n} of {declared} declared replicates have run; it takes two or more, and all."
    fall = f"; {signed(-standing.fall)} against the search" if standing.fall is not None else ""
    lockbox = f", {number(standing.lockbox.mean)} on the lockbox" if standing.lockbox.n else ""
    return (
        f"yes, on {declared} fresh replicates: score {number(standing.score.mean)} ± {number(standing.score.half)} "
        f"(95 % t-interval over partitions and seeds){lockbox}{fall}."
    )


def _pretrained(made: Bundle) -> str:
    told = [f"{_text(name)}, SHA-256 {_text(digest)}" for name, digest in made.pretrained.items()]
    asked = made.hyperparameters.network.source
    return "; ".join(told) or (f"{_text(asked)}, hash not on record" if asked else "none, trained from scratch")


def _finished(trial: Trial) -> bool:
    return trial.state == "COMPLETE" and finite(trial.score) is not None


def _bundle(study_folder: Path, study: Mapping[str, Any], trial: Trial) -> Bundle:
    score, folds = finite(trial.score), (study.get("search") or {}).get("folds")
    assert score is not None
    return Bundle(
        hyperparameters=recipe_of(trial.config, f"{study_folder / 'trials.jsonl'}, trial {trial.number}"),
        folds=folds,
        seed=trial.seed,
        replicate=trial.replicate,
        data_fingerprint=(study.get("data") or {}).get("fingerprint"),
        folds_hash=_folds_hash(study, trial.replicate),
        study=str(study.get("name") or study_folder.name),
        trial=trial.number,
        signature=study.get("signature"),
        score=score,
        metrics={name: finite(value) for name, value in trial.metrics.items()},
        versions={name: str(value) for name, value in (study.get("versions") or {}).items()},
        commit=study.get("commit"),
        store=str(stages_of(study_folder, study)) if study.get("store") else None,
        threads=int(study.get("threads") or 1),
        pretrained=_weights(study, recipe_of(trial.config, str(study_folder))),
    )


def _weights(study: Mapping[str, Any], hyperparameters: Hyperparameters) -> dict[str, str]:
    """Of the trial's own network."""
    name = hyperparameters.network.source
    known = study.get("pretrained") or {}
    return {name: str(known[name])} if name in known else {}


def _folds_hash(study: Mapping[str, Any], replicate: int) -> str | None:
    """Of the trial's own partition."""
    hashes = study.get("folds_hashes") or [study.get("folds_hash")]
    return hashes[replicate] if replicate < len(hashes) else None


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


def _write(bundle: Path, files: Mapping[str, str]) -> None:
    """All files or none: made beside the target, then renamed."""
    bundle.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=f".{bundle.name}.", dir=bundle.parent))
    try:
        half.chmod(0o755)
        for name, text in files.items():
            (half / name).write_text(text, encoding="utf-8")
        half.rename(bundle)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
