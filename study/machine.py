"""What the command line asks of the machine and of the caller's words: cores, folders, `--set` values."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rfcx_model.errors import InputError


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
