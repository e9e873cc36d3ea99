"""What one trial shows in TensorBoard: scalars by group, and its row in the HParams table. Written by the driver.

The event files are written with tensorboard's own record writer: tensorboardX and torch's would both import torch
into the driver. No `experiment` record is written: TensorBoard then works out columns and domains from all trials
together, so that none is filtered away.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer.record_writer import RecordWriter

from rfcx_model.hyperparameters import leaks
from study.trials import EpochRecord

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
}
"""Metric → scalar tag; a metric that is not named here goes to `other/`."""

FINAL: Final = "objective/final"
"""Written once, for COMPLETE trials that are not leaky: sort the HParams table by it and the best one is on top."""

LEAKY: Final = "leaky"
"""A column of the HParams table that only leaky trials fill: their teachers saw the held-out fold."""

EndState = Literal["COMPLETE", "PRUNED", "FAILED", "STOPPED"]

_PREFIX: Final = "events.out.tfevents."
_START_TAG: Final = "_hparams_/session_start_info"
_END_TAG: Final = "_hparams_/session_end_info"


class TrialBoard:
    """The event files in one trial's folder, open for writing. `step` is the highest step on file.

    Opened again on the same folder it carries on: an epoch that is on file already is not written twice, so the
    driver may hand over all epochs of the ledger again, which fills any gap that a crash left at the end.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], searched: Sequence[str]) -> None:
        events = list(_events(folder))
        self._leaky = leaks(config)
        self.step = max((event.step for event in events if _has_scalar(event)), default=0)
        self._tags = {value.tag for event in events for value in event.summary.value}
        self._file = _next_file(folder).open("xb")
        self._records = RecordWriter(self._file)
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._session(_START_TAG, HParamsPluginData(session_start_info=_start(folder.name, config, searched)))
        self._file.flush()

    def epoch(self, record: EpochRecord) -> None:
        """Write an epoch's metrics at its step, with the time it ended; those that are not finite are left out."""
        if record.step <= self.step:
            return
        for name, value in record.metrics.items():
            self._scalar(TAGS.get(name, f"other/{name}"), value, record.step, record.time)
        self._file.flush()
        self.step = record.step

    def end(self, state: EndState, score: float | None) -> None:
        """Write how the trial ended. A STOPPED trial may be carried on, so its session stays open."""
        if state == "COMPLETE" and score is not None and not self._leaky and FINAL not in self._tags:
            self._scalar(FINAL, score, self.step, time.time())
        if state != "STOPPED":
            status = Status.Value("STATUS_FAILURE" if state == "FAILED" else "STATUS_SUCCESS")
            self._session(_END_TAG, HParamsPluginData(session_end_info=SessionEndInfo(status=status)))
        self._file.flush()

    def close(self) -> None:
        """Flush and close the event file."""
        self._file.close()

    def _add(self, event: Event) -> None:
        self._records.write(event.SerializeToString())

    def _scalar(self, tag: str, value: float, step: int, at: float) -> None:
        if not math.isfinite(value):
            return
        self._tags.add(tag)
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        self._add(Event(wall_time=at, step=step, summary=summary))

    def _session(self, tag: str, content: HParamsPluginData) -> None:
        if tag in self._tags:  # TensorBoard keeps the first of each
            return
        self._tags.add(tag)
        plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content.SerializeToString())
        summary = Summary(value=[Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))])
        self._add(Event(wall_time=time.time(), summary=summary))


def hparam(value: Any) -> bool | float | str:
    """A knob's value as TensorBoard takes it: booleans, numbers and strings as they are, all else as text."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return str(value)


def _start(name: str, config: Mapping[str, Any], searched: Sequence[str]) -> SessionStartInfo:
    session = SessionStartInfo(group_name=name)
    for knob in searched:
        value = hparam(config.get(knob))
        if isinstance(value, bool):
            session.hparams[knob].bool_value = value
        elif isinstance(value, str):
            session.hparams[knob].string_value = value
        else:
            session.hparams[knob].number_value = value
    if leaks(config):
        session.hparams[LEAKY].bool_value = True
    return session


def _next_file(folder: Path) -> Path:
    """A name that sorts after the files that stand there: TensorBoard reads a folder's files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    known = [int(path.name.split(".")[3]) for path in folder.glob(f"{_PREFIX}*")]
    return folder / f"{_PREFIX}{max([int(time.time()), *(number + 1 for number in known)]):010d}.study"


def _events(folder: Path) -> Iterator[Event]:
    """Whole events of all event files; what a crash cut off at the end of a file is left out."""
    for path in sorted(folder.glob(f"{_PREFIX}*")):
        data = path.read_bytes()
        at = 0
        while at + 12 <= len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            if at + 16 + length > len(data):
                break
            yield Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length


def _has_scalar(event: Event) -> bool:
    return any(not value.tag.startswith("_hparams_/") for value in event.summary.value)
