"""The store: whole or not at all, one epoch a stage, and nothing used that is damaged or of another make."""

from __future__ import annotations

import ast
import errno
import json
import logging
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

import rfcx_model
from rfcx_model import compute, train
from rfcx_model.learner import State
from study import store as store_module
from study.store import Store, open_store

NAME = "stage3-0123456789abcdef0123"


def state(epoch: int, loss: float = 0.5) -> State:
    history = [
        {"epoch": n, "train_loss": loss / n, "metrics": {"lwlrap": 0.1 * n, "recall": math.nan}}
        for n in range(1, epoch + 1)
    ]
    facts = {"stage": "stage3", "cycle": 1, "epoch": epoch, **history[-1], "history": history}
    tensors = {
        "0.net.w": torch.full((2, 3), float(epoch)),
        "0.net.n": torch.tensor(epoch),
        "0.adam.0.step": torch.ones(1),
    }
    return State(tensors, facts)


def outputs(epoch: int) -> dict[str, np.ndarray]:
    return {"folds": np.array([0, 1, -1]), "box_scores": np.array([[0.5, np.nan, epoch]], dtype=np.float32)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "stages", {"code": "abc", "torch": "2", "device": "cpu float32 1 threads"})


@pytest.fixture
def saved(store: Store) -> Store:
    store.save(NAME, state(1), outputs(1))
    store.save(NAME, state(2), outputs(2))
    return store


def files(store: Store) -> list[str]:
    return sorted(path.name for path in (store.folder / NAME).iterdir())


def refused(store: Store, caplog: pytest.LogCaptureFixture) -> str:
    """Why nothing was loaded; empty where nothing was said."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert store.load(NAME) is None
    return caplog.text


def test_what_is_saved_is_loaded(saved: Store) -> None:
    loaded = saved.load(NAME)
    assert loaded is not None
    assert loaded.epoch == 2
    assert loaded.state.tensors.keys() == state(2).tensors.keys()
    for name, tensor in state(2).tensors.items():
        assert torch.equal(loaded.state.tensors[name], tensor)
        assert loaded.state.tensors[name].dtype == tensor.dtype
    for name, array in outputs(2).items():
        np.testing.assert_array_equal(loaded.outputs[name], array)
        assert loaded.outputs[name].dtype == array.dtype


def test_only_the_latest_epoch_is_kept(saved: Store) -> None:
    assert files(saved) == ["epoch-0002.safetensors", "meta.json"]


def test_an_epoch_that_another_has_passed_does_not_replace_it(saved: Store) -> None:
    (name,) = (path.name for path in saved.folder.iterdir())
    saved.save(name, state(3), outputs(3))
    before = files(saved)
    saved.save(name, state(2), outputs(2))
    assert files(saved) == before
    assert saved.epochs_done(name) == 3


def test_a_full_disk_is_one_of_the_systems_own_errors(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: object, path: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("study.store.save_file", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        store.save("stage1-abc", state(1), outputs(1))
    assert caught.value.errno == errno.ENOSPC


def test_another_error_of_safetensors_stays_what_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tensors: object, path: object) -> None:
        raise SafetensorError("a tensor is not contiguous")

    monkeypatch.setattr("study.store.save_file", broken)
    with pytest.raises(SafetensorError, match="not contiguous"):
        store.save("stage1-abc", state(1), outputs(1))


def test_who_reads_while_another_writes_always_finds_a_whole_epoch(store: Store) -> None:
    said: list[str] = []
    reader, found = replace(store, say=said.append), [0]
    store.save(NAME, state(1), outputs(1))

    def write() -> None:
        for epoch in range(2, 201):
            store.save(NAME, state(epoch), outputs(epoch))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while found[-1] < 200:
            loaded = reader.load(NAME)
            assert loaded is not None, said
            assert torch.equal(loaded.state.tensors["0.net.n"], torch.tensor(loaded.epoch))
            found.append(loaded.epoch)
        writing.result()
    assert found == sorted(found)
    assert said == []


def test_history_has_every_epoch_and_the_last_one_its_outputs(saved: Store) -> None:
    loaded = saved.load(NAME)
    assert loaded is not None
    first, last = loaded.history()
    assert (first.stage, first.cycle, first.epoch, last.epoch) == (3, 1, 1, 2)
    assert first.train_loss == 0.5
    assert last.train_loss == 0.25
    assert first.metrics["lwlrap"] == 0.1
    assert not first.outputs
    assert last.outputs.keys() == outputs(2).keys()


def test_what_is_not_a_number_survives_as_such(saved: Store) -> None:
    saved.save(NAME, state(3, loss=math.nan), {})
    loaded = saved.load(NAME)
    assert loaded is not None
    assert all(math.isnan(epoch.metrics["recall"]) and math.isnan(epoch.train_loss) for epoch in loaded.history())
    json.loads((saved.folder / NAME / "meta.json").read_text(), parse_constant=pytest.fail)


def test_what_is_not_there_is_not_loaded_and_not_warned_of(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    assert refused(store, caplog) == ""
    assert store.epochs_done(NAME) == 0


def test_a_crash_before_the_first_epoch_is_whole_leaves_nothing_to_load(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    folder = store.folder / NAME
    folder.mkdir(parents=True)
    (folder / ".epoch-0001.safetensors.77").write_bytes(b"half")
    assert refused(store, caplog) == ""
    (folder / "epoch-0001.safetensors").write_bytes(b"whole, but not yet named")
    (folder / ".meta.77").write_text('{"maker": {')
    assert refused(store, caplog) == ""
    assert store.epochs_done(NAME) == 0


@pytest.mark.parametrize("step", ["partial", "named", "half meta", "old not removed"])
def test_a_crash_at_any_step_of_the_second_save_leaves_one_whole_epoch(saved: Store, tmp_path: Path, step: str) -> None:
    folder, third = saved.folder / NAME, tmp_path / "third"
    shutil.copytree(saved.folder, third)
    replace(saved, folder=third).save(NAME, state(3), outputs(3))
    if step == "partial":
        (folder / ".epoch-0003.safetensors.77").write_bytes((third / NAME / "epoch-0003.safetensors").read_bytes()[:99])
    else:
        shutil.copy(third / NAME / "epoch-0003.safetensors", folder)
    if step == "half meta":
        (folder / ".meta.77").write_text("{")
    if step == "old not removed":
        shutil.copy(third / NAME / "meta.json", folder)
    loaded = saved.load(NAME)
    assert loaded is not None
    assert loaded.epoch == (3 if step == "old not removed" else 2)
    assert saved.epochs_done(NAME) == loaded.epoch
    saved.save(NAME, state(4), outputs(4))
    assert [name for name in files(saved) if not name.startswith(".")] == ["epoch-0004.safetensors", "meta.json"]


def test_what_a_killed_writer_left_goes_once_it_is_old(saved: Store) -> None:
    left = saved.folder / NAME / ".epoch-0002.safetensors.77"
    left.write_bytes(b"half")
    saved.save(NAME, state(3), {})
    assert left.exists()
    os.utime(left, (0, 0))
    saved.save(NAME, state(4), {})
    assert files(saved) == ["epoch-0004.safetensors", "meta.json"]


@given(place=st.floats(0, 1), kind=st.sampled_from(["cut", "flipped"]))
def test_tensors_that_changed_anywhere_are_noticed(
    tmp_path_factory: pytest.TempPathFactory, place: float, kind: str
) -> None:
    store = Store(tmp_path_factory.mktemp("store"), {"code": "abc"})
    store.save(NAME, state(1), outputs(1))
    path = store.folder / NAME / "epoch-0001.safetensors"
    content = bytearray(path.read_bytes())
    at = min(int(place * len(content)), len(content) - 1)
    if kind == "cut":
        del content[at:]
    else:
        content[at] ^= 1
    path.write_bytes(content)
    assert store.load(NAME) is None


def test_damaged_tensors_are_told_and_made_again(saved: Store, caplog: pytest.LogCaptureFixture) -> None:
    path = saved.folder / NAME / "epoch-0002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    said = refused(saved, caplog)
    assert NAME in said
    assert "epoch-0002.safetensors cannot be used (its content has changed since it was written)" in said
    assert "trained again" in said
    assert saved.epochs_done(NAME) == 0
    saved.save(NAME, state(1), {})
    assert saved.load(NAME) is not None
    assert files(saved) == ["epoch-0001.safetensors", "meta.json"]


def test_tensors_that_never_were_safetensors_are_told(saved: Store, caplog: pytest.LogCaptureFixture) -> None:
    folder = saved.folder / NAME
    (folder / "epoch-0002.safetensors").write_bytes(b"no tensors at all")
    meta = json.loads((folder / "meta.json").read_text())
    meta["blake2b"] = store_module._digest(folder / "epoch-0002.safetensors")
    (folder / "meta.json").write_text(json.dumps(meta))
    assert "cannot be used" in refused(saved, caplog)


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "7",
        '"x"',
        "null",
        "{}",
        '{"maker": []}',
        '{"maker": 7, "file": "x", "blake2b": "", "facts": {}}',
        '{"maker": {}, "file": "x", "blake2b": "", "facts": {}}',
        '{"maker": {}, "file": "x", "blake2b": "", "facts": 7}',
    ],
)
def test_damaged_metadata_is_told_and_made_again(saved: Store, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    (saved.folder / NAME / "meta.json").write_text(damage)
    assert "meta.json is damaged; the stage is trained again" in refused(saved, caplog)
    assert saved.epochs_done(NAME) == 0
    saved.save(NAME, state(1), {})
    assert saved.epochs_done(NAME) == 1


def test_metadata_that_is_not_text_is_told(saved: Store, caplog: pytest.LogCaptureFixture) -> None:
    (saved.folder / NAME / "meta.json").write_bytes(b"\xff\xfe\x00")
    assert "meta.json is damaged" in refused(saved, caplog)
    assert saved.epochs_done(NAME) == 0


@pytest.mark.parametrize("what", ["code", "torch", "device"])
def test_what_other_code_versions_or_devices_made_is_told_and_made_again(
    saved: Store, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    other = replace(saved, maker={**saved.maker, what: "other"})
    assert f"made with other {what}; the stage is trained again" in refused(other, caplog)
    assert other.epochs_done(NAME) == 0
    more = replace(saved, maker={**saved.maker, "new library": "1"})
    assert "made with other new library" in refused(more, caplog)
    assert saved.load(NAME) is not None


def test_the_maker_names_code_libraries_and_device(tmp_path: Path) -> None:
    place = compute.best()
    maker = open_store(tmp_path / "new" / "stages", place).maker
    assert (tmp_path / "new" / "stages").is_dir()
    assert maker["torch"] == torch.__version__.partition("+")[0]
    assert maker["device"] == str(place)
    assert {"code", "python", "machine", "timm", "numpy"} <= maker.keys()


def test_a_change_of_any_module_that_training_reads_changes_the_maker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    shutil.copytree(Path(rfcx_model.__path__[0]), package)
    monkeypatch.setattr(rfcx_model, "__path__", [str(package)])
    made: Any = store_module._maker.__wrapped__
    before = made()["code"]
    for module in store_module.CODE:
        with (package / f"{module}.py").open("a") as file:
            file.write("# changed\n")
        after = made()["code"]
        assert after != before, module
        before = after


def test_the_maker_names_all_code_that_a_result_depends_on() -> None:
    named_otherwise = {
        "hyperparameters",  # knobs are in the stage's name
        "errors",
        "recordings",  # what these read is in the data fingerprint, and who is held out in the name
        "survey",
        "audio_files",
        "tables",
        "folds",
        "spectrogram_cache",
    }
    reached, left = set(), {Path(train.__file__).stem}
    while left:
        reached |= left
        left = {name for module in left for name in neighbours(module)} - reached
    assert reached - named_otherwise == set(store_module.CODE)


def neighbours(module: str) -> set[str]:
    tree = ast.parse((Path(rfcx_model.__path__[0]) / f"{module}.py").read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "rfcx_model":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rfcx_model."):
            found.add((node.module or "").partition(".")[2])
    return found


def test_what_is_forgotten_is_gone(saved: Store) -> None:
    saved.forget(NAME)
    assert saved.load(NAME) is None
    assert not (saved.folder / NAME).exists()
    saved.forget(NAME)
