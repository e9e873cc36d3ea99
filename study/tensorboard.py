"""What one trial shows in TensorBoard: scalars by group, its row in the HParams table, and what its worker made.

Written by the driver. Which columns the HParams table has, and which trial is the best, stands on the study's own
board (`best_board`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from rfcx_model.hyperparameters import leaks
from study import event_files
from study.shown_file import GROUPS, due, shown_path
from study.trials import EpochRecord, Origin

TAGS: Final = {
    "score": "objective/score",
    "lwlrap": "cv/lwlrap",
    "precision": "cv/precision",
    "precision_avg": "cv/precision_avg",
    "tpfp_auc": "cv/tpfp_auc",
    "recall": "cv/recall",
    "train_loss": "train/loss",
    "seconds": "train/seconds",
    "diary_lwlrap": "diary/lwlrap",
    "diary_precision": "diary/precision",
    **{f"lockbox_{name}": f"lockbox/{name}" for name in ("score", "lwlrap", "precision", "precision_avg", "tpfp_auc")},
    "lockbox_recall": "lockbox/recall",
}
"""Metric → scalar tag; a metric that is not named here goes to `other/`."""

FINAL: Final = "objective/final"
"""Written once, for the search's COMPLETE trials that are not leaky: sort by it and the best one is on top."""

CONFIRMED: Final = "confirm/score"
"""The same of a confirmation's trials, whose partitions are others."""

ORIGIN: Final = "trial.origin"
REPLICATE: Final = "trial.replicate"
"""Columns of the HParams table beside the knobs."""

LEAKY: Final = "leaky"
"""A column of the HParams table that only leaky trials fill: their teachers saw the held-out fold."""

EndState = Literal["COMPLETE", "PRUNED", "FAILED", "STOPPED"]

_START_TAG: Final = "_hparams_/session_start_info"
_END_TAG: Final = "_hparams_/session_end_info"


class TrialBoard:
    """The event files in one trial's folder, open for writing. `step` is the highest step on file.

    Opened again on the same folder it carries on: an epoch that is on file already is not written twice, so the
    driver may hand over all epochs of the ledger again, which fills any gap that a crash left at the end.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], origin: Origin = "search", replicate: int = 0) -> None:
        events = list(event_files.read(folder))
        self._folder = folder
        self._leaky = leaks(config)
        self._final = CONFIRMED if origin == "confirm" else FINAL
        self.step = max((event.step for event in events if _has_scalar(event)), default=0)
        self._shown = {event.step for event in events if _is_shown(event)}
        self._tags = {value.tag for event in events for value in event.summary.value}
        self._file = event_files.next_path(folder).open("xb")
        self._file.write(event_files.first_record())
        self._session(_START_TAG, HParamsPluginData(session_start_info=_start(folder.name, config, origin, replicate)))
        self._file.flush()

    def epoch(self, record: EpochRecord) -> None:
        """Write an epoch's metrics at its step, with the time it ended; those that are not finite are left out."""
        if record.step > self.step:
            for name, value in record.metrics.items():
                self._scalar(TAGS.get(name, f"other/{name}"), value, record.step, record.time)
            self.step = record.step
        if due(record.step):
            self._show(record.step)
        self._file.flush()

    def end(self, state: EndState, score: float | None) -> None:
        """Write how the trial ended. A STOPPED trial may be carried on, so its session stays open."""
        self._show(self.step)
        if state == "COMPLETE" and score is not None and not self._leaky and self._final not in self._tags:
            self._scalar(self._final, score, self.step, time.time())
        if state != "STOPPED":
            status = Status.Value("STATUS_FAILURE" if state == "FAILED" else "STATUS_SUCCESS")
            self._session(_END_TAG, HParamsPluginData(session_end_info=SessionEndInfo(status=status)))
        self._file.flush()

    def close(self) -> None:
        """Flush and close the event file."""
        self._file.close()

    def _show(self, step: int) -> None:
        """Take over what the worker made at a step, once, where it made something."""
        path = shown_path(self._folder, step)
        try:
            made = path.read_bytes()
        except FileNotFoundError:
            return
        if step not in self._shown and event_files.is_record(made):
            self._file.write(made)
            self._file.flush()
            self._shown.add(step)
        path.unlink(missing_ok=True)

    def _add(self, event: Event) -> None:
        self._file.write(event_files.record(event))

    def _scalar(self, tag: str, value: float, step: int, at: float) -> None:
        if not math.isfinite(value):
            return
        self._tags.add(tag)
        self._add(Event(wall_time=at, step=step, summary=Summary(value=[event_files.scalar(tag, value)])))

    def _session(self, tag: str, content: HParamsPluginData) -> None:
        if tag in self._tags:  # TensorBoard keeps the first of each
            return
        self._tags.add(tag)
        value = event_files.plugin_value(tag, "hparams", content.SerializeToString())
        self._add(Event(wall_time=time.time(), summary=Summary(value=[value])))


def hparam(value: Any) -> bool | float | str:
    """A knob's value as TensorBoard takes it: booleans, numbers and strings as they are, all else as text."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return str(value)


def _start(name: str, config: Mapping[str, Any], origin: Origin, replicate: int) -> SessionStartInfo:
    """Every knob, searched or not: which are columns is for the reader to tick."""
    session = SessionStartInfo(group_name=name)
    for knob, known in config.items():
        value = hparam(known)
        if isinstance(value, bool):
            session.hparams[knob].bool_value = value
        elif isinstance(value, str):
            session.hparams[knob].string_value = value
        else:
            session.hparams[knob].number_value = value
    session.hparams[ORIGIN].string_value = origin
    session.hparams[REPLICATE].number_value = replicate
    if leaks(config):
        session.hparams[LEAKY].bool_value = True
    return session


def _has_scalar(event: Event) -> bool:
    return any(not value.tag.startswith("_hparams_/") for value in event.summary.value)


def _is_shown(event: Event) -> bool:
    return any(value.tag.startswith(GROUPS) for value in event.summary.value)
