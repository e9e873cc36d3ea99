"""What every process of a study needs to find or train a stage: data, partitions, folders, threads. Knows no Ray."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import torch

from rfcx_model import compute, corpus
from rfcx_model.batches import derive
from rfcx_model.folds import LOCKED, assign_folds, lockbox
from rfcx_model.hyperparameters import Frontend, Hyperparameters, Windows
from rfcx_model.labels import Indices
from rfcx_model.recordings import Recordings
from rfcx_model.spectrogram_cache import prepare
from study.recipe import Partition
from study.stages import Lease, Workshop
from study.store import open_store

LEASE_POLL_S = 0.5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lockbox:
    """Recordings that a search neither trains on nor scores: a share of them, drawn with the study's seed."""

    share: float = 0.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Setting:
    """The surroundings of a study's trials."""

    recordings: Recordings
    n_folds: int
    cache: Path
    store: Path
    threads: int
    device: str | None = None  # what trials compute on, where that is not this process's own
    lockbox: Lockbox = Lockbox()
    pretrained: Mapping[str, str] = field(default_factory=dict)  # digests by Network.source; see `recipe.Partition`
    _partitions: dict[int, Partition] = field(default_factory=dict)

    def folds(self, seed: int) -> Indices:
        """(recording,) the fold of each recording in the partition of a replicate, given its trials' seed.

        Those in the lockbox, the same in all replicates, are LOCKED.
        """
        locked = lockbox(self.recordings, self.lockbox.share, derive(self.lockbox.seed, "lockbox"))
        return assign_folds(self.recordings, self.n_folds, derive(seed, "partition"), locked)

    def partition(self, seed: int) -> Partition:
        """What stage names need to know of the data; kept, since all trials of a replicate share it."""
        if seed not in self._partitions:
            self._partitions[seed] = self._partition(seed)
        return self._partitions[seed]

    def _partition(self, seed: int) -> Partition:
        ids, folds = self.recordings.train["recording_id"].to_numpy(), self.folds(seed)
        held_out = tuple(_hash(ids[folds == fold]) for fold in range(self.n_folds))
        locked = ids[folds == LOCKED]
        return Partition(self.recordings.fingerprint, held_out, _hash(locked) if len(locked) else "", self.pretrained)


def _hash(ids: Iterable[str]) -> str:
    return sha256("\n".join(sorted(ids)).encode()).hexdigest()


def trial_seed(study_seed: int, replicate: int) -> int:
    """The seed that all trials of a replicate share: partition, weights and draws come from it."""
    return derive(study_seed, "replicate", replicate)


class Alone:
    """The lease of a process that shares its store with nobody."""

    def acquire(self, name: str) -> bool:
        """Always."""
        del name
        return True

    def holds(self, name: str) -> bool:
        """Always."""
        del name
        return True

    def release(self, name: str) -> None:
        """Nothing to do."""


def workshop(
    setting: Setting,
    hyperparameters: Hyperparameters,
    seed: int,
    *,
    lease: Lease,
    tick: Callable[[int], None],
    say: Callable[[str], None] = log.warning,
) -> Workshop:
    """The place where one trial or stage of this process is trained. Data that the last one used stays loaded.

    `say` is told what a person should know: results that stand in the store and cannot be used.
    """
    torch.set_num_threads(setting.threads)
    place = compute.best()
    knobs = (hyperparameters.frontend, hyperparameters.windows)
    return Workshop(
        store=open_store(setting.store, place, say),
        corpus=_corpus(_Shared(setting), *knobs, seed, str(place)),
        partition=setting.partition(seed),
        compute=place,
        lease=lease,
        wait=lambda: time.sleep(LEASE_POLL_S),
        tick=tick,
    )


class _Shared:
    """A setting as a cache key: equal where data and folders are."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.key = (setting.recordings.fingerprint, setting.n_folds, setting.cache, setting.lockbox)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shared) and self.key == other.key


@lru_cache(maxsize=2)
def _corpus(shared: _Shared, frontend: Frontend, windows: Windows, seed: int, place: str) -> corpus.Corpus:
    del place  # part of the key: a corpus lies on a device
    setting = shared.setting
    cached = prepare(setting.recordings, frontend, setting.cache, workers=setting.threads)
    knobs = Hyperparameters(frontend=frontend, windows=windows)
    return corpus.build(setting.recordings, cached, setting.folds(seed), knobs, compute.best())
