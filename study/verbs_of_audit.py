"""The verbs of an audit: what a person is to judge, and what follows. Modules are imported inside the verbs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from study.options import Data, Json


def audit(
    model: Annotated[Path, typer.Argument(help="A model folder from `train`.")],
    data: Data,
    to: Annotated[Path, typer.Option("--to", help="The audit's folder to write.")],
    windows: Annotated[int, typer.Option(help="How many windows a person is to judge, over all species.", min=1)],
    species: Annotated[
        list[int] | None, typer.Option(help="A species to audit; repeatable (default: all, evenly).")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Above which a window counts as heard.", min=0.0, max=1.0)] = 0.5,
    seed: Annotated[int, typer.Option(help="Of the draw.", min=0)] = 0,
) -> None:
    """Draw windows of the test recordings at random by score, for a person to judge in Audacity.

    Example: rfcx-study audit model --data DATA --windows 200 --to audit
    """
    from study.audit import Asked
    from study.audit import audit as draw
    from study.display import Display

    asked = Asked(windows, tuple(species or ()), threshold, seed)
    typer.echo(str(draw(model, data, to, asked, Display())))


def audited(
    audit: Annotated[Path, typer.Argument(help="A folder from `audit`, its label tracks filled in.")],
    threshold: Annotated[
        float | None, typer.Option(help="Instead of that of the draw.", min=0.0, max=1.0, show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Precision and recall of each species from what a person has judged, with intervals.

    Example: rfcx-study audited audit
    """
    from study.audited import audited as read

    told = read(audit, threshold)
    typer.echo(json.dumps(told.as_dict(), indent=1) if as_json else str(told))
