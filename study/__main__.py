"""The command line: one function a verb, no logic. Modules are imported inside the verbs, so that --help is quick."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="rfcx-study",
    help="Which training choices really help a detector of animal sounds?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

INTERRUPTED = 130
UNWRITABLE = (errno.ENOTDIR, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EROFS)
FULL = (errno.ENOSPC, errno.EDQUOT)

Data = Annotated[Path, typer.Option("--data", help="A folder in the competition's layout.")]
Cache = Annotated[
    Path | None, typer.Option("--cache", help="Where spectrograms are kept (default: ~/.cache/rfcx-study).")
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON on stdout.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="KNOB=VALUE for [fixed], or resources.gpus=0.5; repeatable."),
]


@app.command()
def demo(out: Annotated[Path, typer.Option("--out", help="A new folder for everything.")] = Path("demo")) -> None:
    """A made-up forest, a small search, TensorBoard, report, export, final model, submission: in minutes.

    Example: rfcx-study demo --out demo
    """
    from study import ray_environment

    ray_environment.settle(None)
    from study.demo import demo as play

    play(out)


@app.command()
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
    with display.phase("forest", recordings + test_recordings):
        write(forest, folder, workers=cores(), progress=display.at)
    typer.echo(f"{folder} (truth: {folder}-truth)")


@app.command()
def check(
    data: Annotated[Path, typer.Argument(help="A folder in the competition's layout.")],
    folds: Annotated[int, typer.Option(help="Folds that a study would ask for.", min=2)] = 5,
    as_json: Json = False,
) -> None:
    """Is this folder sound? Every fault is named, with file and row.

    Example: rfcx-study check rfcx-species-audio-detection
    """
    from rfcx_model.errors import InputError
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
            typer.echo(fault, err=True)
        for note in notes:
            typer.echo(f"note: {note}")
        if not found:
            typer.echo(f"{data} is sound")
    raise typer.Exit(2 if found else 0)


@app.command("prepare")
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
    from study.setting import spectrograms
    from study.space import load as load_space

    frontend = Frontend()
    if space is not None:
        study = load_space(space)
        frontend = study.hyperparameters(study.baseline).frontend
    made = spectrograms(load(data), frontend, cache_folder(cache), Display())
    typer.echo(str(made.folder))


@app.command()
def plan(
    space: Annotated[Path, typer.Argument(help="A space file.")],
    data: Data,
    trials: Annotated[int | None, typer.Option(help="Instead of the space's own budget.", min=1)] = None,
    settings: Settings = None,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """What a study would cost, before it is run.

    Example: rfcx-study plan search_spaces/mixup.toml --data DATA
    """
    from study.machine import cache_folder
    from study.plan import plan as forecast
    from study.sampler import caution

    study = _space(space, settings)
    told = forecast(study, data, cache_folder(cache), trials)
    if warned := caution(study):
        typer.echo(warned, err=True)
    typer.echo(json.dumps(told.as_dict(), indent=1) if as_json else str(told))


@app.command()
def run(
    space: Annotated[Path, typer.Argument(help="A space file.")],
    data: Data,
    out: Annotated[str, typer.Option(help="Where studies are kept.")] = "studies",
    store: Annotated[str | None, typer.Option(help="A stage store that several studies share.")] = None,
    cache: Cache = None,
    address: Annotated[str | None, typer.Option(help="A running Ray cluster.")] = None,
    trials: Annotated[int | None, typer.Option(help="Instead of the space's own budget.", min=1)] = None,
    hours: Annotated[float | None, typer.Option(help="Stop after so many hours.", min=0.001)] = None,
    settings: Settings = None,
) -> None:
    """Run a study, or carry it on after any end.

    Example: rfcx-study run search_spaces/mixup.toml --data DATA --trials 12
    """
    from study import ray_environment
    from study.address import refuse_unreachable
    from study.machine import cache_folder, refuse_missing_gpu, shared_path

    out_folder, store_folder = shared_path(out), shared_path(store) if store else None
    refuse_unreachable(address)  # before what takes long to import
    study = _space(space, settings)
    if address is None:
        refuse_missing_gpu(space, study.resources)
    ray_environment.settle(address)
    from study.display import Display
    from study.launch import run as launch
    from study.report import write
    from study.study_folder import Order

    order = Order(
        data=data.absolute(),
        out=out_folder,
        cache=cache_folder(cache),
        store=store_folder,
        address=address,
        trials=trials,
        hours=hours,
    )
    folder = launch(study, order, Display())
    page, _ = write(folder)
    typer.echo(f"study   {folder}\nreport  {page}\nlook    uv run tensorboard --logdir '{folder / 'trials'}'")
    if study.arms:
        arms(folder)


@app.command()
def report(study: Annotated[Path, typer.Argument(help="A study's folder.")]) -> None:
    """Write report.html (one file, opens offline) and report.md.

    Example: rfcx-study report studies/mixup-1a2b3c4d
    """
    from study.report import write

    for path in write(study):
        typer.echo(str(path))


@app.command()
def truth(
    study: Annotated[Path, typer.Argument(help="A study's folder.")],
    truth: Annotated[
        Path, typer.Argument(help="A folder with test_truth.csv and, where known, train_truth.csv, such as DIR-truth.")
    ],
    data: Data,
) -> None:
    """Judge every finished trial by a known truth that no trial has seen: truth.csv in the study's folder.

    Example: rfcx-study truth studies/diary-1a2b3c4d forest-truth --data forest
    """
    from study.display import Display
    from study.truth import judge_trials

    typer.echo(str(judge_trials(study, truth, data, Display())))


@app.command()
def arms(
    study: Annotated[Path, typer.Argument(help="A study's folder.")],
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print tables that a README takes.")] = False,
) -> None:
    """The table of a study that lists its arms: each over its replicates, what was published, and the differences.

    Example: rfcx-study arms studies/diary-1a2b3c4d
    """
    from study import arms_tables
    from study.arms import compare

    told = compare(study)
    if as_json:
        typer.echo(json.dumps(told.as_dict(), indent=1))
    elif as_markdown:
        typer.echo(arms_tables.as_markdown(told))
    else:
        arms_tables.show(told, arms_tables.console())


@app.command()
def confirm(
    study: Annotated[Path, typer.Argument(help="A study's folder.")],
    replicates: Annotated[int, typer.Option(help="How often each setting runs again: declared, never lowered.", min=1)],
    top: Annotated[int | None, typer.Option(help="The best so many settings.", min=1)] = None,
    by: Annotated[str | None, typer.Option(help="The best setting of each value of this knob.")] = None,
    fill: Annotated[bool, typer.Option("--fill", help="First give each value as many trials as the others.")] = False,
    data: Annotated[Path | None, typer.Option("--data", help="The study's data, where they have moved.")] = None,
    cache: Cache = None,
    address: Annotated[str | None, typer.Option(help="A running Ray cluster.")] = None,
    hours: Annotated[float | None, typer.Option(help="Stop after so many hours.", min=0.001)] = None,
    settings: Settings = None,
) -> None:
    """Run the best settings and the baseline again, on fresh partitions and seeds; resumes.

    Example: rfcx-study confirm studies/mixup-1a2b3c4d --by stage3.mixup_site --replicates 10
    """
    from study import ray_environment
    from study.address import refuse_unreachable
    from study.candidates import Wanted
    from study.machine import refuse_missing_gpu
    from study.restored import order_of, restored

    wanted = Wanted(replicates, top, by, fill)
    refuse_unreachable(address)
    asked = restored(study, settings or [])
    if address is None:
        refuse_missing_gpu(study / "study.json", asked.resources)
    order = order_of(study, data, cache, address, hours)
    ray_environment.settle(address)
    from study.confirm import confirm as again
    from study.display import Display
    from study.report import write

    again(study, asked, order, wanted, Display())
    page, _ = write(study)
    typer.echo(f"report  {page}")


@app.command("compare")
def compare_(
    study: Annotated[Path, typer.Argument(help="A study's folder, confirmed or a grid with replicates.")],
    by: Annotated[
        str | None, typer.Option("--by", help="The knob that is asked about (default: all against the baseline).")
    ] = None,
    margin: Annotated[float, typer.Option(help="A difference that nobody minds.", min=0.0)] = 0.005,
    figure: Annotated[str, typer.Option(help="score, lwlrap, precision, precision_avg, tpfp_auc or recall.")] = "score",
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print tables that a README takes.")] = False,
) -> None:
    """The paired answer, from replicated trials only: better, practically equal, or not known yet.

    Looking before all declared replicates are there makes the last look stricter; looks.jsonl keeps count.

    Example: rfcx-study compare studies/mixup-1a2b3c4d --by stage3.mixup_site
    """
    from study import compared_tables
    from study.arms_tables import console
    from study.compared import Question, compared

    told = compared(study, Question(by, figure, margin))
    if as_json:
        typer.echo(json.dumps(told.as_dict(), indent=1))
    elif as_markdown:
        typer.echo(compared_tables.as_markdown(told))
    else:
        compared_tables.show(told, console())


@app.command("export")
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


@app.command()
def train(
    bundle: Annotated[Path, typer.Argument(help="A bundle from `export`.")],
    data: Data,
    to: Annotated[Path, typer.Option("--to", help="The model folder to write.")],
    store: Annotated[str | None, typer.Option(help="A stage store (default: the study's, where it is there).")] = None,
    cache: Cache = None,
) -> None:
    """Final training from an exported config; what the search has trained already is taken from the store.

    Example: rfcx-study train bundle --data DATA --to model
    """
    from study import ray_environment

    ray_environment.settle(None)
    from study.display import Display
    from study.final import Places
    from study.final import train as finish
    from study.machine import cache_folder, shared_path

    places = Places(store=shared_path(store) if store else None, cache=cache_folder(cache))
    typer.echo(str(finish(bundle, data, to, places, Display())))


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model folder from `train`.")],
    data: Data,
    to: Annotated[Path, typer.Option("--to", help="The submission to write.")],
) -> None:
    """Predict the test recordings: submission.csv in the order of sample_submission.csv.

    Example: rfcx-study predict model --data DATA --to submission.csv
    """
    from study.display import Display
    from study.final import write_submission

    typer.echo(str(write_submission(model, data, to, Display())))


@app.command()
def score(
    submission: Annotated[Path, typer.Argument(help="A submission.")],
    truth: Annotated[
        Path, typer.Argument(help="A table of the true species of each recording, such as DIR-truth/test_truth.csv.")
    ],
    data: Annotated[Path | None, typer.Option("--data", help="Also score baselines trained on this folder.")] = None,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """LWLRAP of a submission against a known truth, with its bootstrap interval, beside chance and baselines.

    Example: rfcx-study score submission.csv forest-truth/test_truth.csv --data forest
    """
    from study.judge import judge
    from study.machine import cache_folder

    told = judge(submission, truth, data, cache_folder(cache))
    typer.echo(json.dumps(told.as_dict(), indent=1) if as_json else str(told))


def _space(path: Path, settings: list[str] | None) -> Any:
    from study.machine import parse_settings
    from study.space import load

    return load(path, parse_settings(settings or []))


def main() -> None:
    """Run a verb; 0 done, 2 refused before work began, 1 failed after it began, 130 interrupted."""
    try:
        code = app(standalone_mode=False) or 0  # typer answers `Exit` and Ctrl-C with a number
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        code = _refusal(error)
    if code == INTERRUPTED:
        typer.echo(
            "interrupted; `run`, `confirm`, `train` and `prepare` carry on where they were when called again", err=True
        )
    sys.exit(code)


def _refusal(error: Exception) -> int:
    """Print a user's mistake or a failed run in a line or two; anything else is a defect and keeps its traceback."""
    from rfcx_model.errors import InputError, RunError
    from study.trials import LedgerError

    if isinstance(error, InputError | LedgerError):
        typer.echo(f"rfcx-study: {error}", err=True)
        return 2
    show = getattr(error, "show", None)
    if show is not None:  # a wrong call, as typer words it
        show()
        return 2
    if isinstance(error, RunError):
        typer.echo(f"rfcx-study: {error}", err=True)
        return 1
    if isinstance(error, OSError) and error.errno in {*UNWRITABLE, *FULL}:
        typer.echo(
            f"rfcx-study: {error.filename or 'the disk'}: {error.strerror}. Make room or give another path.", err=True
        )
        return 1 if error.errno in FULL else 2
    raise error


if __name__ == "__main__":
    main()
