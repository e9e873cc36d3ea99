"""A trial trained again outside Ray: no gap on this machine, and a gap is told with what is known to explain it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from place import LITTLE
from rich.console import Console
from tiny import Sound, write_folder

from rfcx_model.errors import InputError
from rfcx_model.recordings import load as load_recordings
from study import outcome
from study.display import Display
from study.order import Order
from study.reproduce import Reproduced, reproduce
from study.setting import Alone, Lockbox, Setting, trial_seed, workshop
from study.space import Study, load
from study.stages import trial_epochs
from study.study_folder import versions, write_study
from study.trials import Ledger, Origin
from study.work import trial_request

SITE, GAMMA = "stage3.mixup_site", "stage3.focal_gamma"
Call = Callable[..., tuple[int, str, str]]
QUIET = Display(Console(quiet=True))


@dataclass(frozen=True)
class Made:
    """A study's folder with a finished, a pruned and a confirmed trial, one that failed at once, and its data."""

    study: Path
    data: Path

    def again(self, number: int, **places: Path) -> Reproduced:
        return reproduce(self.study, number, QUIET, **places)

    def edit(self, change: Any) -> None:
        """Change the events of the ledger."""
        ledger = self.study / "trials.jsonl"
        events = [json.loads(line) for line in ledger.read_text().splitlines()]
        for event in events:
            change(event)
        ledger.write_text("".join(json.dumps(event) + "\n" for event in events))


def train(study: Study, setting: Setting, ledger: Ledger, number: int, origin: Origin, steps: int) -> None:
    """A trial as the trainable trains it, with as many epochs in the ledger as `steps`."""
    params = {SITE: "input", GAMMA: 1.0 + number}
    h, replicate = study.hyperparameters(params), 1 if origin == "confirm" else 0
    seed = trial_seed(study.search.seed, replicate)
    place = workshop(setting, h, seed, lease=Alone(), tick=lambda _: None)
    facts: dict[str, Any] = {"origin": origin, "attempt": 1, "replicate": replicate, "seed": seed}
    ledger.append("started", number, **facts, config=study.config(params), name=f"{number:04d}-made")
    metrics: dict[str, float] = {}
    trained = trial_epochs(place, h, trial_request(study, setting, h, replicate))
    for step, (epoch, _) in zip(range(1, steps + 1), trained, strict=False):
        metrics = {**epoch.metrics, "train_loss": epoch.train_loss, "seconds": 0.1}
        if origin == "confirm" and step == steps:
            metrics |= outcome.on_lockbox(study, place, h, epoch)[0]
        where = {"stage": epoch.stage, "cycle": epoch.cycle, "epoch": epoch.epoch, "step": step, "reused": False}
        ledger.append("epoch", number, **where, metrics=metrics)
    state: Literal["COMPLETE", "PRUNED"] = "COMPLETE" if steps == 2 else "PRUNED"
    score = outcome.score(study, ledger.path, number, steps, metrics)
    ledger.append("ended", number, state=state, score=score, scores=None)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("reproduce")
    data = write_folder(folder / "data")
    (folder / "little.toml").write_text(LITTLE.replace("EPOCHS", "2").replace("folds = 2", "folds = 2\nlockbox = 0.25"))
    study, place = load(folder / "little.toml", {}), folder / "studies" / "little"
    setting = Setting(load_recordings(data), 2, folder / "cache", place / "stages", 1, lockbox=Lockbox(0.25, 0))
    write_study(study, setting, place, Order(data, place.parent, folder / "cache"))
    ledger = Ledger(place / "trials.jsonl")
    train(study, setting, ledger, 0, "baseline", 2)
    train(study, setting, ledger, 1, "search", 1)
    train(study, setting, ledger, 2, "confirm", 2)
    facts: dict[str, Any] = {"origin": "search", "attempt": 1, "replicate": 0, "seed": 1, "config": {}}
    ledger.append("started", 3, **facts)
    ledger.append("ended", 3, state="FAILED", reason="MemoryError")
    ledger.close()
    return Made(place, data)


def change_study(folder: Path, key: str, value: Any) -> None:
    facts = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**facts, key: value}))


@pytest.fixture
def made(built: Made, tmp_path: Path) -> Iterator[Made]:
    shutil.copytree(built.study, tmp_path / "study")
    change_study(tmp_path / "study", "store", str(tmp_path / "study" / "stages"))
    yield replace(built, study=tmp_path / "study")
    torch.set_num_threads(1)


@pytest.mark.parametrize(("number", "epochs"), [(0, 2), (1, 1), (2, 2)])
def test_with_an_empty_store_the_gap_is_exactly_zero(made: Made, number: int, epochs: int) -> None:
    told = made.again(number)
    assert (told.largest, told.epochs, told.explained, told.differs) == (0.0, epochs, True, ())
    names = {one.metric for one in told.gaps}
    assert {"score", "lwlrap", "precision", "train_loss"} <= names
    assert "seconds" not in names
    assert ("lockbox_lwlrap" in names) == (number == 2)
    assert all(one.ledger == one.again for one in told.gaps)
    assert str(told).splitlines()[-1] == "gap: 0.0, in every metric of every epoch"


def test_nothing_is_taken_from_the_studys_store_and_a_kept_store_goes_on(made: Made, tmp_path: Path) -> None:
    shutil.rmtree(made.study / "stages")
    assert made.again(1, store=tmp_path / "kept").largest == 0.0
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("meta.json")}
    assert files
    assert made.again(1, store=tmp_path / "kept").largest == 0.0
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_a_gap_in_an_early_epoch_is_found_and_not_explained(
    made: Made, call: Callable[..., tuple[int, str, str]]
) -> None:
    def change(event: dict[str, Any]) -> None:
        if event["trial"] == 0 and event.get("step") == 1:
            event["metrics"]["lwlrap"] += 0.25

    made.edit(change)
    told = made.again(0)
    assert told.largest == pytest.approx(0.25)
    assert not told.explained
    assert all(one.gap == 0.0 for one in told.gaps)  # of the last epoch
    assert str(told).endswith(
        f"gap: {told.largest!r} at most, in lwlrap at epoch 1 of stage 3; nothing is known to differ from then, so "
        "this is not explained"
    )
    code, out, _ = call("reproduce", made.study, 0)
    assert code == 1
    assert "this is not explained" in out


def test_a_gap_with_other_versions_is_explained_by_them(made: Made) -> None:
    def change(event: dict[str, Any]) -> None:
        if event["trial"] == 1 and event["event"] == "ended":
            event["score"] += 0.5

    made.edit(change)
    shutil.rmtree(made.study / "stages")  # whose metadata would say what made them
    change_study(made.study, "versions", {**versions(), "torch": "1.0"})
    told = made.again(1)
    assert told.largest == pytest.approx(0.5)
    assert told.differs == (f"torch 1.0 → {versions()['torch']}",)
    assert told.explained
    assert "what differs from then: torch 1.0 →" in str(told)
    assert told.as_dict()["gaps"][0]["gap"] == pytest.approx(0.5)


def test_a_metric_that_is_no_number_both_times_is_no_gap_and_one_that_is_none_once_is(made: Made) -> None:
    def change(event: dict[str, Any]) -> None:
        if event["trial"] == 1 and event.get("step") == 1:
            event["metrics"]["recall"] = None

    made.edit(change)
    told = made.again(1)
    assert told.largest == math.inf
    assert told.where == "in recall at epoch 1 of stage 3"
    assert told.as_dict()["largest"] is None


@pytest.mark.parametrize(
    ("number", "got"), [(3, "it has none (FAILED). Such are: 0, 1, 2."), (9, "there is none of this number")]
)
def test_a_trial_without_an_epoch_on_record_is_refused(made: Made, number: int, got: str) -> None:
    with pytest.raises(InputError, match=r"must have an epoch on record, but ") as refused:
        made.again(number)
    assert got in str(refused.value)


def test_the_studys_own_store_is_refused(built: Made) -> None:
    with pytest.raises(InputError, match="it must not be the study's own store"):
        built.again(0, store=built.study / "stages")


def test_other_data_are_refused(made: Made, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "other", Sound(seed=1))
    with pytest.raises(InputError, match="these are other data"):
        made.again(0, data=other)
