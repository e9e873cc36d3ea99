"""The verbs from a study to a judged submission. Modules are imported inside the verbs, so that --help is quick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from study.options import Cache, Data, Json


def demo(out: Annotated[Path, typer.Option("--out", help="A new folder for everything.")] = Path("demo")) -> None:
    """A made-up forest, a small search, TensorBoard, report, export, final model, submission: in minutes.

    Example: rfcx-study demo --out demo
    """
    from study import ray_environment

    ray_environment.settle(None)
    from study.demo import demo as play

    play(out)


def export_(
    study: Annotated[Path, typer.Argument(help="A study's folder.")],
    to: Annotated[Path, typer.Option("--to", help="The bundle to write.")],
    trial: Annotated[int | None, typer.Option(help="Instead of the confirmed winner or the best trial.")] = None,
) -> None:
    """Write the confirmed winner's config, else the best complete trial's, as a bundle.

    Example: rfcx-study export studies/mixup-1a2b3c4d --to bundle
    """
    from study.export import export

    typer.echo(str(export(study, to, trial)))
    typer.echo(f"how it was chosen and what comes next: {to / 'card.md'}", err=True)


def train(
    bundle: Annotated[Path, typer.Argument(help="A bundle from `export`.")],
    data: Data,
    to: Annotated[Path, typer.Option("--to", help="The model folder to write.")],
    store: Annotated[str | None, typer.Option(help="A stage store (default: the study's, where it is there).")] = None,
    whole: Annotated[
        int,
        typer.Option(help="So many models instead that each learn from all recordings; nothing measures them.", min=0),
    ] = 0,
    board: Annotated[Path | None, typer.Option(help="TensorBoard's folder (default: MODEL-tensorboard).")] = None,
    cache: Cache = None,
) -> None:
    """Final training from an exported config; what the search has trained already is taken from the store.

    It trains one model a fold, as the search did, or with --whole N models of all recordings.

    Example: rfcx-study train bundle --data DATA --to model
    """
    from study import ray_environment

    ray_environment.settle(None)
    from study.display import Display
    from study.final import Places
    from study.final import train as finish
    from study.machine import cache_folder, shared_path

    places = Places(store=shared_path(store) if store else None, cache=cache_folder(cache), board=board)
    typer.echo(str(finish(bundle, data, to, places, Display(), whole)))


def predict(
    model: Annotated[Path, typer.Argument(help="A model folder from `train`.")],
    to: Annotated[Path, typer.Option("--to", help="The submission to write; with --recordings a folder.")],
    data: Annotated[Path | None, typer.Option("--data", help="A folder in the competition's layout.")] = None,
    recordings: Annotated[
        Path | None, typer.Option(help="A sound file or a folder of such, of any length and rate, instead of --data.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="With --recordings: a call reaches it.", min=0.0, max=1.0)] = 0.5,
    piece_s: Annotated[float, typer.Option(help="With --recordings: heard in pieces so long.", min=5)] = 60.0,
    priors: Annotated[bool, typer.Option("--priors", help="Rank common species higher, as was fitted.")] = False,
) -> None:
    """Predict the test recordings: submission.csv in the order of sample_submission.csv. Or detect calls in the field.

    With --recordings the folder --to gets a Raven selection table and an Audacity label track a recording, and
    detections.csv with all calls.

    Example: rfcx-study predict model --data DATA --to submission.csv
    """
    from rfcx_model.errors import InputError
    from study.display import Display

    if (data is None) == (recordings is None):
        raise InputError("predict: one of --data DATA and --recordings FOLDER must be given. For a submission, --data.")
    if recordings is not None:
        if priors:
            raise InputError("predict: --priors ranks species within a recording, so it is for --data. Leave it out.")
        from study.field import Detector, detect

        typer.echo(str(detect(model, recordings, to, Detector(threshold, piece_s), Display())))
        return
    from study.submission import write_submission

    assert data is not None
    typer.echo(str(write_submission(model, data, to, Display(), with_priors=priors)))


def reproduce(
    study: Annotated[Path, typer.Argument(help="A study's folder.")],
    trial: Annotated[int, typer.Argument(help="A trial's number.")],
    data: Annotated[Path | None, typer.Option("--data", help="The study's data, where they have moved.")] = None,
    store: Annotated[
        Path | None, typer.Option(help="Keep what is trained here, so that an interrupted call goes on.")
    ] = None,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Train one trial again, outside Ray and with an empty store, and print the gap to the ledger.

    Exit code 1 where there is a gap and nothing is known that explains it.

    Example: rfcx-study reproduce studies/mixup-1a2b3c4d 7
    """
    from study.display import Display
    from study.reproduce import reproduce as again

    told = again(study, trial, Display(), data=data, cache=cache, store=store)
    typer.echo(json.dumps(told.as_dict(), indent=1) if as_json else str(told))
    if not told.explained:
        raise typer.Exit(1)


def score(
    submission: Annotated[Path, typer.Argument(help="A submission.")],
    truth: Annotated[
        Path, typer.Argument(help="A table of the true species of each recording, such as DIR-truth/test_truth.csv.")
    ],
    data: Annotated[Path | None, typer.Option("--data", help="Also score baselines trained on this folder.")] = None,
    beside: Annotated[
        list[Path] | None, typer.Option(help="Another submission to hold the first against; repeatable.")
    ] = None,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """LWLRAP of a submission against a known truth, with its bootstrap interval, beside chance and baselines.

    Example: rfcx-study score submission.csv forest-truth/test_truth.csv --data forest
    """
    from study.judge import judge
    from study.machine import cache_folder

    told = judge(submission, truth, data, cache_folder(cache), beside or ())
    typer.echo(json.dumps(told.as_dict(), indent=1) if as_json else str(told))
