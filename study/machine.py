"""What the command line asks of the machine and of the caller's words: cores, folders, `--set` values."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rfcx_model.errors import InputError
from study.space_settings import Resources

GPU_DEVICES: Final = ("nvidia*", "nvgpu*", "nvhost*", "kfd", "dxg")  # CUDA, Jetson, ROCm, Windows' own Linux
WORKING: Final = "working_dir_files"  # where Ray unpacks what `ray job submit --working-dir` sends
ROUNDING: Final = 1e-6  # 1 / 0.1 parts are ten


def uv_run() -> str:
    """What a command begins with that is to be called as this one was: by `uv run`, or in the environment itself."""
    return "uv run " if "UV_RUN_RECURSION_DEPTH" in os.environ else ""


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

    def fitting(self, cpus: float, gpus: float) -> int:
        """How many trials a node of so many CPUs and GPUs runs at once."""
        by_cpus = int(cpus / self.cpus + ROUNDING)
        return min(by_cpus, int(gpus / self.gpus + ROUNDING)) if self.gpus else by_cpus


def share_of(nodes: Sequence[tuple[float, float]], asked: Resources) -> Share:
    """What a trial gets of nodes with so many CPUs and GPUs each: as asked, else a core, or half of a GPU.

    Raises:
        InputError: more is asked for than any node has, or what Ray does not give.
    """
    most_cpus, most_gpus = (max((node[kind] for node in nodes), default=0.0) for kind in (0, 1))
    gpus = (0.5 if most_gpus else 0.0) if asked.gpus is None else asked.gpus
    there = "only {0:g} are there" if len(nodes) == 1 else "the largest node has {0:g}"
    if gpus > most_gpus:
        found = there.format(most_gpus) if most_gpus else "no GPU is there"
        raise InputError(f"[resources] gpus = {gpus:g}: {found}. Leave gpus out to use what the machine has.")
    if gpus > 1 and gpus % 1:
        raise InputError(f"[resources] gpus = {gpus:g}: a part of one GPU (0.5, 0.25, ...) or whole ones can be asked.")
    able = [
        (cpus, int(all_gpus / gpus + ROUNDING) if gpus else int(cpus)) for cpus, all_gpus in nodes if all_gpus >= gpus
    ]
    spare = min((int(cpus / slots) for cpus, slots in able if cpus >= 1 and slots), default=1)
    cpus = max(1.0, float(spare)) if asked.cpus is None else asked.cpus
    if cpus > most_cpus:
        found = there.format(most_cpus)
        raise InputError(f"[resources] cpus = {cpus:g}: {found}. Ask for fewer, or leave it out.")
    share = Share(cpus, gpus, 1)
    fitting = sum(share.fitting(*node) for node in nodes)
    if not fitting:
        raise InputError(
            f"[resources] cpus = {cpus:g}, gpus = {gpus:g}: no node has both. Ask for fewer, or leave them out."
        )
    return replace(share, concurrent=min(asked.concurrent or fitting, fitting))


def refuse_missing_gpu(space: Path, asked: Resources) -> None:
    """Find out in a moment that GPUs were asked for where this machine has none.

    Raises:
        InputError: with the space's name.
    """
    if asked.gpus and not (has_gpu_device() and _torch_finds_a_gpu()):
        raise InputError(
            f"{space}: [resources] gpus = {asked.gpus:g}, but this machine has no GPU that torch can use. "
            "Leave gpus out to use what the machine has, or give --address of a cluster that has one."
        )


def has_gpu_device() -> bool:
    """Whether a driver's device file stands there; true where there are no such files."""
    devices = Path("/dev")
    return sys.platform != "linux" or any(device for pattern in GPU_DEVICES for device in devices.glob(pattern))


def _torch_finds_a_gpu() -> bool:
    import torch  # takes seconds

    return torch.cuda.is_available()


def trains_on_all_cores(asked: Resources) -> bool:
    """Whether trials will keep at least every second core of this machine, and nothing but its cores.

    Raises:
        InputError: see `share_of`.
    """
    return not has_gpu_device() and 2 * share_of([(float(cores()), 0.0)], asked).concurrent >= cores()


def cache_folder(asked: Path | None) -> Path:
    """Where spectrograms are kept: as asked, else under XDG_CACHE_HOME or ~/.cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (asked or home / "rfcx-study").absolute()


def shared_path(folder: str) -> Path:
    """A folder's absolute path.

    Raises:
        InputError: it is a storage address, since all nodes must mount it; it would lie in a job's working folder; or
            in a file.
    """
    if "://" in folder:
        raise InputError(f"{folder}: a path that all nodes mount must be given, not a storage address. Mount it first.")
    if WORKING in Path.cwd().parts and not Path(folder).is_absolute():
        raise InputError(
            f"{folder}: a Ray job's working folder is thrown away. Give an absolute path that all nodes mount."
        )
    path = Path(folder).absolute()
    there = next(one for one in (path, *path.parents) if one.exists())
    if not there.is_dir():
        raise InputError(f"{folder}: a folder is needed, but {there} is a file. Give another path.")
    return path


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
