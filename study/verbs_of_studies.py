"""The verbs of a study, from its plan to its answer. Modules are imported inside the verbs, so that --help is quick."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from study.options import Cache, Data, Json, Resources, Settings, space_of


def knobs(
    part: Annotated[str | None, typer.Argument(help="Only those with this in their names, such as mixup.")] = None,
    as_json: Json = False,
) -> None:
    """Every knob that a space file may fix or search: its name, default and limits, and what it does.

    Example: rfcx-study knobs stage3
    """
    from dataclasses import asdict

    from study.knob_list import as_text, listed

    found = listed(part)
    typer.echo(json.dumps([asdict(one) for one in found], indent=1) if as_json else as_text(found))


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
    from study.cautions import cautions, fetched
    from study.machine import cache_folder
    from study.plan import plan as forecast

    study = space_of(space, settings)
    for warned in (*fetched(study), *cautions(study, trials)):
        typer.echo(warned, err=True)
    told = forecast(study, data, cache_folder(cache), trials, lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps(told.as_dict(), indent=1) if as_json else str(told))


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
    from study.machine import cache_folder, refuse_missing_gpu, shared_path, uv_run

    out_folder, store_folder = shared_path(out), shared_path(store) if store else None
    refuse_unreachable(address)  # before what takes long to import
    study = space_of(space, settings)
    if address is None:
        refuse_missing_gpu(space, study.resources)
    ray_environment.settle(address)
    from study.cautions import cautions
    from study.display import Display
    from study.launch import run as launch
    from study.order import Order

    order = Order(
        data=data.absolute(),
        out=out_folder,
        cache=cache_folder(cache),
        store=store_folder,
        address=address,
        trials=trials,
        hours=hours,
    )
    for warned in cautions(study, trials):
        typer.echo(warned, err=True)
    folder = launch(study, order, Display())
    from study.afterwards import afterwards  # imported by then, see `study.meanwhile`
    from study.report import REPORT

    told = afterwards(study, folder)
    for warned in told.cautions:
        typer.echo(warned, err=True)
    typer.echo(f"study   {folder}\nreport  {folder / REPORT}")
    typer.echo(f"look    {uv_run()}tensorboard --logdir {quote(str(folder / 'trials'))}")
    if told.following:
        typer.echo(f"next    {told.following}")
    if study.arms:
        arms(folder)


def report(study: Annotated[Path, typer.Argument(help="A study's folder.")]) -> None:
    """Write report.html (one file, opens offline) and report.md.

    Example: rfcx-study report studies/mixup-1a2b3c4d
    """
    from study.report import write

    for path in write(study):
        typer.echo(str(path))


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
    settings: Resources = None,
) -> None:
    """Run the best settings and the baseline again, on fresh partitions and seeds; resumes.

    Example: rfcx-study confirm studies/mixup-1a2b3c4d --by stage3.mixup_site --fill --replicates 10
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

    again(study, asked, order, wanted, Display())
    from study.afterwards import afterwards  # imported by then, see `study.meanwhile`
    from study.report import REPORT

    typer.echo(f"report  {(study / REPORT).absolute()}")
    if following := afterwards(asked, study).following:
        typer.echo(f"next    {following}")


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
