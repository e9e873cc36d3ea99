"""What the processes of a study tell one another while it runs: leases on stages, work done, things to be said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import ray

from study import nodes
from study.display import Display
from study.ray_environment import DESK


@ray.remote(num_cpus=0)
class Desk:
    """An in-memory actor of the driver: leases on stages, the count of fold-epochs trained, and what is to be said.

    A lease belongs to an owner and has a number; the driver drops what a dead owner held, so that another takes over.
    Should the dead one turn out to be alive, its number is no longer the lease's, and it writes nothing.
    """

    def __init__(self) -> None:
        self._leases: dict[str, tuple[str, int]] = {}
        self._attempts = 0
        self._trained = 0
        self._said: dict[str, bool] = {}  # whether the driver has heard it

    def acquire(self, name: str, owner: str) -> int:
        """The number of a new lease on the stage, or 0 while another owner has it."""
        if self._leases.get(name, (owner, 0))[0] != owner:
            return 0
        self._attempts += 1
        self._leases[name] = (owner, self._attempts)
        return self._attempts

    def holds(self, name: str, attempt: int) -> bool:
        """Whether the lease of this number is the stage's present one."""
        return name in self._leases and self._leases[name][1] == attempt

    def release(self, name: str, attempt: int) -> None:
        """Give a lease back; one that has passed to another stays there."""
        if self.holds(name, attempt):
            del self._leases[name]

    def drop(self, owner: str) -> None:
        """Take back all that an owner held."""
        self._leases = {name: lease for name, lease in self._leases.items() if lease[0] != owner}

    def tick(self, fold_epochs: int) -> None:
        """So many fold-epochs have been trained."""
        self._trained += fold_epochs

    def trained(self) -> int:
        """Fold-epochs trained since the start."""
        return self._trained

    def say(self, text: str) -> None:
        """What a person should know; several workers may find the same."""
        self._said.setdefault(text, False)

    def heard(self) -> list[str]:
        """What has been said since the last question."""
        new = [text for text, heard in self._said.items() if not heard]
        self._said |= dict.fromkeys(new, True)
        return new


@dataclass(frozen=True)
class DeskLease:
    """One owner's side of the desk, with the numbers of its leases."""

    desk: Any  # the actor's handle
    owner: str
    _numbers: dict[str, int] = field(default_factory=dict)

    def acquire(self, name: str) -> bool:
        """See `Desk.acquire`."""
        self._numbers[name] = ray.get(self.desk.acquire.remote(name, self.owner))
        return self._numbers[name] > 0

    def holds(self, name: str) -> bool:
        """See `Desk.holds`."""
        return bool(ray.get(self.desk.holds.remote(name, self._numbers.get(name, 0))))

    def release(self, name: str) -> None:
        """See `Desk.release`."""
        ray.get(self.desk.release.remote(name, self._numbers.get(name, 0)))

    def tick(self, fold_epochs: int) -> None:
        """See `Desk.tick`; nobody waits for it."""
        self.desk.tick.remote(fold_epochs)

    def say(self, text: str) -> None:
        """See `Desk.say`."""
        self.desk.say.remote(text)


def open_desk() -> Any:
    """The desk, on the driver's own node: it must not be lost with another."""
    there, own = nodes.on_node(nodes.here()), {"env_vars": {DESK: "1"}}  # else it takes a process made for trials
    return Desk.options(scheduling_strategy=there, runtime_env=own).remote()  # type: ignore[attr-defined]


def pass_on(desk: Any, display: Display) -> None:
    """What workers have to say."""
    for text in ray.get(desk.heard.remote()):
        display.say(text)
