"""What the command line asks of the machine and of the caller's words: cores, folders, `--set` values."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfcx_model.errors import InputError
from study.space_settings import Resources


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Share:
    """What one trial takes, and how many run at once."""

    cpus: float
    gpus: float
    concurrent: int

    @property
    def threads(self) -> int:
        """Threads that a trial computes with."""
        return max(1, int(self.cpus))


def share_of(all_cpus: float, all_gpus: float, asked: Resources) -> Share:
    """What a trial gets: as asked for, else a core of a machine without GPU, or half of a GPU.

    Raises:
        InputError: more is asked for than there is.
    """
    gpus = (0.5 if all_gpus else 0.0) if asked.gpus is None else asked.gpus
    if gpus > all_gpus:
        there = f"only {all_gpus:g} are there" if all_gpus else "no GPU is there"
        raise InputError(f"[resources] gpus = {gpus:g}: {there}. Leave gpus out to use what the machine has.")
    slots = max(1, int(all_gpus / gpus)) if gpus else max(1, int(all_cpus))
    cpus = max(1.0, float(int(all_cpus / slots))) if asked.cpus is None else asked.cpus
    if cpus > all_cpus:
        raise InputError(f"[resources] cpus = {cpus:g}: only {all_cpus:g} are there. Ask for fewer, or leave it out.")
    fitting = max(1, min(int(all_cpus / cpus), int(all_gpus / gpus) if gpus else int(all_cpus / cpus)))
    return Share(cpus, gpus, min(asked.concurrent or fitting, fitting))


def cache_folder(asked: Path | None) -> Path:
    """Where spectrograms are kept: as asked, else under XDG_CACHE_HOME or ~/.cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (asked or home / "rfcx-study").absolute()


def shared_path(folder: str) -> Path:
    """A folder's absolute path.

    Raises:
        InputError: it is a storage address; all nodes must mount the study's folder.
    """
    if "://" in folder:
        raise InputError(f"{folder}: a path that all nodes mount must be given, not a storage address. Mount it first.")
    return Path(folder).absolute()


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`network.backbone=resnet18` → a knob and its value, read as TOML where that is possible, else as a string.

    Raises:
        InputError: there is no `=`.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: KNOB=VALUE must be given, such as --set stage1.epochs=20.")
        try:
            values[name.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[name.strip()] = text
    return values
