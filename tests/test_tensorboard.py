from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from rfcx_model.hyperparameters import knobs
from study import event_files
from study.shown_file import shown_path, write_shown
from study.tensorboard import CONFIRMED, FINAL, ORIGIN, REPLICATE, TAGS, EndState, TrialBoard, hparam
from study.trials import EpochRecord

CONFIG = {"stage3.mixup_site": "stage4", "stage3.mixup_alpha": 0.2, "stage3.epochs": 5, "network.backbone": "resnet18"}


def _record(step: int, **metrics: float) -> EpochRecord:
    return EpochRecord(3, 1, step, step, False, metrics or {"lwlrap": step / 10, "score": step / 20}, 1000.0 + step)


def _read(folder: Path) -> EventAccumulator:
    seen = EventAccumulator(str(folder))
    seen.Reload()
    return seen


def _points(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, round(event.value, 6)) for event in _read(folder).Scalars(tag)]


def _hparams(folder: Path, tag: str) -> Any:
    metadata: SummaryMetadata = _read(folder).SummaryMetadata(f"_hparams_/{tag}")
    return HParamsPluginData.FromString(metadata.plugin_data.content)


def test_every_metric_is_a_named_scalar_at_the_steps_of_the_trial(tmp_path: Path) -> None:
    board = TrialBoard(tmp_path, CONFIG)
    for step in (1, 2):
        board.epoch(_record(step, **dict.fromkeys(TAGS, step / 8), species_3=0.5))
    board.close()
    seen = _read(tmp_path)
    assert set(seen.Tags()["scalars"]) == {*TAGS.values(), "other/species_3"}
    for tag in TAGS.values():
        assert [(event.step, event.value, event.wall_time) for event in seen.Scalars(tag)] == [
            (1, 0.125, 1001.0),
            (2, 0.25, 1002.0),
        ]


def test_metrics_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    board = TrialBoard(tmp_path, CONFIG)
    board.epoch(_record(1, lwlrap=math.nan, precision=math.inf, recall=0.5))
    board.close()
    assert _read(tmp_path).Tags()["scalars"] == ["cv/recall"]


def test_the_session_starts_with_every_knob_searched_or_not_before_the_first_epoch(tmp_path: Path) -> None:
    board = TrialBoard(tmp_path, knobs())
    started = _hparams(tmp_path, "session_start_info").session_start_info
    board.close()
    told = {
        name: getattr(value, value.WhichOneof("kind")) if value.WhichOneof("kind") else None
        for name, value in started.hparams.items()
    }
    assert told == {name: hparam(value) for name, value in knobs().items()} | {ORIGIN: "search", REPLICATE: 0.0}
    assert started.group_name == tmp_path.name


@pytest.mark.parametrize(
    ("state", "status"),
    [("COMPLETE", "STATUS_SUCCESS"), ("PRUNED", "STATUS_SUCCESS"), ("FAILED", "STATUS_FAILURE"), ("STOPPED", None)],
)
def test_the_session_ends_with_its_status(tmp_path: Path, state: EndState, status: str | None) -> None:
    board = TrialBoard(tmp_path, CONFIG)
    board.epoch(_record(1))
    board.end(state, 0.5)
    board.close()
    plugins = _read(tmp_path).PluginTagToContent("hparams")
    assert ("_hparams_/session_end_info" in plugins) == (status is not None)
    if status is not None:
        assert _hparams(tmp_path, "session_end_info").session_end_info.status == Status.Value(status)
    finals = FINAL in _read(tmp_path).Tags()["scalars"]
    assert finals == (state == "COMPLETE")


def test_a_leaky_trial_is_marked_and_has_no_final_score(tmp_path: Path) -> None:
    for folder, config in (("leaky", {**CONFIG, "stage3.teacher_scheme": "diary"}), ("sound", CONFIG)):
        board = TrialBoard(tmp_path / folder, config)
        board.epoch(_record(1))
        board.end("COMPLETE", 0.5)
        board.close()
        board = TrialBoard(tmp_path / folder, config)  # opened again
        board.end("COMPLETE", 0.5)
        board.close()
    marked = _hparams(tmp_path / "leaky", "session_start_info").session_start_info.hparams
    assert marked["leaky"].bool_value is True
    assert set(marked) == {*CONFIG, "stage3.teacher_scheme", "leaky", ORIGIN, REPLICATE}
    assert _read(tmp_path / "leaky").Tags()["scalars"] == ["cv/lwlrap", "objective/score"]
    assert FINAL in _read(tmp_path / "sound").Tags()["scalars"]


def test_a_confirmations_trial_has_a_final_score_of_its_own_and_says_what_it_is(tmp_path: Path) -> None:
    board = TrialBoard(tmp_path, CONFIG, "confirm", 3)
    board.end("COMPLETE", 0.5)
    board.close()
    assert _read(tmp_path).Tags()["scalars"] == [CONFIRMED]
    marked = _hparams(tmp_path, "session_start_info").session_start_info.hparams
    assert (marked[ORIGIN].string_value, marked[REPLICATE].number_value) == ("confirm", 3.0)


def test_no_experiment_record_narrows_the_table(tmp_path: Path) -> None:
    board = TrialBoard(tmp_path, CONFIG)
    board.end("COMPLETE", 0.5)
    board.close()
    assert "_hparams_/experiment" not in _read(tmp_path).PluginTagToContent("hparams")


def test_a_resumed_trial_shows_each_step_once_whether_or_not_its_epochs_are_handed_over_again(tmp_path: Path) -> None:
    board = TrialBoard(tmp_path, CONFIG)
    for step in (1, 2):
        board.epoch(_record(step))
    board.close()
    for again in (range(1, 4), range(4, 6)):
        board = TrialBoard(tmp_path, CONFIG)
        for step in again:
            board.epoch(_record(step))
        board.end("COMPLETE", 0.25)
        board.close()
    assert _points(tmp_path, "cv/lwlrap") == [(step, step / 10) for step in range(1, 6)]
    assert len(_points(tmp_path, FINAL)) == 1


def test_an_event_file_that_a_crash_cut_off_is_carried_on_from_its_last_whole_step(tmp_path: Path) -> None:
    board = TrialBoard(tmp_path, CONFIG)
    for step in (1, 2):
        board.epoch(_record(step, lwlrap=step / 10))
    board.close()
    [path] = tmp_path.glob("events.out.tfevents.*")
    path.write_bytes(path.read_bytes()[:-5])
    board = TrialBoard(tmp_path, CONFIG)
    assert board.step == 1
    board.epoch(_record(2, lwlrap=0.2))
    board.close()
    assert _points(tmp_path, "cv/lwlrap") == [(1, 0.1), (2, 0.2)]


def _made(step: int, value: float = 0.5) -> bytes:
    """What a worker might make of a step."""
    summary = Summary(value=[event_files.scalar("species/7", value)])
    return event_files.record(Event(wall_time=2000.0 + step, step=step, summary=summary))


def test_what_the_worker_made_is_shown_at_powers_of_two_and_at_the_end_and_its_files_are_removed(
    tmp_path: Path,
) -> None:
    board = TrialBoard(tmp_path, CONFIG)
    for step in range(1, 8):
        if step in (1, 2, 4, 7):
            write_shown(tmp_path, step, _made(step))
        board.epoch(_record(step))
    assert [step for step, _ in _points(tmp_path, "species/7")] == [1, 2, 4]
    board.end("PRUNED", 0.5)
    board.close()
    assert [step for step, _ in _points(tmp_path, "species/7")] == [1, 2, 4, 7]
    assert len(_points(tmp_path, "cv/lwlrap")) == 7
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(event_files.PREFIX)] == []


def test_what_is_shown_is_on_file_once_although_the_worker_of_a_resumed_trial_makes_it_again(tmp_path: Path) -> None:
    board = TrialBoard(tmp_path, CONFIG)
    write_shown(tmp_path, 1, _made(1))
    board.epoch(_record(1))
    write_shown(tmp_path, 2, _made(2))  # and here the driver died, with the epoch in its ledger
    board.close()
    for _ in range(2):
        board = TrialBoard(tmp_path, CONFIG)
        write_shown(tmp_path, 1, _made(1, value=0.25))
        for step in (1, 2):
            board.epoch(_record(step))
        board.end("COMPLETE", 0.5)
        board.close()
    assert _points(tmp_path, "species/7") == [(1, 0.5), (2, 0.5)]
    assert not shown_path(tmp_path, 1).exists()


@pytest.mark.parametrize("torn", [b"", b"\0" * 7, _made(1)[:-3], _made(1) + b"x"])
def test_a_worker_s_file_that_is_not_one_whole_record_spoils_no_event_file(tmp_path: Path, torn: bytes) -> None:
    board = TrialBoard(tmp_path, CONFIG)
    write_shown(tmp_path, 1, torn)
    for step in (1, 2):
        board.epoch(_record(step))
    board.close()
    assert [step for step, _ in _points(tmp_path, "cv/lwlrap")] == [1, 2]
    assert "species/7" not in _read(tmp_path).Tags()["scalars"]


def test_a_board_holds_one_open_file_until_it_is_closed(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("open files are counted in /proc, which is not here")
    before = len(list(Path("/proc/self/fd").iterdir()))
    board = TrialBoard(tmp_path, CONFIG)
    write_shown(tmp_path, 1, _made(1))
    board.epoch(_record(1))
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    board.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_knobs_that_tensorboard_cannot_take_become_text() -> None:
    assert [hparam(value) for value in (None, [0, 32], True, 3, 0.5, "a", math.inf)] == [
        "None",
        "[0, 32]",
        True,
        3.0,
        0.5,
        "a",
        "inf",
    ]


def test_the_driver_needs_neither_torch_nor_tensorflow_to_write_events() -> None:
    code = "import sys, study.tensorboard, study.best_board; print({'torch', 'tensorflow', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
