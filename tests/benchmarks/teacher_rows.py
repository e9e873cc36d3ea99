"""What each teacher scheme gives its students on one made-up forest, and what that costs, round after round.

Notations
    cell        a training window × a species; unknown where no listed box labels it
    present     a cell that an audible call labels by the rule of `rfcx_model.labels`; known from the forest's truth
    given       unknown cells of a student's training folds that its teachers call present
    purity      of the given cells those that are present, all students' together
    recall      of the unknown cells of the training folds that are present those that are given, counted alike
    prevalence  of the unknown cells of the training folds those that are present: the purity of labels dealt by chance
    seconds     of one processor core in training and its measuring, of all stages that the scheme needs up to the round
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rfcx_model import network, predict, train
from rfcx_model.corpus import Sounds
from rfcx_model.field_recording import AUDIBLE_DB
from rfcx_model.hyperparameters import Hyperparameters, build
from rfcx_model.labels import Boxes, window_labels
from rfcx_model.metrics import lwlrap
from rfcx_model.recordings import Recordings, load
from study.recipe import Request, cost, earlier, trial_request
from study.setting import Alone, Setting, trial_seed, workshop
from study.stages import Workshop, gather, lessons, obtain
from study.store import Stored

SCHEMES: Final = ("none", "own", "nested", "diary")
SECONDS: Final = "seconds.jsonl"  # in the store: what each of its stages took


@dataclass(frozen=True)
class Job:
    """One replicate on one forest: all that a process needs to know. The forest's truth stands beside its folder."""

    forest: int
    replicate: int
    folder: Path
    knobs: Mapping[str, Any]
    schemes: tuple[str, ...]
    rounds: int
    folds: int
    store: Path
    cache: Path
    results: Path

    def hyperparameters(self, scheme: str, round_: int) -> Hyperparameters:
        """The recipe of a scheme up to a round; `none` gives no pseudo-label and so has one round."""
        if scheme == "none":
            return build({**self.knobs, "stage3.pseudo_threshold": 1.0})
        return build({**self.knobs, "stage3.teacher_scheme": scheme, "stage3.cycles": round_})

    def rounds_of(self, scheme: str) -> range:
        """The rounds that are measured of a scheme."""
        return range(1, 2 if scheme == "none" else self.rounds + 1)


@dataclass(frozen=True)
class Row:
    """One round of one scheme on one forest and replicate; NaN where there is nothing to divide by."""

    forest: int
    replicate: int
    scheme: str
    round: int
    student: str  # the name of its stage: data, folds, seed and knobs are in it
    code: str  # of the model package that trained it
    purity: float
    recall: float
    prevalence: float
    labels: float  # given to a student, mean of the students
    lwlrap: float
    precision: float
    tpfp_auc: float
    diary_lwlrap: float
    test_lwlrap: float
    fold_epochs: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Bench:
    """A forest loaded once for all its schemes."""

    job: Job
    seed: int
    recordings: Recordings
    workshop: Workshop
    ticks: list[int]  # the models of every epoch that was trained here
    took: dict[str, float]  # seconds by the name of a stage

    @cached_property
    def truth(self) -> Path:
        """The folder of what really sounds."""
        return self.job.folder.with_name(f"{self.job.folder.name}-truth")

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """(window, species) of the training grid: where an audible call sounds."""
        h, corpus = build(dict(self.job.knobs)), self.workshop.corpus
        ids = pd.Index(self.recordings.train["recording_id"].to_numpy())
        calls = pd.read_csv(self.truth / "all_calls.csv", dtype={"recording_id": str})
        calls = calls[(calls["snr_db"] >= AUDIBLE_DB) & calls["recording_id"].isin(ids)]
        boxes = Boxes(
            recording=ids.get_indexer(pd.Index(calls["recording_id"])).astype(np.int64),
            species=pd.Index(self.recordings.species).get_indexer(pd.Index(calls["species_id"])).astype(np.int64),
            start=calls["t_min"].to_numpy(np.float64) * corpus.frames_per_s,
            end=calls["t_max"].to_numpy(np.float64) * corpus.frames_per_s,
            positive=np.ones(len(calls), dtype=bool),
        )
        labels = window_labels(
            boxes,
            corpus.windows.recording,
            corpus.windows.start,
            window_frames=h.windows.window_frames,
            box_overlap=h.windows.box_overlap,
            n_species=corpus.n_species,
        )
        return np.asarray(labels.positive > 0)

    @cached_property
    def heard(self) -> list[Sounds]:
        """The test recordings, in the order of the submission."""
        h = build(dict(self.job.knobs))
        return [predict.hear(Path(path), h, self.workshop.compute) for path in self.recordings.test["path"]]

    @cached_property
    def test_truth(self) -> NDArray[np.bool_]:
        """(test recording, species)"""
        table = pd.read_csv(self.truth / "test_truth.csv", dtype={"recording_id": str}).set_index("recording_id")
        columns = [f"s{species}" for species in self.recordings.species]
        return np.asarray(table.loc[list(self.recordings.test["recording_id"]), columns].to_numpy() > 0)

    def train(self, h: Hyperparameters, request: Request) -> None:
        """Have a stage in the store, and note what it takes; where a part of it was there, the rest stands for all."""
        begun, before = time.process_time(), len(self.ticks)
        gather(self.workshop, h, [request])
        if trained := sum(self.ticks[before:]):
            name = request.name(h, self.workshop.partition)
            self.took[name] = (time.process_time() - begun) / trained * request.fold_epochs(h)
            append(self.job.store / SECONDS, {"stage": name, "seconds": self.took[name]})


def measure(job: Job) -> list[Row]:
    """All rounds of all schemes of a job, in sequence; what the results file holds already is taken from there."""
    seed, recordings, ticks = trial_seed(0, job.replicate), load(job.folder), list[int]()
    setting = Setting(recordings, job.folds, job.cache, job.store, threads=1)
    place = workshop(setting, build(dict(job.knobs)), seed, lease=Alone(), tick=ticks.append)
    took = {line["stage"]: line["seconds"] for line in _lines(job.store / SECONDS)}
    bench = Bench(job, seed, recordings, place, ticks, took)
    known = {(row.student, row.code): row for row in read(job.results)}
    rows = []
    for scheme in job.schemes:
        for round_ in job.rounds_of(scheme):
            h = job.hyperparameters(scheme, round_)
            request = trial_request(h, range(job.folds), seed)
            row = known.get((request.name(h, place.partition), place.store.maker["code"]))
            if row is None:
                row = _row(bench, scheme, h, request)
                append(job.results, asdict(row))
                print(f"forest {job.forest} replicate {job.replicate}: {scheme} round {round_}", file=sys.stderr)
            rows.append(row)
    return rows


def _row(bench: Bench, scheme: str, h: Hyperparameters, request: Request) -> Row:
    """Train what is not there yet, and measure."""
    place, needed = bench.workshop, [*earlier(request), request]
    for one in needed:
        bench.train(h, one)
    student = obtain(place, h, request)
    metrics = student.history()[-1].metrics
    return Row(
        forest=bench.job.forest,
        replicate=bench.job.replicate,
        scheme=scheme,
        round=request.cycle,
        student=request.name(h, place.partition),
        code=place.store.maker["code"],
        **_lesson(bench, h, request),
        **{name: metrics[name] for name in ("lwlrap", "precision", "tpfp_auc", "diary_lwlrap")},
        test_lwlrap=_test_lwlrap(bench, h, student),
        fold_epochs=cost(h, request).total,
        seconds=sum(bench.took.get(one.name(h, place.partition), float("nan")) for one in needed),
    )


def _lesson(bench: Bench, h: Hyperparameters, request: Request) -> dict[str, float]:
    """How good the pseudo-labels are with which the students of a stage-3 request were trained."""
    place, windows = bench.workshop, bench.workshop.corpus.windows
    unknown = (windows.positive == 0) & (windows.negative == 0)
    fold = place.corpus.folds[windows.recording]
    teachers = {one: obtain(place, h, one) for one in request.after if one.stage != "stage1"}
    taught = lessons(place, h, request, teachers) if teachers else [None] * len(request.held_out)
    cells = present = given = right = 0
    for held_out, lesson in zip(request.held_out, taught, strict=True):
        mine = unknown & ~np.isin(fold, held_out)[:, None]
        labels = windows if lesson is None else train.taught(windows, lesson, h.stage3)
        called = mine & (labels.positive > 0)
        cells, present = cells + int(mine.sum()), present + int((mine & bench.present).sum())
        given, right = given + int(called.sum()), right + int((called & bench.present).sum())
    return {
        "purity": right / given if given else float("nan"),
        "recall": right / present if present else float("nan"),
        "prevalence": present / cells if cells else float("nan"),
        "labels": given / len(request.held_out),
    }


def _test_lwlrap(bench: Bench, h: Hyperparameters, student: Stored) -> float:
    """LWLRAP of the submission that the fold models would make together."""
    place = bench.workshop
    weights = [student.state.weights(model) for model in range(bench.job.folds)]
    nets = [network.restored(h.network, place.corpus.n_species, one, place.compute) for one in weights]
    model_ = predict.Model(nets, h, bench.recordings.species)
    scores = [predict.score_recording(model_, sounds, place.compute) for sounds in bench.heard]
    return lwlrap(bench.test_truth, np.stack(scores))


def append(path: Path, facts: Mapping[str, Any]) -> None:
    """One line of JSON, written at once, so that several processes can share the file; NaN becomes null."""
    plain = {key: None if value != value else value for key, value in facts.items()}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(plain, allow_nan=False) + "\n")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield {key: float("nan") if value is None else value for key, value in json.loads(line).items()}


def read(path: Path) -> list[Row]:
    """The rows of a results file; of rows of one forest, replicate, scheme, round and student the last."""
    names = [field.name for field in fields(Row)]
    rows = [Row(**{name: line[name] for name in names}) for line in _lines(path)]
    return list({(row.student, row.code): row for row in rows}.values())
