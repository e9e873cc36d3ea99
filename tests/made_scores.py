"""What trials of a made-up study said of made-up boxes: listed.npz and a file of scores a trial. No training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from study.scored import LISTED

RECORDINGS = 60


def leave_scores(folder: Path, skill: Mapping[int, float], species: int = 24, seed: int = 0) -> None:
    """Write what the data list, and for each trial of `skill` scores that tell TP from FP boxes by so many deviations.

    The last species has FP boxes only.
    """
    generator = np.random.default_rng(seed)
    of_species = np.repeat(np.arange(species), 25)
    positive = (np.arange(len(of_species)) % 25 < 8) & (of_species < species - 1)
    recording = generator.integers(RECORDINGS, size=len(of_species))
    np.savez_compressed(
        folder / LISTED,
        ids=np.array([f"r{number:03d}" for number in range(RECORDINGS)]),
        sites=np.array([""] * RECORDINGS),
        species=np.arange(species) * 2,
        recording=recording,
        of_species=of_species,
        template=of_species,
        positive=positive,
    )
    for trial, ability in skill.items():
        ease = generator.uniform(0.3, 1.7, size=species)
        heard = ability * ease[of_species] * positive + generator.normal(size=len(of_species))
        scores = folder / "trials" / f"{trial:04d}" / "scores.npz"
        scores.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            scores,
            recording_scores=generator.uniform(size=(RECORDINGS, species)).astype(np.float32),
            box_scores=(1 / (1 + np.exp(-heard))).astype(np.float32),
            folds=np.arange(RECORDINGS) % 3,
        )
    _name(folder, set(skill))


def _name(folder: Path, trials: set[int]) -> None:
    """Let the ledger's ended events name the files."""
    ledger = folder / "trials.jsonl"
    events = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    for event in events:
        if event["event"] == "ended" and event["trial"] in trials:
            event["scores"] = f"trials/{event['trial']:04d}/scores.npz"
    ledger.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
