"""One row a trained config and replicate on one forest: what its CV says, and what the hidden truth says.

Notations
    test_lwlrap     LWLRAP of the fold models together on the forest's test recordings, by the species that really sound
    chance          the same of random scores
    seconds         of one processor core since the row before: training and scoring, and at first making the forest
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from configs import FOLDS, REPLICATES, configs, hyperparameters
from forests import Size, made

from rfcx_model import network, predict
from rfcx_model.baseline import chance
from rfcx_model.corpus import Sounds
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.metrics import lwlrap
from rfcx_model.recordings import Recordings, load
from study.recipe import trial_request
from study.setting import Alone, Setting, trial_seed, workshop
from study.stages import Workshop, obtain
from study.store import Stored
from study.truth import Truth, read_truths


@dataclass(frozen=True)
class Job:
    """One forest: all that a process needs to know."""

    forest: int
    size: Size
    changed: Mapping[str, Any]  # knobs, for all configs
    n_configs: int
    folder: Path
    results: Path
    any_code: bool = False  # whether rows of another version of the model package count


@dataclass(frozen=True)
class Row:
    """One config and replicate; the metrics are the ledger's, out of fold after the last epoch."""

    forest: int
    config: int
    replicate: int
    student: str  # the name of its last stage: data, folds, seed and knobs are in it
    code: str  # of the model package that trained it
    lwlrap: float
    precision: float
    precision_avg: float
    tpfp_auc: float
    recall: float
    diary_lwlrap: float
    diary_precision: float
    test_lwlrap: float
    chance: float
    seconds: float


METRICS = ("lwlrap", "precision", "precision_avg", "tpfp_auc", "recall", "diary_lwlrap", "diary_precision")


@dataclass(frozen=True, eq=False)
class Bench:
    """A forest loaded once for all its configs."""

    setting: Setting
    recordings: Recordings
    truth: Truth

    def workshop(self, h: Hyperparameters, replicate: int) -> Workshop:
        """Where the configs of a replicate are trained; what they share is trained once."""
        return workshop(self.setting, h, trial_seed(0, replicate), lease=Alone(), tick=lambda _models: None)

    @cached_property
    def chance(self) -> float:
        """LWLRAP of random scores on the test recordings."""
        return chance(self.truth.test, np.random.default_rng(0))

    @cached_property
    def heard(self) -> Sounds:
        """The test recordings; all configs hear them alike."""
        h = hyperparameters({}, self._changed)
        place = self.workshop(h, 0).compute
        return joined([predict.hear(path, h, place) for path in self.truth.paths])

    def said(self, h: Hyperparameters, place: Workshop, weights: Sequence[Mapping[str, torch.Tensor]]) -> np.ndarray:
        """(test recording, species) what models say of the test recordings, their mean."""
        sounds, n_species = self.heard, len(self.recordings.species)
        frames = sounds.offsets.diff().numpy()
        windows = predict.ruler_grid(frames, np.arange(len(frames)), h.ruler, h.frontend.frames_per_s)
        scores = []
        for one in weights:
            net = network.restored(h.network, n_species, one, place.compute)
            framewise = predict.framewise(net, sounds, windows, place.compute)
            scores.append(predict.recording_scores(framewise, windows, len(frames)))
        return np.asarray(np.mean(scores, axis=0))

    _changed: dict[str, Any]


def measure(job: Job) -> list[Row]:
    """All rows of a forest, in sequence; what the results file holds already is taken from there.

    Ends early where the process that asked is gone, so that nobody works on unseen beside a second call.
    """
    begun, asker = time.process_time(), os.getppid()
    bench = open_bench(job)
    known = {key(row, any_code=job.any_code): row for row in read(job.results)}
    rows = []
    tasks = list(product(range(job.n_configs), range(REPLICATES)))
    for done, (number, replicate) in enumerate(tasks, start=1):
        if os.getppid() != asker:
            break
        h = hyperparameters(configs()[number], dict(job.changed))
        place = bench.workshop(h, replicate)
        request = trial_request(h, range(FOLDS), trial_seed(0, replicate))
        student, code = request.name(h, place.partition), place.store.maker["code"]
        row = known.get((student, "" if job.any_code else code))
        if row is None:
            stored = obtain(place, h, request)
            metrics = stored.history()[-1].metrics
            row = Row(
                forest=job.forest,
                config=number,
                replicate=replicate,
                student=student,
                code=code,
                **{name: metrics[name] for name in METRICS},
                test_lwlrap=test_lwlrap(bench, h, place, stored),
                chance=bench.chance,
                seconds=round(time.process_time() - begun, 1),
            )
            begun = time.process_time()
            append(job.results, asdict(row))
            print(f"forest {job.forest}: {done} of {len(tasks)}, {row.seconds:.0f} s", file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def open_bench(job: Job) -> Bench:
    data = made(job.forest, job.size, job.folder)
    recordings = load(data)
    setting = Setting(recordings, FOLDS, job.folder / "cache", job.folder / f"stages{job.forest}", threads=1)
    return Bench(setting, recordings, read_truths(data.with_name(f"{data.name}-truth"), recordings), dict(job.changed))


def test_lwlrap(bench: Bench, h: Hyperparameters, place: Workshop, stored: Stored) -> float:
    """LWLRAP of the submission that the fold models would make together, against the truth."""
    said = bench.said(h, place, [stored.state.weights(fold) for fold in range(FOLDS)])
    return lwlrap(bench.truth.test, said[:, bench.truth.species])


def joined(sounds: Sequence[Sounds]) -> Sounds:
    """Recordings that were heard one by one, end to end."""
    return Sounds(
        cells=torch.cat([one.cells for one in sounds]),
        offsets=torch.cat(
            [torch.zeros(1, dtype=torch.int64), torch.tensor([len(one.cells) for one in sounds]).cumsum(0)]
        ),
        scale=torch.cat([one.scale for one in sounds]),
        shift=torch.cat([one.shift for one in sounds]),
        step_db=sounds[0].step_db,
    )


def key(row: Row, *, any_code: bool) -> tuple[str, str]:
    """What tells a row from all others."""
    return row.student, "" if any_code else row.code


def append(path: Path, facts: Mapping[str, Any]) -> None:
    """One line of JSON in one write, on the disk before it returns; NaN becomes null."""
    plain = {name: None if value != value else value for name, value in facts.items()}
    with path.open("ab", buffering=0) as file:
        file.write((json.dumps(plain, allow_nan=False) + "\n").encode())
        os.fsync(file.fileno())


def mend(path: Path) -> None:
    """Cut off a last line that a killed process left unfinished."""
    if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
        path.write_bytes(content[: content.rfind(b"\n") + 1])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        whole, _, _unfinished = path.read_text(encoding="utf-8").rpartition("\n")
        for line in whole.splitlines():
            yield {name: float("nan") if value is None else value for name, value in json.loads(line).items()}


def read(path: Path) -> list[Row]:
    """The rows of a results file; of rows of one student and code the last."""
    names = [field.name for field in fields(Row)]
    rows = [Row(**{name: line[name] for name in names}) for line in _lines(path)]
    return list({(row.student, row.code): row for row in rows}.values())
