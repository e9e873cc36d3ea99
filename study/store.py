"""The store of stage results: safetensors and JSON, written whole or not at all.

`<store>/<name>/` holds `meta.json` and the one `epoch-<n>.safetensors` that it names. A new epoch's file is written
beside the old one, then `meta.json` is replaced in one step, then the old file goes: at any moment of a crash
one whole epoch stands. A damaged result, or one made by other code, versions or device, is said and made again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file
from safetensors.torch import load

import rfcx_model
from rfcx_model.compute import Compute
from rfcx_model.learner import State
from rfcx_model.train import Epoch

log = logging.getLogger(__name__)
CODE = (
    "augment",
    "batches",
    "compute",
    "corpus",
    "labels",
    "learner",
    "losses",
    "metrics",
    "mixup",
    "narrow",
    "network",
    "predict",
    "spectrogram",
    "train",
)
LEFT_OVER_S = 3600.0
LIBRARIES = ("torch", "timm", "numpy", "scipy", "librosa")


@dataclass(frozen=True, eq=False)
class Stored:
    """A stage as it was last saved."""

    state: State
    outputs: Mapping[str, np.ndarray]

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return int(self.state.facts["epoch"])

    def history(self) -> list[Epoch]:
        """Every epoch so far, oldest first; the last one with its outputs, all with the last state."""
        stage, cycle = int(self.state.facts["stage"][-1]), int(self.state.facts["cycle"])
        return [
            Epoch(
                stage=stage,
                cycle=cycle,
                epoch=facts["epoch"],
                train_loss=_number(facts["train_loss"]),
                metrics={name: _number(value) for name, value in facts["metrics"].items()},
                state=self.state,
                outputs=self.outputs if facts["epoch"] == self.epoch else {},
            )
            for facts in self.state.facts["history"]
        ]


@dataclass(frozen=True)
class Store:
    """A folder of stage results, and what made them here."""

    folder: Path
    maker: Mapping[str, Any]
    say: Callable[[str], None] = log.warning  # what a person should know of a result that is not used

    def epochs_done(self, name: str) -> int:
        """Epochs of a result that may be used, by its metadata alone; 0 where there is none."""
        try:
            meta = json.loads((self.folder / name / "meta.json").read_text(encoding="utf-8"))
            usable = meta["maker"] == dict(self.maker) and (self.folder / name / meta["file"]).exists()
            return int(meta["facts"]["epoch"]) if usable else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def history(self, name: str) -> list[dict[str, Any]]:
        """`epoch`, `train_loss` and `metrics` of each epoch of a result that may be used, by its metadata alone."""
        try:
            meta = json.loads((self.folder / name / "meta.json").read_text(encoding="utf-8"))
            return list(meta["facts"]["history"]) if meta["maker"] == dict(self.maker) else []
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def load(self, name: str) -> Stored | None:
        """The last saved epoch, or None where there is none that may be used."""
        meta_path = self.folder / name / "meta.json"
        try:
            meta = json.loads(meta_path.read_text(encoding="utf-8"))
            maker, file, digest, facts = dict(meta["maker"]), str(meta["file"]), meta["blake2b"], meta["facts"]
            if Path(file).name != file:
                raise ValueError("it lies elsewhere")
            if not {"stage", "cycle", "epoch", "history"} <= facts.keys():
                raise ValueError("a fact is missing")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.say(f"{name}: its meta.json is damaged; the stage is trained again")
            self.forget(name)
            return None
        different = sorted(key for key in {*maker, *self.maker} if maker.get(key) != self.maker.get(key))
        if different:
            self.say(f"{name}: made with other {', '.join(different)}; the stage is trained again")
            return None
        path = self.folder / name / file
        try:
            content = path.read_bytes()  # not a memory map: who cuts the file short would kill this process
            if blake2b(content, digest_size=16).hexdigest() != digest:
                raise OSError("its content has changed since it was written")
            tensors = load(content)
        except (OSError, SafetensorError) as error:
            if self._passed(name, digest):
                return self.load(name)
            self.say(f"{name}: {file} cannot be used ({error}); the stage is trained again")
            self.forget(name)
            return None
        outputs = {n.removeprefix("outputs."): t.numpy() for n, t in tensors.items() if n.startswith("outputs.")}
        return Stored(State({n: t for n, t in tensors.items() if not n.startswith("outputs.")}, facts), outputs)

    def _passed(self, name: str, digest: str) -> bool:
        """Whether another has replaced the epoch of this digest while it was read here."""
        try:
            return bool(json.loads((self.folder / name / "meta.json").read_text(encoding="utf-8"))["blake2b"] != digest)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def save(self, name: str, state: State, outputs: Mapping[str, np.ndarray]) -> None:
        """Replace what stands under the name by this epoch; one that is further stays, as another has written it.

        Raises:
            OSError: the disk is full or gone.
        """
        if self.epochs_done(name) > state.facts["epoch"]:
            return
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        file = f"epoch-{state.facts['epoch']:04d}.safetensors"
        arrays = {key: value.numpy() for key, value in state.tensors.items()}  # as tensors they take longer to write
        arrays |= {f"outputs.{key}": value for key, value in outputs.items()}
        partial = folder / f".{file}.{os.getpid()}"
        _write(arrays, partial)
        _sync(partial)
        meta = {"maker": dict(self.maker), "file": file, "blake2b": _digest(partial), "facts": _nulled(state.facts)}
        partial.replace(folder / file)
        partial_meta = folder / f".meta.{os.getpid()}"
        partial_meta.write_text(json.dumps(meta, allow_nan=False), encoding="utf-8")
        _sync(partial_meta)
        partial_meta.replace(folder / "meta.json")
        for old in folder.glob("epoch-*.safetensors"):
            if old.name < file:  # a later one is another's, who is about to name it
                old.unlink(missing_ok=True)
        for left in folder.glob(".*"):  # of a writer that was killed; a living one is done in less
            with contextlib.suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > LEFT_OVER_S:
                    left.unlink()

    def forget(self, name: str) -> None:
        """Remove a result."""
        shutil.rmtree(self.folder / name, ignore_errors=True)


def _write(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """As safetensors, whose own error of a full disk is one of the system's again."""
    try:
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, path)
    except SafetensorError as error:
        told = re.search(r"os error (\d+)", str(error))
        if told is None:
            raise
        raise OSError(int(told[1]), os.strerror(int(told[1])), str(path)) from error


def open_store(folder: Path, compute: Compute | str, say: Callable[[str], None] = log.warning) -> Store:
    """The store in a folder, for results made by this code on this device."""
    folder.mkdir(parents=True, exist_ok=True)
    return Store(folder, _maker() | {"device": str(compute)}, say)


def maker_of(folder: Path, name: str) -> dict[str, str]:
    """What made the result of this name in a store's folder; empty where it is not there or does not say."""
    try:
        told = json.loads((folder / name / "meta.json").read_text(encoding="utf-8"))["maker"]
        return {str(key): str(value) for key, value in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


@cache
def _maker() -> dict[str, str]:
    """What a result depends on beside its name: code, versions, processor."""
    libraries = {library: version(library) for library in LIBRARIES}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"code": code_digest(), "python": python, "machine": platform.machine(), **libraries}


def code_digest() -> str:
    """Of all modules that what is trained depends on, in hex."""
    code = blake2b(digest_size=16)
    for module in CODE:
        code.update((Path(rfcx_model.__path__[0]) / f"{module}.py").read_bytes())
    return code.hexdigest()


def _digest(path: Path) -> str:
    content = blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            content.update(chunk)
    return content.hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _number(value: float | None) -> float:
    """The inverse of `_nulled`."""
    return float("nan") if value is None else value


def _nulled(value: Any) -> Any:
    """JSON has no NaN: null stands for it."""
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _nulled(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_nulled(member) for member in value]
    return value
