"""A fold model in training, and its state as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from rfcx_model.labels import WindowLabels
from rfcx_model.network import RFCXNet

HeldOut = tuple[int, ...]
"""The folds that one model never sees; empty for a model of all data."""


@dataclass(frozen=True, eq=False)
class State:
    """All that a stage needs to go on after an epoch, as tensors and plain JSON facts."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def weights(self, model: int) -> dict[str, Tensor]:
        """The weights of the model at this place in `Task.held_out`: averaged ones where the stage averages."""
        for kind in ("average", "net"):
            prefix = f"{model}.{kind}."
            found = {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)}
            if found:
                return found
        raise KeyError(f"the state holds no model {model}")

    def finished(self) -> State:
        """The state without what only further training would need: a third of the size."""
        return State({name: t for name, t in self.tensors.items() if ".adam." not in name}, self.facts)


@dataclass(eq=False)
class Learner:
    """One network in training, which may not see the folds that are held out."""

    held_out: HeldOut
    net: RFCXNet
    optimiser: torch.optim.Adam
    average: AveragedModel | None
    labels: WindowLabels
    training: NDArray[np.bool_]  # (recording,) which it may be trained on

    @property
    def judged(self) -> RFCXNet:
        """The network that counts: the averaged one where weights are averaged, else the last epoch's."""
        return self.net if self.average is None else cast(RFCXNet, self.average.module)

    def step(self, learning_rate: float) -> None:
        """Apply the gathered gradients at this rate."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.net)


def snapshot(learners: Sequence[Learner], facts: Mapping[str, Any]) -> State:
    """A copy of everything, on the CPU."""
    tensors: dict[str, Tensor] = {}
    for index, learner in enumerate(learners):
        for name, value in learner.net.state_dict().items():
            tensors[f"{index}.net.{name}"] = value
        if learner.average is not None:
            for name, value in learner.average.module.state_dict().items():
                tensors[f"{index}.average.{name}"] = value
            tensors[f"{index}.averaged"] = learner.average.n_averaged
        for parameter, moments in learner.optimiser.state_dict()["state"].items():
            for name, value in moments.items():
                tensors[f"{index}.adam.{parameter}.{name}"] = value
    return State({name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}, facts)


def restore(learners: Sequence[Learner], state: State) -> None:
    """Put learners of the same task where the state was taken."""
    for index, learner in enumerate(learners):
        own = {n.removeprefix(f"{index}."): t for n, t in state.tensors.items() if n.startswith(f"{index}.")}
        learner.net.load_state_dict({n.removeprefix("net."): t for n, t in own.items() if n.startswith("net.")})
        if learner.average is not None:
            average = {n.removeprefix("average."): t for n, t in own.items() if n.startswith("average.")}
            learner.average.module.load_state_dict(average)
            learner.average.n_averaged = own["averaged"].clone().to(learner.average.n_averaged.device)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in own.items():
            if name.startswith("adam."):
                _, parameter, moment = name.split(".")
                moments.setdefault(int(parameter), {})[moment] = value
        known = learner.optimiser.state_dict()
        learner.optimiser.load_state_dict({"state": moments, "param_groups": known["param_groups"]})
