"""The three stages of the recipe, as generators of epochs with all fold models abreast.

A stage is a pure function of its Task: every epoch's randomness comes from (seed, stage, fold, epoch), so a stage
that is resumed from any epoch's State goes on exactly as if it had not been stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rfcx_model import batches, network, predict
from rfcx_model.augment import augment
from rfcx_model.compute import Compute
from rfcx_model.corpus import Corpus
from rfcx_model.folds import LOCKED
from rfcx_model.hyperparameters import Hyperparameters, Stage1, Stage2, Stage3, StageName
from rfcx_model.labels import Floats, Lessons, WindowLabels, pseudo_positives, with_pseudo
from rfcx_model.learner import HeldOut, Learner, State, restore, snapshot
from rfcx_model.losses import masked_loss
from rfcx_model.metrics import OutOfFold, measure
from rfcx_model.mixup import Labels, Mix, draw, mix_labels
from rfcx_model.network import RFCXNet
from rfcx_model.predict import Grid

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Task:
    """One stage for some models, and all it starts from.

    `held_out` are the folds that each model never sees. `starts` are the weights that each begins with (None: fresh
    or pretrained). `lessons` hold, for each model, what its teachers say. `cycle` counts how often stage 3 has been
    taught. `measured` asks for out-of-fold metrics, for which the models' held-out folds must be disjoint.
    """

    hyperparameters: Hyperparameters
    corpus: Corpus
    compute: Compute
    held_out: tuple[HeldOut, ...]
    seed: int
    starts: tuple[Weights | None, ...]
    lessons: tuple[Lessons, ...] = ()
    cycle: int = 1
    measured: bool = True


@dataclass(frozen=True, eq=False)
class Epoch:
    """One epoch of all models of a stage.

    `metrics` are empty where the epoch was not measured. `outputs` are arrays for others: stage 2's last epoch has
    `probabilities` (model, window, species) of all windows; every measured epoch `recording_scores`, `box_scores`
    and `folds` (see metrics.OutOfFold).
    """

    stage: int
    cycle: int
    epoch: int
    train_loss: float
    metrics: Mapping[str, float]
    state: State
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)


def stage(name: StageName, task: Task, resume: State | None = None) -> Iterator[Epoch]:
    """Train a stage, one epoch of every model at a time.

    Args:
        name: which stage
        task: what to train, on what, from where
        resume: the state of an epoch of the very same task; training goes on behind it

    Yields:
        The epochs that are still to be trained.
    """
    knobs = _knobs(task.hyperparameters, name)
    learners = [_learner(name, task, index) for index in range(len(task.held_out))]
    done = 0
    if resume is not None:
        restore(learners, resume)
        done = int(resume.facts["epoch"])
    for epoch in range(done + 1, knobs.epochs + 1):
        losses = [_train_epoch(name, task, learner, epoch) for learner in learners]
        outputs: dict[str, np.ndarray] = {}
        metrics: dict[str, float] = {}
        if name == "stage2" and epoch == knobs.epochs:
            heard = [_hears(one.judged, task.hyperparameters, task.corpus, task.compute) for one in learners]
            outputs["probabilities"] = np.stack(heard)
        if task.measured and (epoch % task.hyperparameters.ruler.every_epochs == 0 or epoch == knobs.epochs):
            scored = _out_of_fold(task, learners)
            metrics = measure(task.corpus.listed, scored, _pseudo_truth(learners, task.corpus))
            outputs |= {
                "recording_scores": scored.recording_scores,
                "box_scores": scored.box_scores,
                "folds": scored.folds,
            }
        train_loss = float(np.mean(losses))
        facts = {"stage": name, "cycle": task.cycle, "epoch": epoch, "train_loss": train_loss, "metrics": metrics}
        yield Epoch(int(name[-1]), task.cycle, epoch, train_loss, metrics, snapshot(learners, facts), outputs)


def said(weights: Weights, hyperparameters: Hyperparameters, corpus: Corpus, compute: Compute) -> Floats:
    """What a finished model says of every training window, (window, species)."""
    net = network.restored(hyperparameters.network, corpus.n_species, weights, compute)
    return _hears(net, hyperparameters, corpus, compute)


def _hears(net: RFCXNet, hyperparameters: Hyperparameters, corpus: Corpus, compute: Compute) -> Floats:
    """Clipwise of every training window; who may listen where is decided by those who are taught."""
    grid = Grid(corpus.windows.recording, corpus.windows.start, hyperparameters.windows.window_frames)
    return predict.clipwise(net, corpus.sounds, grid, compute)


def _knobs(hyperparameters: Hyperparameters, name: StageName) -> Stage1 | Stage2 | Stage3:
    if name == "stage1":
        return hyperparameters.stage1
    return hyperparameters.stage2 if name == "stage2" else hyperparameters.stage3


def _learner(name: StageName, task: Task, index: int) -> Learner:
    held_out, start, knobs = task.held_out[index], task.starts[index], _knobs(task.hyperparameters, name)
    seed = batches.derive(task.seed, *_words(name, task, held_out), "weights")
    settings = task.hyperparameters.network
    net = network.build(settings, task.corpus.n_species, seed, load_pretrained=start is None)
    if start is not None:
        net.load_state_dict(start)
    net = network.placed(net, task.compute)
    average = None
    if isinstance(knobs, Stage3) and knobs.ema_decay > 0:
        average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(knobs.ema_decay), use_buffers=True)  # type: ignore[no-untyped-call]
    labels = task.corpus.windows
    if isinstance(knobs, Stage3) and task.lessons:
        labels = taught(labels, task.lessons[index], knobs)
    optimiser = torch.optim.Adam(net.parameters(), lr=knobs.learning_rate, weight_decay=knobs.weight_decay)
    return Learner(held_out, net, optimiser, average, labels, ~np.isin(task.corpus.folds, (*held_out, LOCKED)))


def taught(labels: WindowLabels, lessons: Lessons, knobs: Stage3) -> WindowLabels:
    """The listed labels and what the teachers add to them."""
    pseudo = pseudo_positives(lessons, threshold=knobs.pseudo_threshold, votes=knobs.votes, rule=knobs.pseudo_rule)
    return with_pseudo(labels, pseudo, knobs.pseudo_weight)


def _words(name: StageName, task: Task, held_out: HeldOut) -> tuple[str, ...]:
    """What tells one model's random streams from those of all others of its seed."""
    model = "+".join(map(str, held_out)) if held_out else "-1"
    cycle = () if task.cycle == 1 else (f"cycle {task.cycle}",)
    knobs = _knobs(task.hyperparameters, name)
    placebo = (f"placebo {knobs.placebo}",) if isinstance(knobs, Stage3) and knobs.placebo else ()
    return (name, *cycle, *placebo, model)


def _train_epoch(name: StageName, task: Task, learner: Learner, epoch: int) -> float:
    """Train one model for one epoch and return its loss a unit of label weight, in nats."""
    hyperparameters, corpus, compute = task.hyperparameters, task.corpus, task.compute
    knobs = _knobs(hyperparameters, name)
    draws = batches.streams(batches.derive(task.seed, *_words(name, task, learner.held_out), epoch))
    parts = list(_batches(knobs, task, learner, draws.order))
    accumulate = 1 if isinstance(knobs, Stage1) else knobs.accumulate
    learner.net.train()
    loss_sum, weight_sum = torch.zeros((), device=compute.device), torch.zeros((), device=compute.device)
    for index, part in enumerate(parts):
        recording = torch.from_numpy(part.recording).to(compute.device)
        x = corpus.sounds.inputs(recording, torch.from_numpy(part.start).to(compute.device), _length(task))
        x = augment(x, hyperparameters.augment, corpus.sounds.units_per_db(recording), draws.augment)
        mix = draw(knobs.mixup_site, knobs.mixup_alpha, len(part.start), draws.mix)
        mix = Mix(mix.site, mix.lam, mix.partner.to(compute.device))
        labels = Labels(*(torch.from_numpy(a).to(compute.device) for a in (part.positive, part.negative)))
        labels = mix_labels(labels, mix, knobs.label_rule)
        with compute.autocast():
            logits = learner.net(x.contiguous(memory_format=compute.memory_format), mix, draws.dropout)
        labels = _self_labelled(labels, logits, knobs)
        loss = _loss(logits.clipwise, labels, knobs)
        loss.backward()  # type: ignore[no-untyped-call]
        loss_sum += loss.detach()
        weight_sum += labels.positive.sum() + labels.negative.sum()
        if (index + 1) % accumulate == 0 or index + 1 == len(parts):
            learner.step(cosine(knobs.learning_rate, epoch - 1 + index / len(parts), knobs.cosine_epochs))
    return float(loss_sum / weight_sum.clamp(min=1e-9))


def cosine(learning_rate: float, epochs_done: float, half_period_epochs: int) -> float:
    """The diary's schedule: down to 0 in `half_period_epochs` and up again, stepped per batch."""
    return 0.5 * learning_rate * (1.0 + math.cos(math.pi * epochs_done / half_period_epochs))


def _length(task: Task) -> int:
    return task.hyperparameters.windows.window_frames


def _batches(
    knobs: Stage1 | Stage2 | Stage3, task: Task, learner: Learner, order: np.random.Generator
) -> Iterator[WindowLabels]:
    if isinstance(knobs, Stage1):
        return batches.crops(task.corpus, learner.training, knobs, task.hyperparameters.windows, order)
    return batches.recordings(learner.labels, learner.training, knobs.batch_recordings, order)


def _loss(logits: Tensor, labels: Labels, knobs: Stage1 | Stage2 | Stage3) -> Tensor:
    if isinstance(knobs, Stage1):
        return masked_loss(logits, labels, focal_gamma=0.0, positive_weight_decay=False)
    return masked_loss(logits, labels, focal_gamma=knobs.focal_gamma, positive_weight_decay=knobs.positive_weight_decay)


def _self_labelled(labels: Labels, logits: network.Logits, knobs: Stage1 | Stage2 | Stage3) -> Labels:
    """Stage 1's pseudo-labels made in training: what the model itself hears above the threshold is present."""
    if not isinstance(knobs, Stage1) or knobs.pseudo_threshold >= 1:
        return labels
    heard = torch.sigmoid(logits.framewise.detach()).amax(dim=2) >= knobs.pseudo_threshold
    return Labels(torch.where(heard, 1.0, labels.positive), torch.where(heard, 0.0, labels.negative))


def _out_of_fold(task: Task, learners: Sequence[Learner]) -> OutOfFold:
    """Every recording scored by the model that did not see it, on the ruler's grid."""
    corpus, ruler = task.corpus, task.hyperparameters.ruler
    n_recordings = len(corpus.frames)
    scores = np.full((n_recordings, corpus.n_species), -1.0, dtype=np.float32)
    boxes = np.full(len(corpus.boxes.recording), -1.0, dtype=np.float32)
    folds = np.full(n_recordings, -1, dtype=np.int64)
    for learner in learners:
        held_out = np.flatnonzero(np.isin(corpus.folds, learner.held_out))
        if not len(held_out):
            continue
        grid = predict.ruler_grid(corpus.frames, held_out, ruler, corpus.frames_per_s)
        said = predict.framewise(learner.judged, corpus.sounds, grid, task.compute)
        scores = np.maximum(scores, predict.recording_scores(said, grid, n_recordings))
        boxes = np.maximum(boxes, predict.box_scores(said, grid, corpus.boxes, ruler.min_box_s * corpus.frames_per_s))
        folds[held_out] = corpus.folds[held_out]
    return OutOfFold(scores, boxes, folds)


def _pseudo_truth(learners: Sequence[Learner], corpus: Corpus) -> np.ndarray:
    """(recording, species): what any model was given as present, for the diary's moving ruler.

    What stage 1 labels for itself from batch to batch is no part of it.
    """
    truth = np.zeros((len(corpus.frames), corpus.n_species), dtype=bool)
    for learner in learners:
        window, species = np.nonzero(learner.labels.positive)
        truth[learner.labels.recording[window], species] = True
    return truth
