"""A stage's name, and its result: found if it stands in the store, else trained. Knows no Ray.

A stage's result is a pure function of the knobs that it reads, the stages before it, the data fingerprint, the
held-out recordings and the seed. Its name is the hash of exactly those, so work is shared wherever names are equal:
between trials, verbs and restarts. What could also differ but should not (code, versions, device) stands in the
result's metadata; where it differs, the result is made again.

Who teaches the student of fold k (`stage3.teacher_scheme`):

own     stage-2 models of different seeds, trained on k's own training folds after k's own stage 1. None has seen k.
nested  for every other fold j the stage-2 model that saw neither j nor k, after a stage 1 that saw neither. Labels of
        fold j need the call of the one that did not see j; all of them, none of which has seen k, vote.
diary   the stage-2 models of all folds, k's training folds' among them, which were trained on k: a leak, kept only so
        that the diary's recipe can be reproduced.

From the second cycle on the student of the cycle before is its own teacher (`own`, `nested`), or all students are
(`diary`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import combinations
from typing import Final, Protocol

import numpy as np
from torch import Tensor

from rfcx_model import train
from rfcx_model.batches import derive
from rfcx_model.compute import Compute
from rfcx_model.corpus import Corpus
from rfcx_model.hyperparameters import Hyperparameters, StageName, group_of
from rfcx_model.labels import Floats, Lessons
from rfcx_model.learner import HeldOut
from rfcx_model.train import Epoch, Task
from study.store import Store, Stored

STAGES: Final[tuple[StageName, ...]] = ("stage1", "stage2", "stage3")


@dataclass(frozen=True)
class Partition:
    """What names need to know of the data: its fingerprint and who is held out in each fold."""

    fingerprint: str
    held_out: tuple[str, ...]  # (fold,) hash of the held-out recording ids

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return len(self.held_out)


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

    def own_(stage: StageName) -> bool:
        return stage == last or STAGES.index(stage) >= STAGES.index(first_own)

    if own_("stage1"):
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


class LostLease(RuntimeError):
    """Another took this stage over while it was being trained here; what is trained here is not written."""


class Lease(Protocol):
    """Who may train a stage that several need at once."""

    def acquire(self, name: str) -> bool:
        """Whether the asker may train it now; if not, ask again a little later."""

    def holds(self, name: str) -> bool:
        """Whether it is still the asker's: who was taken for dead has lost it to another."""

    def release(self, name: str) -> None:
        """Give it back, done or not."""


@dataclass(frozen=True, eq=False)
class Workshop:
    """A place where stages are found or trained: the store, the data, the machine, and who shares the work.

    `wait` is called while others hold all that is left to do; `tick` once for every epoch, with its models.
    """

    store: Store
    corpus: Corpus
    partition: Partition
    compute: Compute
    lease: Lease
    wait: Callable[[], None]
    tick: Callable[[int], None]

    def done(self, hyperparameters: Hyperparameters, request: Request) -> bool:
        """Whether a stage stands finished in the store."""
        name, epochs = request.name(hyperparameters, self.partition), request.epochs(hyperparameters)
        return epochs == 0 or self.store.epochs_done(name) >= epochs


def obtain(workshop: Workshop, hyperparameters: Hyperparameters, request: Request) -> Stored:
    """The finished result of a stage; its earlier stages are obtained on the way."""
    gather(workshop, hyperparameters, [request])
    name = request.name(hyperparameters, workshop.partition)
    stored = workshop.store.load(name)
    if stored is None:  # damaged since: the store has said so and forgotten it
        gather(workshop, hyperparameters, [request])
        stored = workshop.store.load(name)
    if stored is None:
        raise RuntimeError(f"{name} was trained but is not in the store {workshop.store.folder}")
    return stored


def gather(workshop: Workshop, hyperparameters: Hyperparameters, requests: Sequence[Request]) -> None:
    """Have these stages, and all that they need, finished in the store.

    What another is training is left to it, and the next one is taken: several that need the same stages share the
    work between them, and wait only when all that is left is in other hands.
    """
    left = list(dict.fromkeys(one for request in requests for one in (*earlier(request), request)))
    while left := [one for one in left if not workshop.done(hyperparameters, one)]:
        ready = (one for one in left if not any(parent in left for parent in one.after))
        taken = next((one for one in ready if _take(workshop, hyperparameters, one)), None)
        if taken is None:
            workshop.wait()
            continue
        try:
            for _ in epochs(workshop, hyperparameters, taken):
                pass
        finally:
            workshop.lease.release(taken.name(hyperparameters, workshop.partition))


def _take(workshop: Workshop, hyperparameters: Hyperparameters, request: Request) -> bool:
    """Whether the stage's lease could be had and it is still to be done."""
    name = request.name(hyperparameters, workshop.partition)
    if not workshop.lease.acquire(name):
        return False
    if workshop.done(hyperparameters, request):  # finished by another between the question and the lease
        workshop.lease.release(name)
        return False
    return True


def epochs(workshop: Workshop, hyperparameters: Hyperparameters, request: Request) -> Iterator[tuple[Epoch, bool]]:
    """All epochs of a stage in order, each with whether it was found rather than trained.

    An epoch is in the store before it is yielded. Found epochs carry metrics, but only the last one its state.

    Raises:
        LostLease: another has taken the stage over.
    """
    name = request.name(hyperparameters, workshop.partition)
    stored = workshop.store.load(name)
    if stored is not None:
        yield from ((epoch, True) for epoch in stored.history())
        if stored.epoch == request.epochs(hyperparameters):
            return
    history = stored.state.facts["history"] if stored else []
    task = _task(workshop, hyperparameters, request)
    for epoch in train.stage(request.stage, task, stored.state if stored else None):
        workshop.tick(len(request.held_out))
        history = [*history, {k: epoch.state.facts[k] for k in ("epoch", "train_loss", "metrics")}]
        state = replace(epoch.state, facts={**epoch.state.facts, "history": history})
        if epoch.epoch == request.epochs(hyperparameters):
            state = state.finished()
        if not workshop.lease.holds(name):
            raise LostLease(f"{name}: another trains it now")
        workshop.store.save(name, state, epoch.outputs)
        yield replace(epoch, state=state), False


def trial_epochs(
    workshop: Workshop, hyperparameters: Hyperparameters, request: Request
) -> Iterator[tuple[Epoch, bool]]:
    """All measured epochs of a trial, stage after stage, each with whether it was found rather than trained.

    A stage that another trial is training at this moment is waited for, then found.
    """
    for one in own(request):
        name = one.name(hyperparameters, workshop.partition)
        gather(workshop, hyperparameters, one.after)
        while not workshop.lease.acquire(name) and not workshop.done(hyperparameters, one):
            workshop.wait()  # a finished one is leased too: it may turn out to be damaged
        try:
            for epoch, reused in epochs(workshop, hyperparameters, one):
                if epoch.metrics:
                    yield epoch, reused
        finally:
            workshop.lease.release(name)


def _task(workshop: Workshop, hyperparameters: Hyperparameters, request: Request) -> Task:
    """What a stage starts from: weights of stage 1, and for stage 3 what the teachers say; 0 epochs give neither."""
    parents = [parent for parent in request.after if parent.epochs(hyperparameters)]
    gather(workshop, hyperparameters, parents)
    results = {parent: obtain(workshop, hyperparameters, parent) for parent in parents}
    starts: list[dict[str, Tensor] | None] = []
    for held_out in request.held_out:
        first = next((one for one in parents if one.stage == "stage1" and held_out in one.held_out), None)
        starts += [None if first is None else results[first].state.weights(first.held_out.index(held_out))]
    classes = {parent: result for parent, result in results.items() if parent.stage != "stage1"}
    return Task(
        hyperparameters=hyperparameters,
        corpus=workshop.corpus,
        compute=workshop.compute,
        held_out=request.held_out,
        seed=request.seed,
        starts=tuple(starts),
        lessons=lessons(workshop, hyperparameters, request, classes) if classes else (),
        cycle=request.cycle,
        measured=request.measured,
    )


def lessons(
    workshop: Workshop, hyperparameters: Hyperparameters, request: Request, results: Mapping[Request, Stored]
) -> tuple[Lessons, ...]:
    """What each model of a stage-3 request is taught, from the results of the stages that teach it.

    Nobody speaks of the recordings that the student holds out.
    """
    taught = []
    heard = [
        (held_out, _said(workshop, hyperparameters, stored, place))
        for teacher, stored in results.items()
        for place, held_out in enumerate(teacher.held_out)
    ]
    everyone = hyperparameters.stage3.teacher_scheme == "diary"
    fold = workshop.corpus.folds[workshop.corpus.windows.recording]
    for mine in request.held_out:
        chosen = [(held_out, said) for held_out, said in heard if everyone or set(mine) <= set(held_out)]
        said = np.stack([said for _, said in chosen])
        said[:, np.isin(fold, mine)] = np.nan
        wider = not everyone and any(set(mine) < set(held_out) for held_out, _ in chosen)
        unseen = np.stack([np.isin(fold, held_out) for held_out, _ in chosen]) if wider else None
        taught.append(Lessons(said, unseen))
    return tuple(taught)


def _said(workshop: Workshop, hyperparameters: Hyperparameters, stored: Stored, place: int) -> Floats:
    if "probabilities" in stored.outputs:
        return np.asarray(stored.outputs["probabilities"][place])
    return train.said(stored.state.weights(place), hyperparameters, workshop.corpus, workshop.compute)


@dataclass(frozen=True)
class Cost:
    """Fold-epochs (one epoch of one fold model) of a study, if no trial is pruned."""

    shared: int
    trials: int
    unshared: int  # nothing shared, the diary's scheme: each stage once a fold, every fold's stage-2 model a teacher
    alone: int  # nothing shared, this very scheme
    crops: int  # of the total: those of stage 1, which trains on crops
    measured: int  # how often a fold model is scored out of fold

    @property
    def total(self) -> int:
        """What is trained when work is shared."""
        return self.shared + self.trials

    def __str__(self) -> str:
        return (
            f"{self.total} fold-epochs at most, {self.shared} shared and {self.trials} in the trials; if nothing were "
            f"shared {self.alone} ({self.alone / self.total:.1f} times as many), or {self.unshared} "
            f"({self.unshared / self.total:.1f} times) in the diary's scheme of one teacher a fold"
        )


def cost(hyperparameters: Hyperparameters, request: Request) -> Cost:
    """Count what one trial trains: what it shares with others, what is its own, and all of it with nothing shared."""
    h, mine = hyperparameters, own(request)
    shared = sum(one.fold_epochs(h) for one in earlier(request) if one not in mine)
    trials = sum(one.fold_epochs(h) for one in mine)
    once = {"stage1": h.stage1.epochs, "stage2": h.stage2.epochs, "stage3": h.stage3.epochs * h.stage3.cycles}
    needed = STAGES[: STAGES.index(h.last_stage) + 1]
    return Cost(
        shared=shared,
        trials=trials,
        unshared=len(request.held_out) * sum(once[stage] for stage in needed),
        alone=shared + trials,
        crops=sum(one.fold_epochs(h) for one in (*earlier(request), request) if one.stage == "stage1"),
        measured=sum(len(one.held_out) * math.ceil(one.epochs(h) / h.ruler.every_epochs) for one in mine),
    )
