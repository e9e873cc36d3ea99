"""A stage's result: found if it stands in the store, else trained. Knows no Ray.

What could differ between two results of one name but should not (code, versions, device) stands in the result's
metadata; where it differs, or where the file is damaged, that is said and the result is made again.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from torch import Tensor

from rfcx_model import network, train
from rfcx_model.compute import Compute
from rfcx_model.corpus import Corpus
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.labels import Floats, Lessons, lessons_of
from rfcx_model.train import Epoch, Task
from study.recipe import Partition, Request, earlier, own
from study.store import Store, Stored


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
    name = request.name(hyperparameters, workshop.partition)
    for _ in range(2):  # it may be found damaged when it is read: the store says so and forgets it
        gather(workshop, hyperparameters, [request])
        stored = workshop.store.load(name)
        if stored is not None and stored.epoch >= request.epochs(hyperparameters):
            return stored
    raise RuntimeError(f"{name} was trained but does not stand finished in the store {workshop.store.folder}")


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
    _same_weights(workshop, hyperparameters)
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


def _same_weights(workshop: Workshop, hyperparameters: Hyperparameters) -> None:
    """Refuse pretrained weights other than those that stage names speak of.

    Raises:
        InputError: those that this machine finds are others.
    """
    wanted = workshop.partition.digest(hyperparameters)
    if wanted and (here := network.pretrained_digest(hyperparameters.network)) != wanted:
        raise InputError(
            f"`network.pretrained`: {hyperparameters.network.source} must have the weights that the study "
            f"began with (SHA-256 {wanted[:12]}), but on {platform.node()} they are others ({here[:12]}). Put the "
            "same weight file on every machine."
        )


def lessons(
    workshop: Workshop, hyperparameters: Hyperparameters, request: Request, results: Mapping[Request, Stored]
) -> tuple[Lessons, ...]:
    """What each model of a stage-3 request is taught, from the results of the stages that teach it.

    Nobody speaks of the recordings that the student holds out.
    """
    heard = [
        (held_out, _said(workshop, hyperparameters, stored, place))
        for teacher, stored in results.items()
        for place, held_out in enumerate(teacher.held_out)
    ]
    leaky = hyperparameters.leaky
    fold = workshop.corpus.folds[workshop.corpus.windows.recording]
    return tuple(lessons_of(mine, heard, fold, everyone=leaky) for mine in request.held_out)


def _said(workshop: Workshop, hyperparameters: Hyperparameters, stored: Stored, place: int) -> Floats:
    if "probabilities" in stored.outputs:
        return np.asarray(stored.outputs["probabilities"][place])
    return train.said(stored.state.weights(place), hyperparameters, workshop.corpus, workshop.compute)
