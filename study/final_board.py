"""A final training on TensorBoard: each of its stages is a run, fed from the store while it is trained."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path

from rfcx_model.hyperparameters import Hyperparameters, flatten
from study.store import Store
from study.tensorboard import TrialBoard
from study.trials import EpochRecord

Stages = Mapping[str, tuple[str, Hyperparameters]]
"""Label of a run → the stage's name in the store, and its knobs."""


class FinalBoard:
    """Scalars of all stages, as far as the store has them. An epoch that is on file already is not written twice."""

    def __init__(self, folder: Path, store: Store, stages: Stages) -> None:
        self._folder, self._store, self._stages = folder, store, stages
        self._boards: dict[str, TrialBoard] = {}

    def look(self) -> None:
        """Write the epochs that have been trained since."""
        for label, (name, h) in self._stages.items():
            history = self._store.history(name)
            if not history or (label in self._boards and len(history) <= self._boards[label].step):
                continue
            if label not in self._boards:
                self._boards[label] = TrialBoard(self._folder / label, flatten(h))
            for facts in history[self._boards[label].step :]:
                self._boards[label].epoch(_record(name, facts["epoch"], facts))

    def close(self) -> None:
        """Write what is left, and close the files."""
        self.look()
        for board in self._boards.values():
            board.end("COMPLETE", None)
            board.close()


def _record(name: str, epoch: int, facts: Mapping[str, object]) -> EpochRecord:
    told = {**_numbers(facts["metrics"]), **_numbers({"train_loss": facts["train_loss"]})}
    return EpochRecord(int(name[len("stage")]), 1, epoch, epoch, False, told, time.time())


def _numbers(values: object) -> dict[str, float]:
    """Metrics as floats; the store writes what is not finite as null."""
    told = values if isinstance(values, Mapping) else {}
    return {str(key): math.nan if value is None else float(value) for key, value in told.items()}
