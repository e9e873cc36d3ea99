"""predict: a model folder and test recordings → submission.csv. What was heard is kept until all are, so it resumes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from rfcx_model import compute, predict, priors
from rfcx_model.errors import InputError, RunError
from rfcx_model.labels import Floats
from rfcx_model.recordings import Recordings, load
from study.bundle import CONFIG
from study.display import Display
from study.machine import cores
from study.model_folder import fitted_priors, load_model

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
    if os.path.lexists(to):
        raise InputError(f"{to}: exists already. Give a file that does not exist yet, or remove it.")
    model, recordings = load_model(model_folder), load(data)
    ranked = fitted_priors(model_folder) if with_priors else None
    if model.species != recordings.species:
        raise InputError(
            f"{model_folder}: it knows the species {list(model.species)}, but {data} asks for "
            f"{list(recordings.species)}. Predict with a model that was trained on data with these species."
        )
    to.parent.mkdir(parents=True, exist_ok=True)
    asked = {"model": sha256((model_folder / CONFIG).read_bytes()).hexdigest(), "data": recordings.fingerprint}
    heard = Heard(to.with_name(f".{to.name}.heard"), asked, len(model.species))
    faults = _hear(model, recordings, heard, display)
    rows = _rows(recordings.test["recording_id"], heard, faults)
    table = predict.table_of(model.species, recordings.test["recording_id"], rows)
    if ranked is not None:
        table[table.columns[1:]] = priors.apply(ranked, rows)
    partial = to.with_name(f".{to.name}")
    try:
        table.to_csv(partial, index=False)
        partial.replace(to)
    finally:
        partial.unlink(missing_ok=True)
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
    """Scores of the recordings that were heard so far, a line of JSON each, behind a line that says what was asked.

    A file that answers another question, or a line that was cut off, counts as not there.
    """

    path: Path
    asked: dict[str, str]
    n_species: int
    rows: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if self.path.exists() else []
        if not lines or _parsed(lines[0]) != self.asked:
            self.path.write_text(json.dumps(self.asked) + "\n", encoding="utf-8")
            return
        for line in lines[1:]:
            told = _parsed(line)
            if isinstance(told, dict) and len(told.get("scores", ())) == self.n_species:
                self.rows[str(told["recording"])] = np.array(told["scores"], dtype=np.float32)
        with self.path.open("ab") as file:  # a line that was cut off is ended, so that the next one stands alone
            file.write(b"\n")

    def add(self, recording: str, scores: Floats) -> None:
        """Keep one; float32 comes back bit for bit."""
        self.rows[recording] = scores
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"recording": recording, "scores": [float(one) for one in scores]}) + "\n")

    def remove(self) -> None:
        """Done with it."""
        self.path.unlink(missing_ok=True)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _hear(model: predict.Model, recordings: Recordings, heard: Heard, display: Display) -> dict[str, InputError]:
    """Hear what has not been; returns what cannot be."""
    torch.set_num_threads(1)
    place = compute.best()
    workers = cores() if place.device.type == "cpu" else 1
    test = recordings.test[~recordings.test["recording_id"].isin(list(heard.rows))]
    faults: dict[str, InputError] = {}
    with display.phase("recordings", len(recordings.test)):
        display.at(len(recordings.test) - len(test))
        said = predict.scores(model, map(Path, test["path"]), place, workers)
        for recording, row in zip(test["recording_id"], said, strict=True):
            if isinstance(row, InputError):
                faults[recording] = row
                display.say(str(row))
            else:
                heard.add(recording, row)
            display.at(len(heard.rows) + len(faults))
    return faults


def _rows(recordings: Iterable[str], heard: Heard, faults: dict[str, InputError]) -> Floats:
    """(recording, species), the mean of the others where a recording could not be heard.

    Raises:
        RunError: none could be.
    """
    if not heard.rows:
        raise RunError(f"no recording could be heard; the first: {next(iter(faults.values()))}")
    mean = np.mean(list(heard.rows.values()), axis=0)
    return np.array([heard.rows.get(one, mean) for one in recordings], dtype=np.float32)
