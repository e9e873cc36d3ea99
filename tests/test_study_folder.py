"""What study.json keeps of pretrained weights, and that a study is not carried on with others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from place import SEARCHED
from safetensors.torch import save_file
from tiny import KNOBS, fixed

from rfcx_model.errors import InputError
from study.space import load
from study.study_folder import digests, networks, refuse_other_weights

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


def test_a_study_is_not_carried_on_with_other_weights(tmp_path: Path) -> None:
    refuse_other_weights(tmp_path, {"resnet18 from hub": "ab"})  # nothing stands there yet
    (tmp_path / "study.json").write_text(json.dumps({"pretrained": {"resnet18 from hub": "ab" * 32}}))
    refuse_other_weights(tmp_path, {"resnet18 from hub": "ab" * 32, "resnet34 from hub": "cd"})
    with pytest.raises(InputError, match=r"began with \(SHA-256 abababababab\), but gives others \(cdcdcdcdcdcd\)"):
        refuse_other_weights(tmp_path, {"resnet18 from hub": "cd" * 32})
