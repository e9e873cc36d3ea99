"""predict: a model folder and test recordings → submission.csv. What was heard is kept until all are, so it resumes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch

from rfcx_model import compute, predict, priors
from rfcx_model.errors import InputError, RunError
from rfcx_model.labels import Floats
from rfcx_model.to_predict import ToPredict, load_to_predict
from study.display import Display
from study.machine import cores
from study.model_folder import digest, fitted_priors, load_model_for, read_config
from study.validate import first_fault
from study.whole_folder import refuse_existing

NAMED: Final = 5
"""Recordings that cannot be heard and are named in the message; all are told as they are met."""


def write_submission(model_folder: Path, data: Path, to: Path, display: Display, *, with_priors: bool = False) -> Path:
    """Predict the test recordings and write them in the order of sample_submission.csv; whole or not at all.

    An interrupted call goes on where it was: what it had heard stands beside the target. `with_priors` ranks what is
    common higher, as was fitted out of fold.

    Raises:
        InputError: model or data are unsound, they speak of other species, or the target exists.
        RunError: recordings cannot be heard; their rows hold the mean of the others, and the target is written.
    """
    refuse_existing(to, "file")
    asked = load_to_predict(data)
    model = load_model_for(model_folder, asked.species, data)
    ranked = fitted_priors(model_folder) if with_priors else None
    to.parent.mkdir(parents=True, exist_ok=True)
    heard = Heard(to.with_name(f".{to.name}.heard"), read_config(model_folder).digest, len(model.species))
    keys = _keys(asked)
    faults = _hear(model, asked, keys, heard, display)
    rows = _rows(asked, keys, heard, faults)
    table = pd.DataFrame(rows if ranked is None else priors.apply(ranked, rows), asked.ids, _columns(model.species))
    descriptor, partial = tempfile.mkstemp(prefix=f".{to.name}.", dir=to.parent)
    os.close(descriptor)
    try:
        table.to_csv(partial, index_label="recording_id")
        if fault := first_fault(Path(partial), asked.sample):
            raise RunError(
                f"{to}: the competition would refuse it, so it is not written: {fault}. Mend {asked.sample}, and call "
                "again: what was heard is kept."
            )
        Path(partial).chmod(0o644)
        refuse_existing(to, "file")  # nobody has put one there meanwhile
        Path(partial).replace(to)
    finally:
        Path(partial).unlink(missing_ok=True)
    if faults:
        some = ", ".join(list(faults)[:NAMED]) + (", …" if len(faults) > NAMED else "")
        raise RunError(
            f"{len(faults)} of {len(rows)} recordings could not be heard ({some}); {to} has the mean of the others "
            "there. Mend them, remove it and call again: what was heard is kept."
        )
    heard.remove()
    return to


@dataclass
class Heard:
    """Scores of the recordings that one model has heard so far, by the SHA-256 of the file: a changed file is another.

    A line of JSON each, behind a line that names the model. A file of another model, or a line that was cut off, counts
    as not there.
    """

    path: Path
    model: str
    n_species: int
    rows: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if self.path.exists() else []
        head = {"model": self.model}
        if not lines or _parsed(lines[0]) != head:
            self.path.write_text(json.dumps(head) + "\n", encoding="utf-8")
            return
        for told in map(_parsed, lines[1:]):
            try:
                row = np.array(told["scores"], dtype=np.float32)
                if row.shape == (self.n_species,) and ((row >= 0) & (row <= 1)).all():
                    self.rows[told["sha256"]] = row
            except (KeyError, TypeError, ValueError, OverflowError):
                continue  # cut off, or not ours
        with self.path.open("ab") as file:  # a line that was cut off is ended, so that the next one stands alone
            file.write(b"\n")

    def add(self, recording: str, key: str, scores: Floats) -> None:
        """Keep one; float32 comes back bit for bit."""
        self.rows[key] = scores
        told = {"recording": recording, "sha256": key, "scores": [float(one) for one in scores]}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")

    def remove(self) -> None:
        """Done with it."""
        self.path.unlink(missing_ok=True)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _keys(asked: ToPredict) -> dict[str, str]:
    """What each recording is, by id; two that are the same sound are heard once."""
    keys = {}
    for name, file in asked.files.items():
        try:
            keys[name] = digest(file.path)
        except OSError:
            keys[name] = ""  # gone since it was listed; hearing it will say so
    return keys


def _hear(
    model: predict.Model, asked: ToPredict, keys: Mapping[str, str], heard: Heard, display: Display
) -> dict[str, str]:
    """Hear what has not been; returns why some cannot be, by id."""
    torch.set_num_threads(1)
    place = compute.best()
    workers = cores() if place.device.type == "cpu" else 1
    faults = dict(asked.faults)
    for fault in faults.values():
        display.say(fault)
    left = {name: file for name, file in asked.files.items() if keys[name] not in heard.rows}
    done = len(asked.ids) - len(left)
    with display.phase("recordings", len(asked.ids)):
        display.at(done)
        said = predict.scores(model, [file.path for file in left.values()], place, workers)
        for name, row in zip(left, said, strict=True):
            if isinstance(row, InputError):
                faults[name] = str(row)
                display.say(faults[name])
            else:
                heard.add(name, keys[name], row)
            done += 1
            display.at(done)
    return faults


def _columns(species: Iterable[int]) -> list[str]:
    return [f"s{one}" for one in species]


def _rows(asked: ToPredict, keys: Mapping[str, str], heard: Heard, faults: Mapping[str, str]) -> Floats:
    """(recording, species), the mean of the others where a recording could not be heard.

    Raises:
        RunError: none could be.
    """
    known = {name: heard.rows[keys[name]] for name in asked.files if name not in faults}
    if not known:
        raise RunError(f"no recording could be heard; the first: {next(iter(faults.values()))}")
    mean = np.mean(list(known.values()), axis=0)
    return np.array([known.get(name, mean) for name in asked.ids], dtype=np.float32)
