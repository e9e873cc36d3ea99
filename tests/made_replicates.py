"""A made-up study with replicates: its ledger, what its data list, and out-of-fold scores. No training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from made_study import STUDY, ended, epoch, started, write
from numpy.typing import NDArray

from rfcx_model.metrics import OutOfFold, measure
from study.scored import read_ruler

SITE, ALPHA, THRESHOLD = "stage3.mixup_site", "stage3.mixup_alpha", "stage3.pseudo_threshold"
RECORDINGS, BOXES, SPECIES = 60, 240, 3
GRID: dict[str, Any] = {
    **{key: value for key, value in STUDY.items() if key not in ("knobs", "search")},
    "scientific": {SITE: {"choices": ["input", "stage4", "none"]}},
    "nuisance": {},
    "search": {"sampler": "grid", "scheduler": "none", "folds": 3, "seed": 0, "replicates": 5},
}


@dataclass
class Made:
    """A study's folder, filled trial by trial; `order` is that of its recordings."""

    folder: Path
    study: Mapping[str, Any] = field(default_factory=lambda: GRID)
    sites: int = 0
    order: NDArray[np.int64] = field(default_factory=lambda: np.arange(RECORDINGS))
    events: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[int, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(0)
        place = np.argsort(self.order)  # of the recording that was i-th
        self.of = generator.integers(SPECIES, size=BOXES)
        self.recording = generator.integers(RECORDINGS, size=BOXES)
        self.positive = generator.random(BOXES) < 0.5
        self.hard = generator.normal(size=(RECORDINGS, SPECIES))
        names = np.array([f"r{one:03d}" for one in range(RECORDINGS)])
        sites = np.array([f"s{one % self.sites}" if self.sites else "" for one in range(RECORDINGS)])
        np.savez_compressed(
            self.folder / "listed.npz",
            ids=names[self.order],
            sites=sites[self.order],
            species=np.array([2, 5, 9]),
            recording=place[self.recording],
            of_species=self.of,
            template=2 * self.of,
            positive=self.positive,
        )

    def trial(
        self, params: Mapping[str, Any], replicate: int, gain: float, state: str = "COMPLETE", origin: str = "search"
    ) -> int:
        """A trial whose scores are better the larger its gain; what else they are made of is the replicate's."""
        number = len({event["trial"] for event in self.events})
        begin = started(number, 10.0 * number, dict(params), origin) | {"replicate": replicate, "seed": replicate}
        self.events.append(begin)
        if state in ("COMPLETE", "PRUNED"):
            said = self._scores(replicate, gain)
            self.metrics[number] = measure(read_ruler(self.folder).listed, said)
            score = 0.5 * self.metrics[number]["lwlrap"] + 0.5 * self.metrics[number]["precision"]
            self.save(number, said)
            told: dict[str, float | None] = {**self.metrics[number], "score": score}
            self.events.append(epoch(number, 1, 10.0 * number + 1, told))
            self.events.append(ended(number, 10.0 * number + 2, state, score) | {"scores": self.path(number)})
        elif state != "RUNNING":
            self.events.append(ended(number, 10.0 * number + 2, state, None))
        write(self.folder, dict(self.study), self.events)
        return number

    def confirm(
        self, arms: Sequence[tuple[str, Mapping[str, Any], bool]], replicates: list[int], raised: list[int]
    ) -> None:
        """Write confirm.json, each arm a label, its knobs, and whether it is the baseline."""
        told = [
            {
                "label": label,
                "arm": None,
                "config": started(0, 0.0, dict(params))["config"],
                "trial": 0,
                "baseline": first,
            }
            for label, params, first in arms
        ]
        text = json.dumps({"v": 1, "by": None, "replicates": replicates, "arms": told, "raised": raised})
        (self.folder / "confirm.json").write_text(text)

    def path(self, number: int) -> str:
        return f"scores-{number}.npz"

    def save(self, number: int, said: OutOfFold) -> None:
        np.savez_compressed(self.folder / self.path(number), **vars(said))

    def _scores(self, replicate: int, gain: float) -> OutOfFold:
        generator = np.random.default_rng(100 + replicate)
        truth = np.zeros((RECORDINGS, SPECIES))
        truth[self.recording[self.positive], self.of[self.positive]] = 1
        luck = 0.2 * generator.normal(size=truth.shape)
        logits = gain * truth + self.hard + luck
        boxes = gain * self.positive + self.hard[self.recording, self.of] + 0.2 * generator.normal(size=BOXES)
        folds = generator.permutation(RECORDINGS) % 3
        recordings, box_scores = (1 / (1 + np.exp(-one)) for one in (logits[self.order], boxes))
        return OutOfFold(recordings.astype(np.float32), box_scores.astype(np.float32), folds[self.order])


def grid(folder: Path, gains: Mapping[str, float], replicates: int = 5, sites: int = 0) -> Made:
    """A grid over the mixup site, all replicates done."""
    made = Made(folder, sites=sites)
    for replicate in range(replicates):
        for place, (site, gain) in enumerate(gains.items()):
            made.trial({SITE: site}, replicate, gain, origin="baseline" if place == replicate == 0 else "search")
    return made
