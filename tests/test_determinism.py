"""Same seed, same machine, same bytes: made-up forests, partitions, trials, bundles, models and submissions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from place import LITTLE, ROOT, Place, a_place

from study.events import read_events

TIMES = ("time", "seconds")
"""What a ledger says of the clock."""


def digests(folder: Path) -> dict[str, str]:
    """Of every file below a folder, by its path there."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): blake2b(path.read_bytes()).hexdigest() for path in files}


def test_a_forest_is_the_same_to_the_byte_in_any_process(tmp_path: Path) -> None:
    def synthesize(hash_seed: int) -> None:
        words = ["synthesize", "forest", "--recordings", "6", "--test-recordings", "2", "--duration-s", "12"]
        folder = tmp_path / str(hash_seed)
        folder.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "study", *words, "--species", "5", "--seed", "3"]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(synthesize, (1, 2)))
    first, second = digests(tmp_path / "1"), digests(tmp_path / "2")
    assert len(first) > 8 + 4
    assert first == second


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as made:
        text = LITTLE.replace("EPOCHS", "2").replace('"stage3.teachers" = 1', '"stage3.teachers" = 2')
        (made.folder / "little.toml").write_text(text.replace("folds = 2", "folds = 2\nlockbox = 0.2"))
        yield made


def done(place: Place, *words: str) -> None:
    code, _, err = place.end(place.call(*words))
    assert code == 0, err


def history(study: Path) -> list[dict[str, Any]]:
    """What the ledger tells of each trial in its own order, without what it says of the clock."""
    events = read_events(study / "trials.jsonl")
    for event in events:
        for facts in (event, event.get("metrics", {})):
            for name in TIMES:
                facts.pop(name, None)
    return sorted(events, key=lambda event: int(event["trial"]))


def walked(place: Place, name: str, monkeypatch: pytest.MonkeyPatch, hash_seed: int) -> Path:
    """The whole way from a space to a submission, in a folder and with a store and a cache of its own."""
    monkeypatch.setenv("PYTHONHASHSEED", str(hash_seed))
    done(place, "run", "little.toml", "--data", "data", "--out", name, "--cache", f"{name}/cache")
    (study,) = (place.folder / name).glob("little-*")
    done(place, "export", str(study), "--to", f"{name}/bundle")
    anew = ["--store", f"{name}/anew"] if hash_seed > 1 else []  # else what the study's store holds
    data = ["--data", "data"]
    done(place, "train", f"{name}/bundle", *data, "--to", f"{name}/model", "--cache", f"{name}/cache", *anew)
    done(place, "predict", f"{name}/model", *data, "--to", f"{name}/submission.csv")
    return study


@pytest.mark.slow
def test_a_study_walked_twice_ends_in_the_same_bytes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (walked(place, name, monkeypatch, seed) for seed, name in ((1, "first"), (2, "second")))
    assert history(first) == history(second)
    for name in ("folds.csv", "listed.npz"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    trials = [digests(study / "trials") for study in (first, second)]
    scores = [{path: told for path, told in one.items() if path.endswith("scores.npz")} for one in trials]
    assert len(scores[0]) == 3
    assert scores[0] == scores[1]
    bundles = [json.loads((place.folder / name / "bundle" / "config.json").read_text()) for name in ("first", "second")]
    for bundle in bundles:
        assert bundle.pop("store")
        assert bundle["metrics"].pop("seconds") > 0.0
    assert bundles[0] == bundles[1]
    models = [digests(place.folder / name / "model") for name in ("first", "second")]
    assert {"config.json", "card.html", "fold0.safetensors", "fold1.safetensors"} <= models[0].keys()
    assert models[0] == models[1], "taken from the study's store, and trained anew"
    submissions = [(place.folder / name / "submission.csv").read_bytes() for name in ("first", "second")]
    assert submissions[0] == submissions[1]
