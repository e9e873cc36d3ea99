"""TensorBoard's event files: records written, records read back. No torch, no TensorFlow.

They are written with tensorboard's own record writer: tensorboardX and torch's would both import torch into the driver.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.summary.writer.record_writer import RecordWriter

PREFIX: Final = "events.out.tfevents."
_HEAD, _FOOT = 12, 4  # bytes of a record around its content: length and checksum, checksum


def record(event: Event) -> bytes:
    """The event as it stands in a file. The checksum is plain Python: 10 ms for 70 kB."""
    written = io.BytesIO()
    RecordWriter(written).write(event.SerializeToString())
    return written.getvalue()


def is_record(data: bytes) -> bool:
    """Whether the bytes are one record from end to end."""
    return len(data) >= _HEAD + _FOOT and struct.unpack_from("<Q", data)[0] == len(data) - _HEAD - _FOOT


def first_record() -> bytes:
    """What every event file begins with."""
    return record(Event(wall_time=time.time(), file_version="brain.Event:2"))


def next_path(folder: Path) -> Path:
    """A name that sorts after the files that stand there: TensorBoard reads a folder's files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    known = [int(path.name.split(".")[3]) for path in folder.glob(f"{PREFIX}*")]
    return folder / f"{PREFIX}{max([int(time.time()), *(number + 1 for number in known)]):010d}.study"


def read(folder: Path) -> Iterator[Event]:
    """Whole events of all event files; what a crash cut off at the end of a file is left out."""
    for path in sorted(folder.glob(f"{PREFIX}*")):
        data = path.read_bytes()
        at = 0
        while at + _HEAD <= len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            end = at + _HEAD + length + _FOOT
            if end > len(data):
                break
            yield Event.FromString(data[at + _HEAD : end - _FOOT])
            at = end


def scalar(tag: str, value: float) -> Summary.Value:
    """A point of a curve."""
    return Summary.Value(tag=tag, simple_value=value)


def plugin_value(tag: str, plugin: str, content: bytes, description: str = "") -> Summary.Value:
    """A value that one of TensorBoard's plugins reads; its tensor, where it needs one, is still to be filled in."""
    data = SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    metadata = SummaryMetadata(plugin_data=data, summary_description=description)
    return Summary.Value(tag=tag, metadata=metadata)
