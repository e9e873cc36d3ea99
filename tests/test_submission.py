"""From a model folder to submission.csv: what the competition asks of it, interrupts, and broken recordings."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from untrained_model import write_model

from rfcx_model.errors import InputError, RunError
from study.display import Display
from study.submission import write_submission

QUIET = Display(Console(quiet=True))


def accept(submission: Path, sample: Path) -> None:
    """What the competition says: the sample's columns, its ids in its order, a number from 0 to 1 in every cell."""
    with submission.open() as mine, sample.open() as theirs:
        got, wanted = list(csv.reader(mine)), list(csv.reader(theirs))
    assert got[0] == wanted[0]
    assert [row[0] for row in got[1:]] == [row[0] for row in wanted[1:]]
    for row in got[1:]:
        assert len(row) == len(wanted[0])
        assert all(math.isfinite(float(cell)) and 0 <= float(cell) <= 1 for cell in row[1:])


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
        file.write('{"recording": "test003", "sco')  # as a killed process leaves it
    before = len(heard)
    assert predict(model, tiny_folder).read_bytes() == whole
    assert 0 < len(heard) - before < 4
    assert not kept.exists()


def test_what_another_model_has_heard_is_not_taken(model: Path, tiny_folder: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", seed=7)
    wanted = predict(other, tiny_folder, "wanted.csv").read_bytes()
    kept = tiny_folder.parent / ".submission.csv.heard"
    asked = {"model": "that one", "data": "those"}
    row = {"recording": "test000", "scores": [0.5, 0.5, 0.5]}
    kept.write_text(json.dumps(asked) + "\n" + json.dumps(row) + "\n")
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
