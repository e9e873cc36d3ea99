"""What a trial asks for: stages after stages, the name of each, and what they cost. Trains nothing.

A stage's result is a pure function of the knobs that it reads, the stages before it, the data fingerprint, the
held-out recordings and the seed. Its name is the hash of exactly those, so work is shared wherever names are equal:
between trials, verbs and restarts.

Who teaches the student of fold k (`stage3.teacher_scheme`):

own     stage-2 models of different seeds, trained on k's own training folds after k's own stage 1. None has seen k.
nested  for every other fold j the stage-2 model that saw neither j nor k, after a stage 1 that saw neither. Labels of
        fold j need the call of the one that did not see j; all of them, none of which has seen k, vote.
diary   the stage-2 models of all folds. All but one were trained on k: a leak, kept only so that the diary's recipe
        can be reproduced.

From the second cycle on the student of the cycle before is its own teacher (`own`, `nested`), or all students are
(`diary`). Every cycle starts from stage 1's weights.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import combinations

from rfcx_model.batches import derive
from rfcx_model.hyperparameters import STAGES, Hyperparameters, StageName, group_of
from rfcx_model.learner import HeldOut


@dataclass(frozen=True)
class Partition:
    """What names need to know of the data: its fingerprint and who is held out in each fold."""

    fingerprint: str
    held_out: tuple[str, ...]  # (fold,) hash of the held-out recording ids
    locked: str = ""  # hash of the recording ids in the lockbox
    pretrained: Mapping[str, str] = field(default_factory=dict)  # digest of pretrained weights by Network.source

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return len(self.held_out)

    def digest(self, hyperparameters: Hyperparameters) -> str:
        """Of the pretrained weights that a network begins with; empty where it has none or none are on record."""
        return self.pretrained.get(hyperparameters.network.source, "")


@dataclass(frozen=True)
class Request:
    """One stage that somebody needs: models that each hold some folds out, with which seed, after which stages.

    `measured` ones are scored out of fold as they go: they are what a trial reports.
    """

    stage: StageName
    held_out: tuple[HeldOut, ...]
    seed: int
    after: tuple[Request, ...] = ()
    cycle: int = 1
    measured: bool = False

    def name(self, hyperparameters: Hyperparameters, partition: Partition) -> str:
        """`<stage>-<hash>`; see the module's text for what it depends on."""
        return _name(self, hyperparameters, partition, {})

    def epochs(self, hyperparameters: Hyperparameters) -> int:
        """Epochs of each of its models."""
        return int(getattr(hyperparameters, self.stage).epochs)

    def fold_epochs(self, hyperparameters: Hyperparameters) -> int:
        """Epochs of all of its models together."""
        return len(self.held_out) * self.epochs(hyperparameters)


def _name(request: Request, hyperparameters: Hyperparameters, partition: Partition, known: dict[Request, str]) -> str:
    """The name; `known` keeps those of earlier stages, which many later ones share."""
    if request not in known:
        facts = {
            "stage": request.stage,
            "cycle": request.cycle,
            "reads": group_of(hyperparameters, request.stage),
            "after": [_name(parent, hyperparameters, partition, known) for parent in request.after],
            "data": partition.fingerprint,
            "held_out": [[partition.held_out[fold] for fold in folds] for folds in request.held_out],
            "folds": request.held_out,
            "seed": request.seed,
            "measured_on": asdict(hyperparameters.ruler) if request.measured else None,
            **({"locked": partition.locked} if partition.locked else {}),
            **({"pretrained": digest} if (digest := partition.digest(hyperparameters)) else {}),
        }
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        known[request] = f"{request.stage}-{sha256(text.encode()).hexdigest()[:20]}"
    return known[request]


def names(requests: Sequence[Request], hyperparameters: Hyperparameters, partition: Partition) -> list[str]:
    """The names of several requests."""
    known: dict[Request, str] = {}
    return [_name(request, hyperparameters, partition, known) for request in requests]


def trial_request(
    hyperparameters: Hyperparameters, folds: Sequence[int], seed: int, first_own: StageName = "stage3"
) -> Request:
    """The whole recipe of a trial as one request: its last stage of all folds abreast, after all that this needs.

    From `first_own` on (the first stage that a searched knob changes) all folds train abreast in the trial and are
    measured; stages before it, and teachers always, are asked for one by one, so that they can be shared and spread
    over the machine. With a pseudo-label threshold of 1 no teacher is asked for.
    """
    h, last = hyperparameters, hyperparameters.last_stage
    abreast = tuple((fold,) for fold in folds)

    def belongs(stage: StageName) -> bool:
        return stage == last or STAGES.index(stage) >= STAGES.index(first_own)

    if belongs("stage1"):
        first = [Request("stage1", abreast, seed, measured=True)]
    else:
        first = [Request("stage1", (alone,), seed) for alone in abreast]
    if last == "stage1":
        return first[0]
    if last == "stage2":
        return Request("stage2", abreast, derive(seed, "teacher", 0), tuple(first), measured=True)
    student = Request("stage3", abreast, seed, (*first, *_teachers(h, folds, seed, first)), measured=True)
    for cycle in range(2, h.stage3.cycles + 1):
        student = Request("stage3", abreast, seed, (*first, student), cycle, measured=True)
    return student


def whole_request(hyperparameters: Hyperparameters, folds: Sequence[int], seed: int, model: int = 0) -> Request:
    """The recipe of one model that learns from all recordings, so that nothing is left to measure it on.

    Teachers of "own" have learnt from all recordings too; those of "nested" each leave one fold out, which the one that
    has not seen it must call. `model` counts models of different seeds.
    """
    h, last, nobody = hyperparameters, hyperparameters.last_stage, ((),)
    seed = seed if model == 0 else derive(seed, "model", model)
    first = Request("stage1", nobody, seed)
    if last == "stage1":
        return first
    if last == "stage2":
        return Request("stage2", nobody, derive(seed, "teacher", 0), (first,))
    student = Request("stage3", nobody, seed, (first, *_whole_teachers(h, folds, seed, first)))
    for cycle in range(2, h.stage3.cycles + 1):
        student = Request("stage3", nobody, seed, (first, student), cycle)
    return student


def _whole_teachers(h: Hyperparameters, folds: Sequence[int], seed: int, first: Request) -> list[Request]:
    if h.stage3.pseudo_threshold == 1:
        return []
    if h.stage3.teacher_scheme == "own":
        return [Request("stage2", ((),), derive(seed, "teacher", n), (first,)) for n in range(h.stage3.teachers)]
    alone = [Request("stage1", ((fold,),), seed) for fold in folds]
    return [Request("stage2", one.held_out, derive(seed, "teacher", 0), (one,)) for one in alone]


def _teachers(h: Hyperparameters, folds: Sequence[int], seed: int, first: Sequence[Request]) -> list[Request]:
    """The stage-2 models of the first cycle; see the module's text."""
    if h.stage3.pseudo_threshold == 1:
        return []
    if h.stage3.teacher_scheme == "nested":
        pairs = [(pair,) for pair in combinations(folds, 2)]
        return [Request("stage2", pair, derive(seed, "teacher", 0), (Request("stage1", pair, seed),)) for pair in pairs]
    count = h.stage3.teachers if h.stage3.teacher_scheme == "own" else 1
    return [
        Request(
            "stage2",
            ((fold,),),
            derive(seed, "teacher", index),
            tuple(one for one in first if (fold,) in one.held_out),
        )
        for fold in folds
        for index in range(count)
    ]


def own(request: Request) -> list[Request]:
    """The requests of a trial that train all its folds abreast: those that it reports, in order."""
    return [one for one in (*earlier(request), request) if one.measured]


def earlier(request: Request) -> list[Request]:
    """All requests before this one, each once, those needed first first."""
    found: dict[Request, None] = {}
    for parent in request.after:
        for one in (*earlier(parent), parent):
            found.setdefault(one)
    return list(found)


@dataclass(frozen=True)
class Cost:
    """Fold-epochs (one epoch of one fold model) of a study, if no trial is pruned."""

    shared: int
    trials: int
    unshared: int  # nothing shared, the diary's scheme: each stage once a fold, every fold's stage-2 model a teacher
    alone: int  # nothing shared, this very scheme
    crops: int  # of the total: those of stage 1, which trains on crops
    measured: int  # how often a fold model is scored out of fold
    bound: bool = True  # whether no trial can be longer than those that are counted

    @property
    def total(self) -> int:
        """What is trained when work is shared."""
        return self.shared + self.trials

    def fold_epochs(self) -> dict[str, int]:
        """What is trained, and what it would be with less sharing, by name."""
        return {name: getattr(self, name) for name in ("total", "shared", "trials", "alone", "unshared")}

    def __str__(self) -> str:
        most = "at most" if self.bound else "if every trial is as long as the baseline"
        return (
            f"{self.total} fold-epochs {most}, {self.shared} shared and {self.trials} in the trials; if nothing were "
            f"shared {self.alone} ({self.alone / self.total:.1f} times as many); nothing shared in the diary's scheme "
            f"of one teacher a fold {self.unshared} ({self.unshared / self.total:.1f} times)"
        )


def cost(hyperparameters: Hyperparameters, request: Request) -> Cost:
    """Count what one trial trains: what it shares with others, what is its own, and all of it with nothing shared."""
    h, mine = hyperparameters, own(request)
    shared = sum(one.fold_epochs(h) for one in earlier(request) if one not in mine)
    trials = sum(one.fold_epochs(h) for one in mine)
    once = {"stage1": h.stage1.epochs, "stage2": h.stage2.epochs, "stage3": h.stage3.epochs * h.stage3.cycles}
    reached = STAGES[: STAGES.index(h.last_stage) + 1]
    needed = [stage for stage in reached if stage != "stage2" or h.last_stage == "stage2" or h.taught]
    return Cost(
        shared=shared,
        trials=trials,
        unshared=len(request.held_out) * sum(once[stage] for stage in needed),
        alone=shared + trials,
        crops=sum(one.fold_epochs(h) for one in (*earlier(request), request) if one.stage == "stage1"),
        measured=sum(len(one.held_out) * math.ceil(one.epochs(h) / h.ruler.every_epochs) for one in mine),
    )
