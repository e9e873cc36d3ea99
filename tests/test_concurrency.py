"""Several at once: two that prepare a cache, drivers on one store, reports of a running study, half-written models."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from place import FIXED, LITTLE, REST, WRITTEN, Place, a_place, sweep, tamper
from safetensors.torch import save_file
from tiny import KNOBS
from untrained_model import write_model

from rfcx_model import network
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import build
from rfcx_model.predict import Model
from rfcx_model.recordings import load
from rfcx_model.spectrogram_cache import open_cache, prepare
from study import model_folder
from study.model_folder import Contents
from study.report import write
from study.trials import read_trials

EPOCHS = 6
SLOW_AND_NOTED = """
# Each recording that is encoded takes a while, and is noted.
def change(module):
    import time
    encode = module.encode
    def slow(*told):
        time.sleep(0.1)
        with open({log!r}, "a") as file:
            print("encoded", file=file)
        return encode(*told)
    module.encode = slow
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as made:
        (made.folder / "little.toml").write_text(LITTLE.replace("EPOCHS", str(EPOCHS)))
        yield made


def together(place: Place, *calls: list[str]) -> list[tuple[int, str, str]]:
    """Calls at once, each to its end: exit code, stdout, stderr."""
    processes = [place.call(*words) for words in calls]
    try:
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(place.end, processes))
    finally:
        for process in processes:
            sweep(process)


def test_two_that_prepare_one_cache_at_once_share_the_work_of_one(place: Place) -> None:
    log = place.folder / "encoded.log"
    tamper(place, "rfcx_model.spectrogram_cache", SLOW_AND_NOTED.format(log=str(log)))
    ends = together(place, *[["prepare", "data", "--space", "little.toml", "--cache", "cache"]] * 2)
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert len(log.read_text().splitlines()) == 12
    (folder,) = {out.strip() for _, out, _ in ends}
    assert [path.name for path in (place.folder / "cache").iterdir()] == [Path(folder).name]
    both = open_cache(Path(folder))
    one = prepare(load(place.folder / "data"), both.frontend, place.folder / "alone", workers=1)
    np.testing.assert_array_equal(both.cells, one.cells)
    np.testing.assert_array_equal(both.statistics, one.statistics)


def run(space: str, *words: str) -> list[str]:
    return ["run", space, "--data", "data", "--cache", "cache", "--store", "store", *words]


@pytest.mark.slow
def test_two_studies_on_one_cache_and_one_store_at_once_do_not_harm_each_other(place: Place) -> None:
    log = place.folder / "written.log"
    tamper(place, "study.store", WRITTEN.format(log=str(log)))
    searched = '[nuisance]\n"stage3.pseudo_threshold" = { low = 0.3, high = 0.95 }\n'
    fixed = FIXED.replace("EPOCHS", str(EPOCHS)) + '"stage3.mixup_site" = "input"\n'
    (place.folder / "other.toml").write_text(
        searched + fixed + REST.replace('[baseline]\n"stage3.mixup_site" = "input"\n', "")
    )
    ends = together(place, run("little.toml"), run("other.toml"))
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert not [err for _, _, err in ends if "Traceback" in err or "trained again" in err]
    studies = [read_trials(study / "trials.jsonl") for study in (place.folder / "studies").glob("*-*")]
    for trials in studies:
        assert [(trial.state, trial.step, trial.troubles) for trial in trials] == [("COMPLETE", EPOCHS, ())] * 3
    first, second = ([{**epoch.metrics, "seconds": 0.0} for epoch in trials[0].epochs] for trials in studies)
    assert first == second, "both began with the same baseline"
    times = Counter(log.read_text().splitlines())
    assert len([line for line in times if not line.startswith("stage3")]) == 2 + 2  # of each fold, and its teacher
    assert max(times.values()) <= 2  # neither driver knows what the other is about to train
    stands = {path: path.stat().st_mtime_ns for path in (place.folder / "store").rglob("*.safetensors")}
    log.unlink()
    code, _, err = place.end(place.call(*run("other.toml", "--trials", "4")))
    assert code == 0, err
    assert {line.partition("-")[0] for line in log.read_text().splitlines()} == {"stage3"}
    assert {path: path.stat().st_mtime_ns for path in stands} == stands


@pytest.mark.slow
def test_of_two_runs_of_one_study_at_once_one_is_refused_and_reports_meanwhile_are_whole(place: Place) -> None:
    words = ["run", "little.toml", "--data", "data", "--cache", "cache", "--set", "stage3.epochs=12"]
    processes, pages = [place.call(*words) for _ in range(2)], []
    try:
        with ThreadPoolExecutor(2) as pool:
            ends = [pool.submit(place.end, process) for process in processes]
            while not all(end.done() for end in ends):
                pages += page_of(place)
            codes = sorted(end.result()[0] for end in ends)
    finally:
        for process in processes:
            sweep(process)
    said = [end.result()[2] for end in ends]
    assert codes == [0, 2], said
    assert sum("another `run` works on this study (process " in err for err in said) == 1
    assert not [err for err in said if "Traceback" in err]
    place.check_once_each(3, 12)
    assert len(pages) >= 2
    assert len(set(pages)) > 1, "the study moved on while it was looked at"


def page_of(place: Place) -> list[str]:
    """The report of a study that may be at any moment of its life; nothing where it has not begun."""
    found = [path.parent for path in (place.folder / "studies").glob("little-*/study.json")]
    if not found:
        return []
    html, markdown = write(found[0])
    assert html.read_text().rstrip().endswith("</html>")
    assert markdown.read_text().startswith("# little")
    return [markdown.read_text()]


def test_a_model_that_is_being_written_does_not_stand_there_until_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h, model = build(KNOBS), tmp_path / "model"
    weights = [network.build(h.network, 3, seed=fold).state_dict() for fold in range(2)]
    seen: list[Model | str] = []

    def looked_at(tensors: dict[str, torch.Tensor], path: Path) -> None:
        save_file(tensors, path)
        seen.append(read_or_refused(model))
        assert not model.exists(), "a copy that is begun now would lack files"

    monkeypatch.setattr(model_folder, "save_file", looked_at)
    model_folder.write_model(model, Contents(h, (0, 1, 2), weights))
    assert len(seen) >= len(weights)
    assert set(seen) == {f"{model}: not a model folder. Make one with `rfcx-study train`."}
    for one, wanted in zip(model_folder.load_model(model).nets, weights, strict=True):
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in one.state_dict().items())


def read_or_refused(model: Path) -> Model | str:
    try:
        return model_folder.load_model(model)
    except InputError as refusal:
        return str(refusal)


@pytest.mark.parametrize("config_first", [True, False])
def test_a_model_that_is_being_copied_is_refused_at_every_byte_until_it_is_whole(
    tmp_path: Path, config_first: bool
) -> None:
    whole, copy = write_model(tmp_path / "whole"), tmp_path / "copy"
    wanted = model_folder.load_model(whole)
    names = sorted((path.name for path in whole.iterdir()), key=lambda name: (name == "config.json") != config_first)
    copy.mkdir()
    for name in names:
        content = (whole / name).read_bytes()
        for end in (0, 1, len(content) // 2, len(content) - 2):
            (copy / name).write_bytes(content[:end])
            with pytest.raises(InputError, match=re.escape(str(copy))):
                model_folder.load_model(copy)
        shutil.copy(whole / name, copy / name)
    got = model_folder.load_model(copy)
    for one, other in zip(got.nets, wanted.nets, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
