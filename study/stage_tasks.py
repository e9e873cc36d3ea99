"""Stages that no searched knob touches, trained before the trials as ordinary Ray tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
import torch

from rfcx_model import compute
from rfcx_model.errors import RunError, last_line
from rfcx_model.hyperparameters import Hyperparameters
from study import nodes, recipe, stages
from study.desk import DeskLease, open_desk, pass_on
from study.display import Display
from study.machine import Share
from study.ray_session import session
from study.setting import Alone, Setting, workshop
from study.space_settings import Resources
from study.store import open_store


@dataclass(frozen=True)
class StageOrder:
    """One stage to be trained as a task; `seed` is the trials', which names the partition."""

    hyperparameters: Hyperparameters
    request: recipe.Request
    seed: int


@ray.remote
def train_stage(order: StageOrder, setting: Setting, desk: Any, *earlier: None) -> None:
    """Find or train one stage. Ray waits for the tasks of earlier stages, since each is an argument of its own.

    No lease is asked for: the driver hands each name out once, and a task that waits for an answer lends its core away.
    """
    del earlier
    hyperparameters, request = order.hyperparameters, order.request
    own = DeskLease(desk, "")
    place = workshop(setting, hyperparameters, order.seed, lease=Alone(), tick=own.tick, say=own.say)
    stages.obtain(place, hyperparameters, request)


def train_stages(
    setting: Setting, orders: Sequence[StageOrder], display: Display, watch: Callable[[], None] = lambda: None
) -> None:
    """Start Ray on this machine just to train some stages; `watch` is called twice a second meanwhile.

    Raises:
        RunError: a stage failed.
    """
    with session(None):
        slots = nodes.share(Resources(cpus=float(setting.threads)))
        torch.set_num_threads(setting.threads)
        train_shared(setting, open_desk(), orders, slots, display, watch)


def train_shared(
    setting: Setting,
    desk: Any,
    orders: Sequence[StageOrder],
    slots: Share,
    display: Display,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Train stages as Ray tasks, each as soon as those before it are done. Those in the store are passed over.

    Raises:
        RunError: a stage failed.
    """
    store = open_store(setting.store, setting.device or compute.best())
    tasks: dict[str, Any] = {}
    total = 0
    for order in orders:
        hyperparameters, request, partition = order.hyperparameters, order.request, setting.partition(order.seed)
        name, epochs = request.name(hyperparameters, partition), request.epochs(hyperparameters)
        done = store.epochs_done(name)
        if done >= epochs or name in tasks:
            continue
        total += len(request.held_out) * (epochs - done)
        earlier = [tasks[n] for n in recipe.names(request.after, hyperparameters, partition) if n in tasks]
        task = train_stage.options(num_cpus=slots.cpus, num_gpus=slots.gpus)
        tasks[name] = task.remote(order, setting, desk, *earlier)
    if not tasks:
        return
    before, patience = ray.get(desk.trained.remote()), nodes.Patience(slots, display.say)
    with display.phase("shared stages", total, "fold-epochs"):
        left = list(tasks.values())
        while left:
            patience.look()
            ready, left = ray.wait(left, num_returns=len(left), timeout=0.5)
            display.at(ray.get(desk.trained.remote()) - before)
            pass_on(desk, display)
            watch()
            try:
                ray.get(ready)
            except ray.exceptions.RayError as error:
                raise RunError(f"a shared stage failed: {last_line(error)}") from error
