"""export: a study's best finished trial → a bundle, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Hyperparameters, leaks
from study.bundle import CARD, CONFIG, Bundle, to_json
from study.bundle_card import Chosen, Origin, Road, Sure, baseline_of, card
from study.confirmed import confirmation
from study.facts import finite
from study.floor import of_trial
from study.ranked import finished as finished_of
from study.ranked import ranking
from study.recording_intervals import Interval, of_figure, weights
from study.reweighted import FIGURES
from study.scored import out_of_fold, read_ruler
from study.study_json import read_study, recipe_of, stages_of
from study.tables import number
from study.trials import Trial, read_trials
from study.whole_folder import refuse_existing, whole_folder


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
    refuse_existing(bundle)
    made = _bundle(study_folder, study, chosen)
    sure = Sure(*(_intervals(study_folder, one) for one in (chosen, baseline_of(trials))))
    origin = Origin(study, trials, Chosen(trial, confirmed), sure, of_trial(study_folder, chosen, trials))
    told = card(made, origin, Road(bundle, _data(study)))
    with whole_folder(bundle) as folder:
        (folder / CONFIG).write_text(to_json(made), encoding="utf-8")
        (folder / CARD).write_text(told, encoding="utf-8")
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


def _data(study: Mapping[str, Any]) -> Path | None:
    """Where a study's data were when it ran."""
    path = str((study.get("data") or {}).get("path") or "")
    return Path(path) if path and path.isprintable() else None


def _weights(study: Mapping[str, Any], hyperparameters: Hyperparameters) -> dict[str, str]:
    """Of the trial's own network."""
    name = hyperparameters.network.source
    known = study.get("pretrained") or {}
    return {name: str(known[name])} if name in known else {}


def _folds_hash(study: Mapping[str, Any], replicate: int) -> str | None:
    """Of the trial's own partition."""
    hashes = study.get("folds_hashes") or [study.get("folds_hash")]
    return hashes[replicate] if replicate < len(hashes) else None
