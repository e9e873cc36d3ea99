"""A stage's name, and its result: found if it stands in the store, else trained. Knows no Ray.

A stage's result is a pure function of the knobs that it reads, the stages before it, the data fingerprint, the
held-out recordings and the seed. Its name is the hash of exactly those, so work is shared wherever names are equal:
between trials, verbs and restarts. What could also differ but should not (code, versions, device) stands in the
result's metadata; where it differs, the result is made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Protocol

import numpy as np
from torch import Tensor

from rfcx_model import train
from rfcx_model.batches import derive
from rfcx_model.compute import Compute
from rfcx_model.corpus import Corpus
from rfcx_model.hyperparameters import Hyperparameters, StageName, group_of
from rfcx_model.train import Epoch, Task
from study.store import Store, Stored


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
    """One stage that somebody needs: for which held-out folds, with which seed, after which stages."""

    stage: StageName
    folds: tuple[int, ...]
    seed: int
    after: tuple[Request, ...] = ()

    def name(self, hyperparameters: Hyperparameters, partition: Partition) -> str:
        """`<stage>-<hash>`; see the module's text for what it depends on."""
        facts = {
            "stage": self.stage,
            "reads": group_of(hyperparameters, self.stage),
            "after": [request.name(hyperparameters, partition) for request in self.after],
            "data": partition.fingerprint,
            "held_out": [partition.held_out[fold] if fold >= 0 else "" for fold in self.folds],
            "folds": self.folds,
            "seed": self.seed,
            "measured_on": asdict(hyperparameters.ruler) if len(self.folds) > 1 else None,
        }
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        return f"{self.stage}-{sha256(text.encode()).hexdigest()[:20]}"

    def epochs(self, hyperparameters: Hyperparameters) -> int:
        """Epochs of each of its fold models."""
        knobs = {s: getattr(hyperparameters, s).epochs for s in ("stage1", "stage2", "stage3")}
        return int(knobs[self.stage])


def trial_request(
    hyperparameters: Hyperparameters, folds: tuple[int, ...], seed: int, first_own: StageName = "stage3"
) -> Request:
    """The whole recipe of a trial as one request: stage 3 of all folds abreast, after its stage 1 and its teachers.

    From `first_own` on (the first stage that a searched knob changes) all folds train abreast in the trial; stages
    before it are asked for fold by fold, so that they can be shared and spread over the machine.

    Teachers are `own`: for each student fold, stage-2 models of different seeds that were trained on the student's
    own training folds from the same stage 1. With a pseudo-label threshold of 1 no teacher is asked for.
    """
    teachers = hyperparameters.stage3.teachers if hyperparameters.stage3.pseudo_threshold < 1 else 0
    apart = [(fold,) for fold in folds]
    first = [Request("stage1", group, seed) for group in ([folds] if first_own == "stage1" else apart)]
    second = []
    for group in apart if first_own == "stage3" else [folds]:
        after = tuple(request for request in first if set(group) & set(request.folds))
        second += [Request("stage2", group, derive(seed, "teacher", t), after) for t in range(teachers)]
    return Request("stage3", folds, seed, (*first, *second))


def own(request: Request) -> list[Request]:
    """The requests of a trial that train all its folds abreast: those that it reports, in order."""
    return [one for one in (*earlier(request), request) if one.folds == request.folds]


def earlier(request: Request) -> list[Request]:
    """All requests before this one, each once, those needed first first."""
    found: dict[Request, None] = {}
    for parent in request.after:
        for one in (*earlier(parent), parent):
            found.setdefault(one)
    return list(found)


class Lease(Protocol):
    """Who may train a stage that several need at once."""

    def acquire(self, name: str) -> bool:
        """Whether the asker may train it now; if not, ask again a little later."""

    def release(self, name: str) -> None:
        """Give it back, done or not."""


@dataclass(frozen=True, eq=False)
class Workshop:
    """A place where stages are found or trained: the store, the data, the machine, and who shares the work.

    `wait` is called while another holds a lease; `tick` once for every fold-epoch that is trained.
    """

    store: Store
    corpus: Corpus
    partition: Partition
    compute: Compute
    lease: Lease
    wait: Callable[[], None]
    tick: Callable[[int], None]


def obtain(workshop: Workshop, hyperparameters: Hyperparameters, request: Request) -> Stored:
    """The finished result of a stage; its earlier stages are obtained on the way."""
    name = request.name(hyperparameters, workshop.partition)
    while True:
        stored = workshop.store.load(name)
        if stored is not None and stored.epoch == request.epochs(hyperparameters):
            return stored
        if workshop.lease.acquire(name):
            break
        workshop.wait()
    try:
        for _ in epochs(workshop, hyperparameters, request):
            pass
    finally:
        workshop.lease.release(name)
    stored = workshop.store.load(name)
    if stored is None:
        raise RuntimeError(f"{name} was trained but is not in the store {workshop.store.folder}")
    return stored


def epochs(workshop: Workshop, hyperparameters: Hyperparameters, request: Request) -> Iterator[tuple[Epoch, bool]]:
    """All epochs of a stage in order, each with whether it was found rather than trained.

    An epoch is in the store before it is yielded. Found epochs carry metrics, but only the last one its state.
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
        workshop.tick(len(request.folds))
        history = [*history, {k: epoch.state.facts[k] for k in ("epoch", "train_loss", "metrics")}]
        state = replace(epoch.state, facts={**epoch.state.facts, "history": history})
        if epoch.epoch == request.epochs(hyperparameters):
            state = state.finished()
        workshop.store.save(name, state, epoch.outputs)
        yield replace(epoch, state=state), False


def trial_epochs(
    workshop: Workshop, hyperparameters: Hyperparameters, request: Request
) -> Iterator[tuple[Epoch, bool]]:
    """All epochs that a trial reports, stage after stage, each with whether it was found rather than trained.

    A stage that another trial is training at this moment is waited for, then found.
    """
    for one in own(request):
        name = one.name(hyperparameters, workshop.partition)
        while workshop.store.epochs_done(name) < one.epochs(hyperparameters) and not workshop.lease.acquire(name):
            workshop.wait()
        try:
            yield from epochs(workshop, hyperparameters, one)
        finally:
            workshop.lease.release(name)


def _task(workshop: Workshop, hyperparameters: Hyperparameters, request: Request) -> Task:
    """What a stage starts from: weights of stage 1, and for stage 3 what the teachers say; 0 epochs give neither."""
    trained = [parent for parent in request.after if parent.epochs(hyperparameters)]
    results = [(parent, obtain(workshop, hyperparameters, parent)) for parent in trained]
    starts: list[dict[str, Tensor] | None] = []
    teachers: list[np.ndarray] = []
    for fold in request.folds:
        mine = [(parent.stage, result, parent.folds.index(fold)) for parent, result in results if fold in parent.folds]
        starts += [next((result.state.weights(place) for stage, result, place in mine if stage == "stage1"), None)]
        said = [result.outputs["probabilities"][place] for stage, result, place in mine if stage == "stage2"]
        teachers += [np.stack(said)] if said else []
    return Task(
        hyperparameters=hyperparameters,
        corpus=workshop.corpus,
        compute=workshop.compute,
        folds=request.folds,
        seed=request.seed,
        starts=tuple(starts),
        teachers=tuple(teachers),
        measured=len(request.folds) > 1,
    )


@dataclass(frozen=True)
class Cost:
    """Fold-epochs (one epoch of one fold model) of a study, if no trial is pruned."""

    shared: int
    trials: int
    unshared: int

    @property
    def total(self) -> int:
        """What is trained when work is shared."""
        return self.shared + self.trials


def cost(hyperparameters: Hyperparameters, request: Request) -> Cost:
    """Count what one trial trains: what it shares with others, what is its own, and all of it with nothing shared.

    `unshared` takes the diary's scheme: each of the three stages once a fold, every fold's stage-2 model a teacher.
    """
    mine = own(request)
    shared = [one for one in earlier(request) if one not in mine]
    h = hyperparameters
    return Cost(
        shared=sum(len(one.folds) * one.epochs(h) for one in shared),
        trials=sum(len(one.folds) * one.epochs(h) for one in mine),
        unshared=len(request.folds) * (h.stage1.epochs + h.stage2.epochs + h.stage3.epochs),
    )
