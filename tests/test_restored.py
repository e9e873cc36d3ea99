"""A study's folder gives back the Study that was run, and refuses to pretend."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import write_folder

from rfcx_model.errors import InputError
from rfcx_model.recordings import load as load_data
from study.order import Order
from study.restored import data_of, order_of, restored
from study.setting import Lockbox, Setting
from study.space import Study, load
from study.study_folder import write_study

SPACES = Path(__file__).parent.parent / "search_spaces"


def written(study: Study, folder: Path) -> Path:
    data = write_folder(folder / "data") if not (folder / "data").exists() else folder / "data"
    recordings = load_data(data)
    small = replace(study, search=replace(study.search, folds=3, lockbox=0.25))
    setting = Setting(
        recordings, 3, folder / "cache", folder / "store", threads=1, lockbox=Lockbox(0.25, study.search.seed)
    )
    order = Order(data=data, out=folder, cache=folder / "cache", store=folder / "store")
    write_study(small, setting, folder / "study", order)
    return folder / "study"


@pytest.mark.parametrize("name", ["smoke", "mixup", "diary", "wide"])
def test_every_shipped_space_comes_back_with_its_signature(tmp_path: Path, name: str) -> None:
    study = load(SPACES / f"{name}.toml")
    folder = written(study, tmp_path)
    again = restored(folder)
    told = json.loads((folder / "study.json").read_text())
    assert again.signature(told["data"]["fingerprint"]) == told["signature"]
    assert [(knob.name, knob.role, knob.domain()) for knob in again.knobs] == [
        (knob.name, knob.role, knob.domain()) for knob in study.knobs
    ]
    assert dict(again.baseline) == dict(study.baseline)
    assert again.config(again.baseline) == study.config(study.baseline)
    assert [dict(arm.params) for arm in again.arms] == [dict(arm.params) for arm in study.arms]
    assert again.search.lockbox == 0.25


def test_where_things_are_is_read_back_too(tmp_path: Path) -> None:
    folder = written(load(SPACES / "smoke.toml"), tmp_path)
    order = order_of(folder, None, None, None, None)
    assert (order.data, order.store, order.cache) == (tmp_path / "data", tmp_path / "store", tmp_path / "cache")
    assert order_of(folder, tmp_path / "moved", None, None, None).data == tmp_path / "moved"


def test_stages_of_a_study_that_was_moved_are_found_in_its_own_folder(tmp_path: Path) -> None:
    folder = written(load(SPACES / "smoke.toml"), tmp_path)
    (tmp_path / "store").mkdir()
    assert order_of(folder, None, None, None, None).store == tmp_path / "store"
    (tmp_path / "store").rename(folder / "stages")
    moved = folder.rename(tmp_path / "elsewhere")
    assert order_of(moved, None, None, None, None).store == moved / "stages"


def test_data_that_have_moved_are_asked_for(tmp_path: Path) -> None:
    folder = written(load(SPACES / "smoke.toml"), tmp_path)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"its data are needed, but .*data is no folder\. Give --data DATA"):
        data_of(folder, None)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("search", {"sampler": "tpe"}, "its signature must be that of the question in it, but is not"),
        ("search", None, r"it must say the whole question, but"),
        ("objective", {"rule": "none such"}, r"it must say the whole question, but"),
        ("signature", "0" * 64, "its signature must be that of the question in it, but is not"),
    ],
)
def test_a_changed_file_is_refused(tmp_path: Path, key: str, value: object, message: str) -> None:
    folder = written(load(SPACES / "smoke.toml"), tmp_path)
    told = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**told, key: value}))
    with pytest.raises(InputError, match=message):
        restored(folder)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    folder = written(load(SPACES / "smoke.toml"), tmp_path)
    told = json.loads((folder / "study.json").read_text())
    del told["try"]
    (folder / "study.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="'try' is missing"):
        restored(folder)


def test_resources_may_be_changed_and_nothing_else(tmp_path: Path) -> None:
    folder = written(load(SPACES / "smoke.toml"), tmp_path)
    assert restored(folder, ["resources.cpus=1.5"]).resources.cpus == 1.5
    with pytest.raises(InputError, match=r"--set stage1\.epochs: only resources\.cpus, .* may be changed here"):
        restored(folder, ["stage1.epochs=3"])
    with pytest.raises(InputError, match=r"--set resources\.cpus: must be greater than 0"):
        restored(folder, ["resources.cpus=-1"])
