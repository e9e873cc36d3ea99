"""Field recordings: tables under the recordings' own paths, whatever is interrupted or broken."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console
from tiny import Sound, write_sound
from untrained_model import write_model

from rfcx_model.errors import InputError, RunError
from study import field
from study.call_tables import audacity, read_raven
from study.display import Display
from study.field import Detector, Summary, detect

QUIET = Display(Console(quiet=True))
EAGER = Detector(threshold=0.4, piece_s=5.0)  # an untrained network says about 0.5 everywhere


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("field") / "model")


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Three recordings of unlike rates and lengths, one in a subfolder, and a file that is none."""
    generator = np.random.default_rng(0)
    (tmp_path / "sounds" / "north").mkdir(parents=True)
    for name, rate_hz, duration_s in (("a.flac", 8000, 6.0), ("north/b.wav", 48_000, 13.0), ("c.ogg", 16_000, 2.0)):
        sound = Sound(duration_s=duration_s, sample_rate_hz=rate_hz)
        write_sound(tmp_path / "sounds" / name, sound, 1, 0.5, generator)
    (tmp_path / "sounds" / "notes.txt").write_text("none")
    return tmp_path / "sounds"


def found(model: Path, sounds: Path, name: str = "calls", detector: Detector = EAGER) -> Summary:
    return detect(model, sounds, sounds.parent / name, detector, QUIET)


def rows(folder: Path) -> list[list[str]]:
    with (folder / "detections.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_every_recording_has_its_tables_and_all_calls_stand_in_one(model: Path, sounds: Path) -> None:
    summary = found(model, sounds)
    assert (summary.recordings, summary.known, summary.faults) == (3, 0, ())
    names = ["a.flac", "c.ogg", "north/b.wav"]
    head, *told = rows(summary.folder)
    assert head == ["recording", "start_s", "end_s", "species_id", "score"]
    assert list(dict.fromkeys(row[0] for row in told)) == names
    assert len(told) == summary.calls > 0
    lengths_s = {"a.flac": 6.0, "c.ogg": 2.0, "north/b.wav": 13.0}
    for name in names:
        calls = read_raven(summary.folder / f"{name}.raven.txt")
        mine = [row for row in told if row[0] == name]
        assert [[f"{one.start_s:.6f}", f"{one.end_s:.6f}", str(one.species), f"{one.score:.6f}"] for one in calls] == [
            row[1:] for row in mine
        ]
        assert (summary.folder / f"{name}.audacity.txt").read_text() == audacity(calls)
        assert all(0 <= one.start_s < one.end_s <= lengths_s[name] for one in calls)
        assert all(one.score >= 0.4 for one in calls)
        assert calls == sorted(calls, key=lambda one: (one.start_s, one.species))


def test_a_higher_threshold_finds_fewer_calls(model: Path, sounds: Path) -> None:
    all_, none = (found(model, sounds, f"at{t}", replace(EAGER, threshold=t)) for t in (0.0, 1.0))
    assert all_.calls == 9  # every recording from end to end, for each species
    assert none.calls == 0
    assert rows(none.folder) == [["recording", "start_s", "end_s", "species_id", "score"]]


def test_an_interrupted_call_goes_on_and_ends_in_the_same_bytes(
    model: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = found(model, sounds, "whole")
    heard: list[str] = []
    true_write = field._write

    def write(to: Path, root: Path, path: Path, *rest: object) -> None:
        heard.append(path.name)
        if len(heard) == 2:
            raise KeyboardInterrupt
        true_write(to, root, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(field, "_write", write)
    with pytest.raises(KeyboardInterrupt):
        found(model, sounds)
    assert not (sounds.parent / "calls" / "detections.csv").exists()
    again = found(model, sounds)
    assert again.known == 1
    assert heard == ["a.flac", "c.ogg", "c.ogg", "b.wav"]
    assert (again.folder / "detections.csv").read_bytes() == (whole.folder / "detections.csv").read_bytes()
    assert found(model, sounds).known == 3
    assert len(heard) == 4


def test_the_folder_of_another_question_is_refused(model: Path, sounds: Path, tmp_path: Path) -> None:
    found(model, sounds)
    with pytest.raises(InputError, match=r"it holds an answer with other threshold\. Give another folder"):
        found(model, sounds, detector=replace(EAGER, threshold=0.6))
    other = write_model(tmp_path / "other", seed=9)
    with pytest.raises(InputError, match="other model"):
        found(other, sounds)
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="mine: exists already"):
        found(model, sounds, "mine")


def test_an_unreadable_recording_is_named_and_the_rest_is_done(
    model: Path, sounds: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    (sounds / "bad.wav").write_text("no sound")
    to = sounds.parent / "calls"
    code, _, err = call("predict", model, "--recordings", sounds, "--to", to, "--threshold", "0.4")
    assert code == 1
    assert "1 of 4 recordings could not be heard (bad.wav)" in err
    assert str(sounds / "bad.wav") in err
    tables = sorted(path.name for path in to.rglob("*.raven.txt"))
    assert tables == ["a.flac.raven.txt", "b.wav.raven.txt", "c.ogg.raven.txt"]
    assert {row[0] for row in rows(to)[1:]} == {"a.flac", "c.ogg", "north/b.wav"}
    write_sound(sounds / "bad.wav", Sound(), 1, 0.5, np.random.default_rng(0))
    code, out, err = call("predict", model, "--recordings", sounds, "--to", to, "--threshold", "0.4")
    assert code == 0, err
    assert "calls in 4 recordings, 3 of them before" in out


def test_a_recording_that_has_changed_is_heard_again(model: Path, sounds: Path) -> None:
    found(model, sounds)
    table = sounds.parent / "calls" / "a.flac.raven.txt"
    before = table.read_text()
    write_sound(sounds / "a.flac", Sound(duration_s=9.0, sample_rate_hz=8000), 1, 0.5, np.random.default_rng(1))
    again = found(model, sounds)
    assert again.known == 2
    assert table.read_text() != before
    assert {row[0] for row in rows(again.folder)[1:]} == {"a.flac", "c.ogg", "north/b.wav"}


def test_another_file_is_another_question(model: Path, sounds: Path) -> None:
    found(model, sounds / "a.flac")
    with pytest.raises(InputError, match="it holds an answer with other sounds"):
        found(model, sounds / "c.ogg")


def test_a_band_lies_within_what_the_recording_can_hold(model: Path, tmp_path: Path) -> None:
    """The model hears up to 4 kHz; Raven refuses a selection above half the sample rate."""
    (tmp_path / "sounds").mkdir()
    for rate_hz in (4000, 48_000):
        sound = Sound(duration_s=2.0, sample_rate_hz=rate_hz)
        write_sound(tmp_path / "sounds" / f"{rate_hz}.wav", sound, 1, 0.2, np.random.default_rng(0))
    folder = found(model, tmp_path / "sounds", detector=replace(EAGER, threshold=0.0)).folder
    for rate_hz, high in ((4000, "2000.0"), (48_000, "4000.0")):
        lines = (folder / f"{rate_hz}.wav.raven.txt").read_text().splitlines()[1:]
        assert {line.split("\t")[6] for line in lines} == {high}


@pytest.mark.parametrize(("rate_hz", "samples"), [(8000, 16_384), (44_100, 67_735), (8000, 16_385), (8000, 3)])
def test_every_call_lasts(model: Path, tmp_path: Path, rate_hz: int, samples: int) -> None:
    """Also where a recording ends with a cell."""
    (tmp_path / "sounds").mkdir()
    noise = np.random.default_rng(0).normal(scale=0.1, size=samples)
    soundfile.write(tmp_path / "sounds" / "a.wav", noise, rate_hz)
    folder = found(model, tmp_path / "sounds", detector=replace(EAGER, threshold=0.0)).folder
    calls = read_raven(folder / "a.wav.raven.txt")
    assert len(calls) == 3
    assert all(one.start_s == 0 and one.end_s == pytest.approx(samples / rate_hz, abs=1e-6) for one in calls)


@pytest.mark.parametrize(("cell_s", "cells"), [(0.512, 1), (0.384, 1), (0.3, 2), (0.2, 3), (0.7, 0)])
def test_calls_further_apart_than_asked_are_two(cell_s: float, cells: int) -> None:
    assert Detector(join_s=0.6).join_cells(cell_s) == cells


def test_one_file_is_a_recording_too(model: Path, sounds: Path) -> None:
    summary = found(model, sounds / "north" / "b.wav")
    assert summary.recordings == 1
    assert {row[0] for row in rows(summary.folder)[1:]} == {"b.wav"}


def test_names_never_leave_the_folder_and_never_break_a_table(model: Path, tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    for name in ("=cmd.wav", "tab\there.wav", "line\nbreak.wav", "…🐸.wav", "café.wav"):
        write_sound(tmp_path / "sounds" / name, Sound(duration_s=1.0), 1, 0.2, np.random.default_rng(0))
    (tmp_path / "sounds" / "café.wav").rename(tmp_path / "sounds" / os.fsdecode(b"caf\xe9.wav"))
    (tmp_path / "sounds" / os.fsdecode(b"no\xe9.wav")).write_text("no sound")
    with pytest.raises(RunError, match=r"1 of 6 recordings could not be heard \(no\?\.wav\)"):
        found(model, tmp_path / "sounds")
    (tmp_path / "sounds" / os.fsdecode(b"no\xe9.wav")).unlink()
    summary = found(model, tmp_path / "sounds")
    assert {row[0] for row in rows(summary.folder)[1:]} == {
        "'=cmd.wav",
        "tab here.wav",
        "line break.wav",
        "…🐸.wav",
        "caf?.wav",
    }
    assert all(len(row) == 5 for row in rows(summary.folder))


@pytest.mark.parametrize("words", [(), ("--data", "d", "--recordings", "r")])
def test_one_of_data_and_recordings_must_be_given(
    words: tuple[str, ...], call: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, _, err = call("predict", "model", "--to", tmp_path / "x", *words)
    assert code == 2
    assert "one of --data DATA and --recordings FOLDER must be given" in err


def test_a_folder_without_sounds_is_refused_and_nothing_is_made(model: Path, tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    with pytest.raises(InputError, match="there is none"):
        found(model, tmp_path / "sounds")
    assert not (tmp_path / "calls").exists()


def test_where_all_are_broken_it_says_so(model: Path, tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds" / "empty.wav", np.zeros(0), 8000)
    with pytest.raises(RunError, match=r"1 of 1 recordings could not be heard \(empty.wav\)"):
        found(model, tmp_path / "sounds")
    assert json.loads((tmp_path / "calls" / "predict.json").read_text())["threshold"] == 0.4
