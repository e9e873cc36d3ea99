"""Options of the command line that several verbs have, and how a space is read with `--set`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Data = Annotated[Path, typer.Option("--data", help="A folder in the competition's layout.")]
Cache = Annotated[
    Path | None, typer.Option("--cache", help="Where spectrograms are kept (default: ~/.cache/rfcx-study).")
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON on stdout.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="KNOB=VALUE for [fixed], or resources.gpus=0.5; repeatable."),
]

Resources = Annotated[
    list[str] | None,
    typer.Option("--set", help="resources.cpus, resources.gpus or resources.concurrent, with =VALUE; repeatable."),
]


def space_of(path: Path, settings: list[str] | None) -> Any:
    """The Study of a space file, with what `--set` says.

    Raises:
        InputError: see `study.space.load`.
    """
    from study.machine import parse_settings
    from study.space import load

    return load(path, parse_settings(settings or []))
