"""What a worker shows: made from a trial's own epochs, small, and without any trace in the training."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tiny import KNOBS

from rfcx_model.hyperparameters import Frontend, build
from rfcx_model.recordings import Recordings, load
from rfcx_model.train import Epoch
from study import event_files, picture
from study.picture import CONFIRMED, HEIGHT, LEFT, WIDTH
from study.recipe import trial_request
from study.setting import Alone, Setting, workshop
from study.showcase import RECORDINGS, Showcase, listed_boxes
from study.shown_file import GROUPS, due, shown_path
from study.stages import trial_epochs
from study.tensorboard import TrialBoard
from study.trials import EpochRecord

SEED = 5
H = build(KNOBS | {"stage2.epochs": 0, "stage3.pseudo_threshold": 1.0, "stage3.epochs": 2})
Play = Callable[[str, Path | None], list[Epoch]]


@pytest.fixture
def recordings(shared_tiny_folder: Path) -> Recordings:
    return load(shared_tiny_folder)


@pytest.fixture
def play(recordings: Recordings, tmp_path: Path) -> Play:
    """The epochs of a trial, trained in a store of its own or found there, and shown where there is a folder for it."""

    def played(store: str, folder: Path | None) -> list[Epoch]:
        setting = Setting(recordings, 2, tmp_path / "cache", tmp_path / store, threads=1)
        place = workshop(setting, H, SEED, lease=Alone(), tick=lambda _: None)
        request = trial_request(H, (0, 1), SEED)
        show = Showcase(recordings, place.corpus, place.compute, H, request.held_out)
        told = []
        for step, (epoch, _) in enumerate(trial_epochs(place, H, request), start=1):
            told.append(epoch)
            if folder is not None:
                show.save(folder, step, epoch)
        return told

    return played


def shown(folder: Path, step: int) -> Event:
    made = shown_path(folder, step).read_bytes()
    assert event_files.is_record(made)
    return Event.FromString(made[12:-4])


def test_an_epoch_shows_curves_species_and_the_same_recordings_each_time_and_training_goes_on_as_without(
    play: Play, tmp_path: Path, recordings: Recordings
) -> None:
    told, alone = play("a", tmp_path / "shown"), play("b", None)
    assert [epoch.train_loss for epoch in told] == [epoch.train_loss for epoch in alone]
    assert [dict(epoch.metrics) for epoch in told] == [dict(epoch.metrics) for epoch in alone]
    tags = []
    for step in (1, 2):
        event = shown(tmp_path / "shown", step)
        assert event.step == step
        tags.append([value.tag for value in event.summary.value])
        assert all(tag.startswith(GROUPS) for tag in tags[-1])
        assert len(shown_path(tmp_path / "shown", step).read_bytes()) < 200_000
    assert tags[0] == tags[1]
    pictures = {tag.removeprefix("heard/") for tag in tags[0] if tag.startswith("heard/")}
    assert len(pictures) == RECORDINGS
    assert pictures <= set(recordings.train["recording_id"])
    average = [value.simple_value for value in shown(tmp_path / "shown", 2).summary.value if "species/" in value.tag]
    assert np.mean(average) == pytest.approx(told[-1].metrics["precision_avg"], abs=1e-6)


def test_a_picture_is_what_the_model_hears_that_did_not_see_the_recording(
    play: Play, tmp_path: Path, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[np.ndarray] = []
    draw = picture.draw

    def noted(cells: Any, probabilities: Any, boxes: Any, species: Any, duration_s: float) -> bytes:
        heard.append(probabilities)
        return draw(cells, probabilities, boxes, species, duration_s)

    monkeypatch.setattr(picture, "draw", noted)
    epoch = play("a", tmp_path / "shown")[-1]
    ids = recordings.train["recording_id"].tolist()
    tags = [value.tag for value in shown(tmp_path / "shown", 2).summary.value if value.tag.startswith("heard/")]
    chosen = [ids.index(tag.removeprefix("heard/")) for tag in tags]
    assert len(set(epoch.outputs["folds"][chosen])) == 2, "recordings of both folds"
    for one, probabilities in zip(chosen, heard[-len(chosen) :], strict=True):
        assert probabilities.max(axis=1) == pytest.approx(epoch.outputs["recording_scores"][one], abs=1e-5)


def test_of_epochs_found_in_the_store_the_last_is_shown_as_when_it_was_trained_and_the_board_takes_it(
    play: Play, tmp_path: Path
) -> None:
    play("a", tmp_path / "first")
    play("a", tmp_path / "again")
    assert not shown_path(tmp_path / "again", 1).exists(), "its models are gone"
    assert shown(tmp_path / "again", 2).summary == shown(tmp_path / "first", 2).summary
    board = TrialBoard(tmp_path / "again", {})
    board.epoch(EpochRecord(3, 1, 2, 2, True, {}, 1.0))
    board.close()
    images = [v.image for e in event_files.read(tmp_path / "again") for v in e.summary.value if v.HasField("image")]
    assert len(images) == RECORDINGS
    seen = np.asarray(Image.open(io.BytesIO(images[0].encoded_image_string)))
    assert seen.shape == (images[0].height, images[0].width)
    assert (seen[:HEIGHT, LEFT:] == CONFIRMED).any()


def test_boxes_lie_where_the_front_end_has_their_band(recordings: Recordings) -> None:
    librosa = pytest.importorskip("librosa")
    frontend = Frontend(sample_rate_hz=8000, f_min_hz=50.0, f_max_hz=4000.0, n_fft=256, hop_length=128, n_mels=32)
    edges = librosa.mel_frequencies(n_mels=101, fmin=50.0, fmax=4000.0)
    table = recordings.boxes
    rows = table[table["recording"] == 3].to_dict("records")
    for row, box in zip(rows, listed_boxes(recordings, 3, frontend, 6.0), strict=True):
        assert box.low == pytest.approx(np.interp(row["f_min"], edges, np.linspace(0, 1, 101)), abs=1e-3)
        assert box.high == pytest.approx(np.interp(row["f_max"], edges, np.linspace(0, 1, 101)), abs=1e-3)
        assert (box.left, box.right) == pytest.approx((row["t_min"] / 6.0, row["t_max"] / 6.0))
        assert box.positive == row["positive"]


def test_a_long_trial_is_shown_hardly_more_often_than_a_short_one() -> None:
    assert [step for step in range(1, 63) if due(step, 62)] == [1, 2, 4, 8, 16, 32, 62]
    assert [step for step in range(1, 6) if due(step, 5)] == [1, 2, 4, 5]
    assert WIDTH + LEFT < 1000
