"""Actors are reused: what a process has trained before changes no bit of a trial, and a trial leaves nothing behind."""

from __future__ import annotations

import gc
import json
import random
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import KNOBS

from rfcx_model.hyperparameters import Hyperparameters, build
from rfcx_model.network import RFCXNet
from rfcx_model.recordings import load
from study.recipe import trial_request
from study.setting import Alone, Setting, workshop
from study.stages import trial_epochs

SEED = 5
LITTLE = KNOBS | {"stage2.epochs": 1, "stage3.epochs": 2, "stage3.teachers": 1}
Play = Callable[..., list[Any]]


@pytest.fixture
def play(shared_tiny_folder: Path, tmp_path: Path) -> Play:
    """All epochs of a trial, trained anew in a store of its own; `stop` leaves it after so many, as a pruned one is."""
    recordings = load(shared_tiny_folder)

    def played(store: str, h: Hyperparameters, stop: int | None = None) -> list[Any]:
        setting = Setting(recordings, 2, tmp_path / "cache", tmp_path / store, threads=1)
        place = workshop(setting, h, SEED, lease=Alone(), tick=lambda _: None)
        told: list[Any] = []
        epochs = trial_epochs(place, h, trial_request(h, (0, 1), SEED))
        for epoch, _ in epochs:
            scores = epoch.outputs["recording_scores"].tobytes()
            told.append((epoch.stage, epoch.epoch, epoch.train_loss, json.dumps(dict(epoch.metrics)), scores))
            if len(told) == stop:
                epochs.close()  # type: ignore[attr-defined]  # a generator
                break
        return told

    return played


def module_state() -> dict[str, dict[str, int]]:
    found = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("rfcx_model", "study")}
    return {name: {key: id(value) for key, value in vars(module).items()} for name, module in found.items()}


def generators() -> tuple[Any, list[Any], list[int]]:
    return random.getstate(), [str(part) for part in np.random.get_state()], torch.get_rng_state().tolist()  # noqa: NPY002


def test_what_a_process_has_done_before_changes_no_bit_of_a_trial(play: Play) -> None:
    h = build(LITTLE)
    alone = play("alone", h)
    play("another", build(LITTLE | {"network.pooling": "mean", "stage3.mixup_site": "stage4"}))
    play("pruned", build(LITTLE | {"stage3.focal_gamma": 1.0}), stop=1)
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002  # the global one, which nothing here may read
    torch.manual_seed(3)
    before = generators(), module_state(), torch.get_num_threads(), torch.is_grad_enabled()
    assert play("reused", h) == alone
    assert (generators(), module_state(), torch.get_num_threads(), torch.is_grad_enabled()) == before


def test_no_network_outlives_its_trial(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    nets: list[weakref.ref[RFCXNet]] = []
    begin = RFCXNet.__init__

    def counted(self: RFCXNet, *told: Any, **facts: Any) -> None:
        begin(self, *told, **facts)
        nets.append(weakref.ref(self))

    monkeypatch.setattr(RFCXNet, "__init__", counted)
    play("whole", build(LITTLE))
    play("pruned", build(LITTLE | {"stage3.focal_gamma": 1.0}), stop=1)
    gc.collect()
    assert len(nets) > 4
    assert not [net for net in nets if net() is not None]
