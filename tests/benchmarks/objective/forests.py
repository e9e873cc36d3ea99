"""The forests: from which ranges each one's options are drawn, and which are for choosing and which are sealed.

The options of a set make a Latin hypercube, so that even a few forests cover every range.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from design import latin_hypercube

from rfcx_model import synthetic
from rfcx_model.forest import Forest

Set = Literal["development", "sealed", "winners"]
SETS: Final[dict[Set, tuple[int, ...]]] = {
    "development": (1, 2, 3, 4),
    "sealed": (101, 102, 103, 104, 105, 106),
    "winners": (201, 202, 203),
}
"""Seeds. The sealed ones are looked at once, after the choice stands in `choice.json`; `winners.py` takes the last."""


@dataclass(frozen=True)
class Range:
    """Where an option is drawn from, evenly or, with `log`, evenly in its logarithm."""

    low: float
    high: float
    log: bool = False

    def at(self, share: float) -> float:
        """The value that this share of the draws lies below."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + share * (self.high - self.low)


LISTED: Final = {
    "tp_per_template": Range(6, 40, log=True),  # how much is listed: 6 is half of what a usual species could have
    "tp_by_score": Range(0, 1),  # how listing depends on the signal-to-noise ratio, where the cap leaves a choice
    "fp_per_template": Range(10, 80, log=True),
    "fp_by_score": Range(0, 1),  # how hard the false positives are
    "expert_error": Range(0, 0.08),
    "imbalance": Range(0.5, 1.8),
    "sites": Range(24, 72),  # a quarter of them in the training recordings
    "density": Range(0.6, 1.6),
    "difficulty": Range(0, 0.5),  # fainter calls and more other animals
}
WHOLE: Final = ("tp_per_template", "fp_per_template", "sites")


@dataclass(frozen=True)
class Size:
    """How large the forests are; all alike."""

    train_recordings: int = 100
    test_recordings: int = 300
    duration_s: float = 12.0
    sample_rate_hz: int = 24_000
    species: int = 12

    def __str__(self) -> str:
        parts = f"{self.train_recordings}+{self.test_recordings}x{self.duration_s:g}s"
        return f"{parts}-{self.species}species-{self.sample_rate_hz}hz"


def drawn(seed: int, size: Size = Size()) -> Forest:
    """The forest of a seed of one of the sets, which draws its options and then all that lives in it."""
    seeds = next(seeds for seeds in SETS.values() if seed in seeds)
    shares = latin_hypercube(len(seeds), len(LISTED), seeds)[seeds.index(seed)].tolist()
    options = {name: span.at(share) for (name, span), share in zip(LISTED.items(), shares, strict=True)}
    whole = {name: round(options[name]) for name in WHOLE}
    return Forest(
        train_recordings=size.train_recordings,
        test_recordings=size.test_recordings,
        duration_s=size.duration_s,
        sample_rate_hz=size.sample_rate_hz,
        species=size.species,
        sites=whole["sites"],
        density=round(options["density"], 3),
        imbalance=round(options["imbalance"], 3),
        difficulty=round(options["difficulty"], 3),
        expert_error=round(options["expert_error"], 4),
        tp_per_template=whole["tp_per_template"],
        fp_per_template=whole["fp_per_template"],
        tp_by_score=round(options["tp_by_score"], 3),
        fp_by_score=round(options["fp_by_score"], 3),
        seed=seed,
    )


def made(seed: int, size: Size, parent: Path) -> Path:
    """The forest's folder, made if it does not stand there; its truth is beside it."""
    folder = parent / f"forest{seed}-{size}"
    if not folder.exists():
        synthetic.write(drawn(seed, size), folder)
    return folder
