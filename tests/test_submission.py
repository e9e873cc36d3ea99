"""From a model folder to submission.csv: what the competition asks of it, interrupts, and broken recordings."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console
from untrained_model import deafen, write_model

from rfcx_model.errors import InputError, RunError
from study import validate
from study.display import Display
from study.model_folder import digest
from study.submission import write_submission
from study.validate import first_fault

QUIET = Display(Console(quiet=True))


def accept(submission: Path, sample: Path) -> None:
    """What the competition says, read apart from what `predict` itself reads it with."""
    with submission.open() as mine, sample.open() as theirs:
        got, wanted = list(csv.reader(mine)), list(csv.reader(theirs))
    assert got[0] == wanted[0]
    assert [row[0] for row in got[1:]] == [row[0] for row in wanted[1:]]
    for row in got[1:]:
        assert len(row) == len(wanted[0])
        assert all(math.isfinite(float(cell)) and 0 <= float(cell) <= 1 for cell in row[1:])
    assert first_fault(submission, sample) is None


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def predict(model: Path, data: Path, name: str = "submission.csv") -> Path:
    return write_submission(model, data, data.parent / name, QUIET)


def test_a_submission_is_accepted_by_the_competitions_rules(model: Path, tiny_folder: Path) -> None:
    sample = tiny_folder / "sample_submission.csv"
    head, *rows = sample.read_text().splitlines()
    sample.write_text("\n".join([head, *reversed(rows)]) + "\n")  # its order, not the folder's
    accept(predict(model, tiny_folder), sample)
    assert sorted(path.name for path in tiny_folder.parent.iterdir()) == ["model", "submission.csv", "tiny"]


def test_an_interrupted_prediction_goes_on_and_ends_in_the_same_bytes(
    model: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predict(model, tiny_folder, "whole.csv").read_bytes()
    from rfcx_model import predict as module

    heard: list[Path] = []
    true_hear = module.hear

    def hear(path: Path, *rest: object) -> object:
        heard.append(path)
        if len(heard) == 3:
            raise KeyboardInterrupt
        return true_hear(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "hear", hear)
    monkeypatch.setattr("study.submission.cores", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        predict(model, tiny_folder)
    kept = tiny_folder.parent / ".submission.csv.heard"
    with kept.open("a") as file:
        key = digest(tiny_folder / "test" / "test003.flac")
        strange = ["7", "[]", '{"scores": [0.5, 0.5, 0.5]}', '{"sha256": [], "scores": [0.5, 0.5, 0.5]}', "[" * 200_000]
        strange += [json.dumps({"sha256": key, "scores": [one, 0, 0]}) for one in (7, -1, math.nan, 10**400, "x")]
        for line in strange:
            file.write(f"{line}\n")  # nothing that was ever written
        file.write('{"recording": "test003", "sco')  # as a killed process leaves it
    before = len(heard)
    assert predict(model, tiny_folder).read_bytes() == whole
    assert 0 < len(heard) - before < 4
    assert not kept.exists()


def test_what_another_model_has_heard_is_not_taken(model: Path, tiny_folder: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", seed=7)
    wanted = predict(other, tiny_folder, "wanted.csv").read_bytes()
    kept = tiny_folder.parent / ".submission.csv.heard"
    sound = tiny_folder / "test" / "test000.flac"
    row = {"recording": "test000", "sha256": digest(sound), "scores": [0.5, 0.5, 0.5]}
    kept.write_text(json.dumps({"model": "that one"}) + "\n" + json.dumps(row) + "\n")
    assert predict(other, tiny_folder).read_bytes() == wanted


def damage(path: Path) -> None:
    """Break a sound file in its middle: its header and its end are sound."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)


def test_a_recording_that_breaks_in_its_middle_is_named_and_the_rest_is_done(
    model: Path, tiny_folder: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    sound = predict(model, tiny_folder, "sound.csv").read_text().splitlines()
    damage(tiny_folder / "test" / "test001.flac")
    to = tiny_folder.parent / "submission.csv"
    code, _, err = call("predict", model, "--data", tiny_folder, "--to", to)
    assert code == 1
    assert "test001.flac" in err
    assert "1 of 4 recordings could not be heard (test001)" in err
    accept(to, tiny_folder / "sample_submission.csv")
    told = to.read_text().splitlines()
    assert [told[n] for n in (0, 1, 3, 4)] == [sound[n] for n in (0, 1, 3, 4)]
    others = [[float(cell) for cell in told[n].split(",")[1:]] for n in (1, 3, 4)]
    mean = [sum(column) / 3 for column in zip(*others, strict=True)]
    assert [float(cell) for cell in told[2].split(",")[1:]] == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("content", [b"", b"no sound", None])
def test_a_file_that_is_no_sound_is_named_and_the_rest_is_done_even_beside_broken_training_recordings(
    model: Path, tiny_folder: Path, call: Callable[..., tuple[int, str, str]], content: bytes | None
) -> None:
    sound = predict(model, tiny_folder, "sound.csv").read_text().splitlines()
    broken = tiny_folder / "test" / "test001.flac"
    broken.write_bytes(broken.read_bytes()[:-200] if content is None else content)  # cut short, or none at all
    for path in (tiny_folder / "train").iterdir():
        path.unlink()
    to = tiny_folder.parent / "submission.csv"
    code, _, err = call("predict", model, "--data", tiny_folder, "--to", to)
    assert code == 1
    assert err.count("test/test001.flac: ") == 1
    assert "1 of 4 recordings could not be heard (test001)" in err
    accept(to, tiny_folder / "sample_submission.csv")
    told = to.read_text().splitlines()
    assert [told[n] for n in (0, 1, 3, 4)] == [sound[n] for n in (0, 1, 3, 4)]


def test_once_a_broken_file_is_mended_it_alone_is_heard(
    model: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predict(model, tiny_folder, "whole.csv").read_bytes()
    broken = tiny_folder / "test" / "test001.flac"
    content = broken.read_bytes()
    broken.write_bytes(b"")
    to = tiny_folder.parent / "submission.csv"
    with pytest.raises(RunError, match=r"1 of 4 recordings could not be heard \(test001\)"):
        predict(model, tiny_folder)
    broken.write_bytes(content)
    to.unlink()
    from rfcx_model import predict as module

    heard: list[str] = []
    true_hear = module.hear

    def hear(path: Path, *rest: object) -> object:
        heard.append(path.name)
        return true_hear(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "hear", hear)
    assert predict(model, tiny_folder).read_bytes() == whole
    assert heard == ["test001.flac"]


def test_a_file_that_changed_since_it_was_heard_is_heard_again(model: Path, tiny_folder: Path) -> None:
    whole = predict(model, tiny_folder, "whole.csv").read_bytes()
    changed, broken = (tiny_folder / "test" / f"test00{k}.wav" for k in (0, 1))
    for path in (changed, broken):
        audio, rate = soundfile.read(path.with_suffix(".flac"))
        path.with_suffix(".flac").unlink()
        soundfile.write(path, audio, rate, subtype="FLOAT")
    good = predict(model, tiny_folder, "good.csv").read_bytes()
    assert good == whole
    kept = changed.read_bytes()
    changed.write_bytes(kept[:70_000] + bytes(len(kept) - 140_000) + kept[-70_000:])  # the same size, the same edges
    broken_content = broken.read_bytes()
    broken.write_bytes(b"")
    with pytest.raises(RunError, match="1 of 4 recordings could not be heard"):
        predict(model, tiny_folder)
    changed.write_bytes(kept)
    broken.write_bytes(broken_content)
    (tiny_folder.parent / "submission.csv").unlink()
    assert predict(model, tiny_folder).read_bytes() == good


def test_neither_a_hidden_neighbour_nor_a_target_that_came_meanwhile_is_replaced(
    model: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour, to = (tiny_folder.parent / name for name in (".submission.csv", "submission.csv"))
    neighbour.write_text("mine")
    predict(model, tiny_folder).unlink()
    assert neighbour.read_text() == "mine"

    def fault(*_: Path) -> None:
        to.write_text("another's")

    monkeypatch.setattr("study.submission.first_fault", fault)
    with pytest.raises(InputError, match="exists already"):
        predict(model, tiny_folder)
    assert to.read_text() == "another's"


@pytest.mark.parametrize("head", ["recording_id,s00,s01,s02", "recording_id,s0,s1,s٢", "s0,s1,s2,recording_id"])
def test_a_header_that_no_submission_can_have_is_refused_before_anything_is_heard(
    model: Path, tiny_folder: Path, head: str
) -> None:
    sample = tiny_folder / "sample_submission.csv"
    rows = [line.split(",") for line in sample.read_text().splitlines()[1:]]
    if head.endswith("recording_id"):
        rows = [[*row[1:], row[0]] for row in rows]
    sample.write_text("\n".join([head, *map(",".join, rows)]) + "\n")
    with pytest.raises(InputError, match=r"row 1: (columns beside|recording_id must be the first)"):
        predict(model, tiny_folder)
    assert not (tiny_folder.parent / ".submission.csv.heard").exists()


def test_a_model_that_says_nan_is_told_and_nothing_is_written(model: Path, tiny_folder: Path) -> None:
    deafen(model)
    with pytest.raises(RunError, match=r"no recording could be heard; the first: .*the model says nan. Train it again"):
        predict(model, tiny_folder)
    assert not (tiny_folder.parent / "submission.csv").exists()


def test_what_the_competition_would_refuse_is_not_written(
    model: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.submission._rows", lambda *_: np.full((4, 3), 1.5, np.float32))
    with pytest.raises(RunError, match=r"row 2: a cell must be a number from 0 to 1, but got '1.5'"):
        predict(model, tiny_folder)
    assert not [path for path in tiny_folder.parent.iterdir() if path.name.endswith("submission.csv")]


HEAD, FIRST, SECOND = "recording_id,s0,s1", "a,0.5,1", "b,0,1e-05"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([HEAD, FIRST, SECOND], None),
        (["recording_id,s1,s0", FIRST, SECOND], "row 1: the columns must be recording_id, s0, s1"),
        (["id,s0,s1", FIRST, SECOND], "row 1: the columns must be"),
        (["recording_id,s0", "a,0.5", "b,0"], "row 1: the columns must be"),
        ([HEAD, SECOND, FIRST], "row 2: recording_id must be a, but got b"),
        ([HEAD, FIRST, FIRST], "row 3: recording_id must be b, but got a"),
        ([HEAD, FIRST], "row 3: a row for b must stand"),
        ([HEAD, FIRST, SECOND, "c,0,0"], "row 4: the submission must end"),
        ([HEAD, FIRST, ""], "row 3: recording_id must be b, but got nothing"),
        ([HEAD, FIRST, "b,0"], "row 3: 3 cells must stand, but got 2"),
        ([HEAD, FIRST, "b,0,"], "row 3: a cell must be a number from 0 to 1, but got ''"),
        ([HEAD, "a,nan,1", SECOND], "row 2: a cell must be a number from 0 to 1, but got 'nan'"),
        ([HEAD, "a,inf,1", SECOND], "but got 'inf'"),
        ([HEAD, "a,-0.1,1", SECOND], "but got '-0.1'"),
        ([HEAD, "a,1.0000001,1", SECOND], "but got '1.0000001'"),
        ([HEAD, "a,much,1", SECOND], "but got 'much'"),
        ([], "row 1: a row for recording_id must stand"),
    ],
)
def test_the_validator_knows_the_competitions_rules(tmp_path: Path, lines: list[str], fault: str | None) -> None:
    mine, sample = tmp_path / "submission.csv", tmp_path / "sample_submission.csv"
    sample.write_text(f"{HEAD}\na,0.5,0.5\nb,0.5,0.5\n")
    mine.write_text("".join(f"{line}\n" for line in lines))
    told = first_fault(mine, sample)
    assert told is None if fault is None else fault in str(told)


def test_the_validator_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]); print(sorted({'numpy', 'pandas', 'torch'} & set(sys.modules)))"
    )
    module = Path(validate.__file__)
    done = subprocess.run([sys.executable, "-c", code, str(module)], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"


def test_where_nothing_can_be_heard_nothing_is_written(model: Path, tiny_folder: Path) -> None:
    for path in (tiny_folder / "test").iterdir():
        damage(path)
    with pytest.raises(RunError, match="no recording could be heard; the first: "):
        predict(model, tiny_folder)
    assert not (tiny_folder.parent / "submission.csv").exists()


def test_a_model_of_other_species_and_a_target_that_exists_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", species=(0, 1, 5))
    with pytest.raises(InputError, match=r"it knows the species \[0, 1, 5\], but .* asks for \[0, 1, 2\]"):
        predict(other, tiny_folder)
    (tiny_folder.parent / "there.csv").touch()
    with pytest.raises(InputError, match="exists already"):
        predict(other, tiny_folder, "there.csv")


def test_an_id_without_a_file_is_refused_by_name(model: Path, tiny_folder: Path) -> None:
    with (tiny_folder / "sample_submission.csv").open("a") as sample:
        sample.write("nowhere,0.5,0.5,0.5\n")
    with pytest.raises(InputError, match="nowhere"):
        predict(model, tiny_folder)


@pytest.mark.parametrize("name", ["fold1.safetensors", "species.csv"])
def test_a_missing_or_changed_file_of_the_model_is_refused(model: Path, tiny_folder: Path, name: str) -> None:
    content = bytearray((model / name).read_bytes())
    content[-1] ^= 1
    (model / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: its content is not what was written"):
        predict(model, tiny_folder)
    (model / name).unlink()
    with pytest.raises(InputError, match=f"{name}: missing"):
        predict(model, tiny_folder)


def test_the_same_model_says_the_same_bytes(model: Path, tiny_folder: Path) -> None:
    assert predict(model, tiny_folder, "a.csv").read_bytes() == predict(model, tiny_folder, "b.csv").read_bytes()
