"""What a trial's worker makes to be shown: PR curves, each species' precision, and pictures of a few recordings.

It has the models and the sound. What it makes is one event a step; see `shown_file` for how that gets on the board.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata

from rfcx_model import network
from rfcx_model.compute import Compute
from rfcx_model.corpus import Corpus
from rfcx_model.hyperparameters import Frontend, Hyperparameters
from rfcx_model.learner import HeldOut
from rfcx_model.listening import Heard, hears, richest
from rfcx_model.metrics import OutOfFold
from rfcx_model.network import RFCXNet
from rfcx_model.recordings import Recordings
from rfcx_model.train import Epoch
from study import picture, precision_recall
from study.event_files import record
from study.shown_file import write_shown

RECORDINGS: Final = 3
SAID: Final = (
    "Log-mel with the listed boxes, blue where an expert confirmed a call and orange where one refused it; below it "
    "the framewise probability, dark 0 to yellow 1, of the listed species, by models that did not see the recording. "
    "Tick *Show actual image size* to read the words."
)


@dataclass(frozen=True, eq=False)
class Showcase:
    """What a worker needs to show a trial."""

    recordings: Recordings
    corpus: Corpus
    compute: Compute
    hyperparameters: Hyperparameters
    held_out: tuple[HeldOut, ...]  # of each model

    def save(self, folder: Path, step: int, epoch: Epoch) -> None:
        """Write what there is to show of a measured epoch. One that was found without its outputs has none."""
        if not {"recording_scores", "box_scores", "folds"} <= epoch.outputs.keys():
            return
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=list(self._values(epoch))))
        write_shown(folder, step, record(event))

    @cached_property
    def _chosen(self) -> list[int]:
        return richest(self.corpus.listed, self.corpus.folds, RECORDINGS)

    @cached_property
    def _net(self) -> RFCXNet:
        """One network for all models and epochs: to build one takes longer than what it is to hear."""
        net = network.build(self.hyperparameters.network, self.corpus.n_species, seed=0, load_pretrained=False)
        return network.placed(net, self.compute).eval()

    def _values(self, epoch: Epoch) -> Iterator[Summary.Value]:
        scored = OutOfFold(*(epoch.outputs[name] for name in ("recording_scores", "box_scores", "folds")))
        yield from precision_recall.values(
            precision_recall.Judged.of(self.corpus.listed, scored), self.recordings.species
        )
        for model, folds in enumerate(self.held_out):
            mine = [one for one in self._chosen if self.corpus.folds[one] in folds]
            if mine:
                self._net.load_state_dict(epoch.state.weights(model))
                for heard in hears(self._net, mine, self.hyperparameters, self.corpus, self.compute):
                    yield self._picture(heard)

    def _picture(self, heard: Heard) -> Summary.Value:
        row = self.recordings.train.iloc[heard.recording]
        duration_s = len(heard.cells) / self.corpus.frames_per_s
        boxes = listed_boxes(self.recordings, heard.recording, self.hyperparameters.frontend, duration_s)
        png = picture.draw(heard.cells, heard.probabilities, boxes, self.recordings.species, duration_s)
        height, width = (int.from_bytes(png[at : at + 4], "big") for at in (20, 16))
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        metadata = SummaryMetadata(summary_description=SAID)
        return Summary.Value(tag=f"heard/{row['recording_id']}", image=image, metadata=metadata)


def listed_boxes(recordings: Recordings, recording: int, frontend: Frontend, duration_s: float) -> list[picture.Box]:
    """The boxes of a recording, in shares of its log-mel."""
    table = recordings.boxes[recordings.boxes["recording"] == recording]
    low, high = (_mel_share(table[column].to_numpy(np.float64), frontend) for column in ("f_min", "f_max"))
    left, right = (np.clip(table[column].to_numpy(np.float64) / duration_s, 0, 1) for column in ("t_min", "t_max"))
    return [
        picture.Box(int(table["species"].iloc[row]), *edges, bool(table["positive"].iloc[row]))
        for row, edges in enumerate(zip(left, right, low, high, strict=True))
    ]


def _mel_share(hz: np.ndarray, frontend: Frontend) -> np.ndarray:
    """Where frequencies lie among the mels, 0 to 1: Slaney's scale, linear up to 1 kHz, as in the front end."""

    def mel(f: np.ndarray) -> np.ndarray:
        return np.where(f < 1000, f * 3 / 200, 15 + 27 * np.log(np.maximum(f, 1) / 1000) / np.log(6.4))

    lowest, highest = mel(np.array([frontend.f_min_hz, frontend.f_max_hz], dtype=np.float64))
    return np.asarray(np.clip((mel(hz) - lowest) / (highest - lowest), 0, 1))
