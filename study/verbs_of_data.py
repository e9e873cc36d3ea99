"""The verbs that make and look at data. Modules are imported inside the verbs, so that --help is quick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from study.options import Cache, Json, space_of


def synthesize(
    folder: Annotated[Path, typer.Argument(help="The folder to make; its truth goes to FOLDER-truth.")],
    recordings: Annotated[int, typer.Option(help="Training recordings.", min=1)] = 200,
    test_recordings: Annotated[int, typer.Option(help="Test recordings.", min=1)] = 100,
    duration_s: Annotated[float, typer.Option(help="Length of a recording.")] = 60.0,
    sample_rate_hz: Annotated[int, typer.Option(help="Sample rate.")] = 32_000,
    species: Annotated[int, typer.Option(help="Species, at most 24.")] = 24,
    difficulty: Annotated[float, typer.Option(help="0 easy .. 1 hard.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
) -> None:
    """Make a forest with a known truth, in the competition's layout.

    Example: rfcx-study synthesize forest --recordings 100 --duration-s 30
    """
    from rfcx_model.forest import Forest
    from rfcx_model.synthetic import write
    from study.display import Display
    from study.machine import cores

    forest = Forest(
        train_recordings=recordings,
        test_recordings=test_recordings,
        duration_s=duration_s,
        sample_rate_hz=sample_rate_hz,
        species=species,
        difficulty=difficulty,
        seed=seed,
    )
    display = Display()
    with display.phase("forest", 2 * recordings + test_recordings, "steps"):
        write(forest, folder, workers=cores(), progress=display.at)
    typer.echo(f"{folder} (truth: {folder}-truth)")


def check(
    data: Annotated[Path, typer.Argument(help="A folder in the competition's layout.")],
    folds: Annotated[int, typer.Option(help="Folds that a study would ask for.", min=2)] = 5,
    as_json: Json = False,
) -> None:
    """Is this folder sound? Every fault is named, with file and row.

    Example: rfcx-study check rfcx-species-audio-detection
    """
    from rfcx_model.errors import InputError, printable
    from rfcx_model.recordings import assign_folds, faults, load, warnings_of

    found = faults(data)
    if not found:
        try:
            assign_folds(load(data), folds, seed=0)
        except InputError as error:
            found = [str(error)]
    notes = [] if found else warnings_of(load(data), folds)
    if as_json:
        typer.echo(json.dumps({"sound": not found, "faults": found, "warnings": notes}, indent=1))
    else:
        for fault in found:
            typer.echo(printable(fault), err=True)
        for note in notes:
            typer.echo(printable(f"note: {note}"))
        if not found:
            typer.echo(f"{data} is sound")
    raise typer.Exit(2 if found else 0)


def prepare_(
    data: Annotated[Path, typer.Argument(help="A folder in the competition's layout.")],
    space: Annotated[Path | None, typer.Option(help="Prepare for this space's front end.")] = None,
    cache: Cache = None,
) -> None:
    """Decode all training recordings and cache their spectrograms, on all cores; resumes.

    Example: rfcx-study prepare DATA --space search_spaces/mixup.toml
    """
    from rfcx_model.hyperparameters import Frontend
    from rfcx_model.recordings import load
    from study.display import Display
    from study.machine import cache_folder
    from study.prepared import spectrograms

    frontend = Frontend()
    if space is not None:
        study = space_of(space, None)
        frontend = study.hyperparameters(study.baseline).frontend
    made = spectrograms(load(data), frontend, cache_folder(cache), Display())
    typer.echo(str(made.folder))
