"""What the nodes of a cluster have, asked of every node by a task of a moment before anything is trained.

All nodes must see the study's folders under the same paths and run the same Ray and Python. Other code or libraries are
said: a stage's result is used only where what made it is the same, else it is trained again.
"""

from __future__ import annotations

import os
import platform
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import rfcx_model
import study
from rfcx_model.errors import InputError, RunError, last_line
from study.machine import Share, share_of
from study.space_settings import Resources

ANSWER_S: Final = 60.0  # a worker's start; assumption
LOOK_S: Final = 5.0
NEW_NODE_S: Final = 600.0  # in which a lost node is replaced, where something replaces nodes; assumption
TABLE: Final = "train_tp.csv"
SAME: Final = ("ray", "python", "RAY_AUTH_MODE")
LIBRARIES: Final = ("torch", "timm", "numpy", "scipy", "librosa")


@dataclass(frozen=True)
class Folder:
    """A folder, or a file, that all nodes must see: what names it for the user, and whether nodes write in it."""

    option: str
    path: Path
    written: bool = True


@dataclass(frozen=True)
class Node:
    """What a node has beside CPUs and GPUs."""

    name: str
    has: Mapping[str, str]
    faults: Sequence[str] = ()


def here() -> str:
    """The id of the node on which this process runs."""
    return str(ray.get_runtime_context().get_node_id())


def on_node(node: str) -> NodeAffinitySchedulingStrategy:
    """There and nowhere else."""
    return NodeAffinitySchedulingStrategy(node, soft=False)


def alive() -> list[dict[str, Any]]:
    """The living nodes, as Ray tells them."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def room() -> list[tuple[float, float]]:
    """CPUs and GPUs of each living node."""
    found = [node["Resources"] for node in alive()]
    return [(float(has.get("CPU", 0)), float(has.get("GPU", 0))) for has in found]


def refuse_unlike(folders: Sequence[Folder], say: Callable[[str], None]) -> None:
    """Ask every node for its versions and whether it sees the folders.

    Raises:
        InputError: a node does not answer, does not see a folder or cannot write in it, or runs another Ray or Python.
    """
    with marked(folders) as marks:
        asked = {
            _survey.options(scheduling_strategy=on_node(node["NodeID"])).remote(tuple(folders), marks): _name(node)
            for node in alive()
        }
        answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_S)
        nodes = [_answer(one, asked[one]) for one in answered]
    if silent:
        raise InputError(f"node {asked[silent[0]]} has not answered for {ANSWER_S:g} s. Mend it or take it away.")
    mine = versions()
    found = [fault for node in nodes for fault in node.faults]
    found += [f"{fault}: it must be the same everywhere." for node in nodes for fault in unlike(mine, node, SAME)]
    if found:
        more = f" So on {len(found) - 1} more." if len(found) > 1 else ""
        raise InputError(found[0] + more)
    for node in nodes:
        for text in unlike(mine, node, tuple(name for name in mine if name not in SAME)):
            say(f"{text}; where the model or its libraries differ, what one has trained is trained again by the other")


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def _answer(asked: Any, name: str) -> Node:
    try:
        has, found = ray.get(asked)
    except ray.exceptions.RayError as error:
        raise InputError(
            f"node {name} cannot run this study's code ({last_line(error)}). Install the same rfcx-study on every "
            "node, or send it along with `ray job submit --working-dir`."
        ) from error
    return Node(name, has, tuple(fault.format(node=name) for fault in found))


def unlike(mine: Mapping[str, str], node: Node, names: Sequence[str]) -> Iterator[str]:
    """Where a node has other versions than this process."""
    other = [name for name in names if node.has[name] != mine[name]]
    if other:
        theirs, ours = (", ".join(f"{name} {has[name]}" for name in other) for has in (node.has, mine))
        yield f"node {node.name} has {theirs}, this process {ours}"


@contextmanager
def marked(folders: Sequence[Folder]) -> Iterator[dict[str, str]]:
    """What each folder can be known by: a new file where the study writes, else a digest of what is read there."""
    mark = f".seen-by-all-{uuid.uuid4().hex}"
    made = []
    try:
        marks = {}
        for folder in folders:
            if folder.written:
                folder.path.mkdir(parents=True, exist_ok=True)
                (folder.path / mark).write_text(mark, encoding="utf-8")
                made.append(folder.path / mark)
            marks[folder.option] = mark if folder.written else _digest(folder.path)
        yield marks
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def faults(folders: Sequence[Folder], marks: Mapping[str, str]) -> Iterator[str]:
    """What the node of this process lacks of the folders; `{node}` stands for its name."""
    for folder in folders:
        mark, where = marks[folder.option], f"{folder.option} {folder.path}: node {{node}}"
        try:
            if folder.written:
                (folder.path / mark).read_text(encoding="utf-8")
            elif _digest(folder.path) != mark:
                yield f"{where} has other data there. Give a path that all nodes mount."
        except OSError as error:
            yield f"{where} does not see it ({error.strerror}). Give a path that all nodes mount."
            continue
        if folder.written:
            try:
                own = folder.path / f"{mark}-{uuid.uuid4().hex}"
                own.touch()
                own.unlink()
            except OSError as error:
                yield f"{where} cannot write there ({error.strerror}). Mount it writable on all nodes."


def versions() -> dict[str, str]:
    """What this process runs."""
    libraries = {library: version(library) for library in LIBRARIES}
    must_agree = (ray.__version__, platform.python_version(), os.environ.get("RAY_AUTH_MODE", "disabled"))
    return dict(zip(SAME, must_agree, strict=True)) | {"code": code()} | libraries


@cache
def code() -> str:
    """A digest of this package's modules."""
    content = blake2b(digest_size=4)
    for package in (study, rfcx_model):
        for path in sorted(Path(package.__path__[0]).glob("*.py")):
            content.update(path.read_bytes())
    return content.hexdigest()


def _digest(path: Path) -> str:
    """Of a file, or of a data folder's table of calls."""
    content = (path / TABLE if path.is_dir() else path).read_bytes()
    return blake2b(content, digest_size=16).hexdigest()


@ray.remote(num_cpus=0, max_retries=0)
def _survey(folders: Sequence[Folder], marks: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    return versions(), list(faults(folders, marks))


class Patience:
    """Waits for a node that can run a trial where the last such node is lost, but not for ever."""

    def __init__(self, slots: Share, say: Callable[[str], None]) -> None:
        self._slots = slots
        self._say = say
        self._looked = time.monotonic()
        self._lost: float | None = None

    def look(self) -> None:
        """Look at the nodes now and then.

        Raises:
            RunError: none has had room for a trial for so long.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        if any(self._slots.fitting(cpus, gpus) for cpus, gpus in room()):
            self._lost = None
            return
        need = f"{self._slots.cpus:g} CPUs and {self._slots.gpus:g} GPUs"
        if self._lost is None:
            self._lost = now
            self._say(f"no node is left that has {need} for a trial; waiting {NEW_NODE_S:g} s for one")
        if now - self._lost > NEW_NODE_S:
            raise RunError(
                f"no node has had {need} for a trial for {NEW_NODE_S:g} s. Call it again once the cluster has one; "
                "it goes on from the last finished epoch."
            )


def share(asked: Resources) -> Share:
    """What each trial gets of the cluster that Ray is connected to; see `machine.share_of`."""
    return share_of(room(), asked)
