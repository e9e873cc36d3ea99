"""What study.json keeps of pretrained weights, and that a study is not carried on with others."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import timm
import torch
from place import SEARCHED
from safetensors.torch import save_file
from tiny import KNOBS, Sound, fixed, write_folder

from rfcx_model.errors import InputError
from rfcx_model.recordings import load as load_data
from study.setting import Setting
from study.space import load
from study.study_folder import digests, networks, refuse_other_weights, write_folds

FIRST = '[baseline]\n"network.pretrained" = "none"\n'


def test_every_backbone_is_looked_at_with_each_of_its_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), tmp_path / "w.safetensors")
    both = f'"network.pretrained" = {{ choices = ["none", "{tmp_path / "w.safetensors"}"] }}\n'
    knobs = {name: value for name, value in KNOBS.items() if name != "network.pretrained"}
    (tmp_path / "space.toml").write_text(SEARCHED + both + fixed(knobs | {"stage2.epochs": 1}) + FIRST)
    found = networks(load(tmp_path / "space.toml", {}))
    assert [one.pretrained for one in found] == ["none", str(tmp_path / "w.safetensors")]
    told = digests(found)
    assert list(told) == [f"test_resnet from {tmp_path / 'w.safetensors'}"]
    assert [len(one) for one in told.values()] == [64]


def test_ids_of_recordings_stand_in_the_partition_one_a_row_and_are_no_formulas(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", Sound(recordings=3))
    for old, new in zip(("train000", "train001"), ("=1+1", "a,b"), strict=True):
        (data / f"train/{old}.flac").rename(data / f"train/{new}.flac")
        for name in ("train_tp.csv", "train_fp.csv"):
            table = (data / name).read_text(encoding="utf-8")
            (data / name).write_text(table.replace(old, f'"{new}"'), encoding="utf-8")
    (tmp_path / "space.toml").write_text(SEARCHED + fixed(KNOBS | {"stage2.epochs": 1}))
    setting = Setting(load_data(data), 2, tmp_path / "cache", tmp_path / "stages", threads=1)
    write_folds(load(tmp_path / "space.toml", {}), setting, tmp_path, 1)
    with (tmp_path / "folds.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["recording_id", "replicate", "fold"]
    assert sorted(row[0] for row in rows[1:]) == ["'=1+1", "a,b", "train002"]
    assert {len(row) for row in rows} == {3}


def test_a_study_is_not_carried_on_with_other_weights(tmp_path: Path) -> None:
    refuse_other_weights(tmp_path, {"resnet18 from hub": "ab"})  # nothing stands there yet
    (tmp_path / "study.json").write_text(json.dumps({"pretrained": {"resnet18 from hub": "ab" * 32}}))
    refuse_other_weights(tmp_path, {"resnet18 from hub": "ab" * 32, "resnet34 from hub": "cd"})
    with pytest.raises(InputError, match=r"began with \(SHA-256 abababababab\), but gives others \(cdcdcdcdcdcd\)"):
        refuse_other_weights(tmp_path, {"resnet18 from hub": "cd" * 32})
