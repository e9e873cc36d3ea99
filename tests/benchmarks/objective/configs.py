"""The configs: the diary's default and a Latin hypercube over the mission's four knobs, the same in all forests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from design import latin_hypercube

from rfcx_model.hyperparameters import Hyperparameters, build
from study.space import load

SPACE: Final = Path(__file__).parents[3] / "search_spaces" / "mixup.toml"
SITES: Final = ("none", "input", "stage3", "stage4")
ALPHA: Final = (0.05, 2.0)  # even in the logarithm
THRESHOLD: Final = (0.3, 0.95)
GAMMA: Final = (0.0, 4.0)
POINTS: Final = 11
FOLDS: Final = 3
REPLICATES: Final = 2

DEFAULT: Final[dict[str, Any]] = {
    "stage3.mixup_site": "input",
    "stage3.mixup_alpha": 0.1,
    "stage3.pseudo_threshold": 0.9,
    "stage3.focal_gamma": 2.0,
}
"""The diary's settings. It is config 0, and the floor of a rule with a floor comes from it."""

PROFILE: Final[dict[str, Any]] = {
    "frontend.sample_rate_hz": 24_000,
    "frontend.f_max_hz": 12_000.0,
    "frontend.n_fft": 1024,
    "frontend.hop_length": 768,  # 31 frames a second: half the usual, half the cost
    "windows.window_frames": 128,  # 4.1 s
    "windows.overlap_frames": 12,
    "augment.time_mask_frames": 10,
    "stage1.jitter_frames": [0, 8, 16, 32],
    "stage1.epochs": 40,
    "stage1.cosine_epochs": 40,
    "stage2.epochs": 3,
    "stage2.cosine_epochs": 3,
    "stage2.learning_rate": 1e-3,
    "stage3.epochs": 4,
    "stage3.cosine_epochs": 4,
    "stage3.learning_rate": 1e-3,
    "stage3.teachers": 2,
    "ruler.hop_s": 4.096,  # windows end to end
    "ruler.every_epochs": 100,
}
"""Where the small profile of `search_spaces/mixup.toml` is made shorter; configs are scored after their last epoch."""


def configs() -> list[dict[str, Any]]:
    """All of them, by number: knobs and values. Where nothing is mixed, alpha is left out."""
    return [DEFAULT, *map(_config, latin_hypercube(POINTS, 4, seed=0).tolist())]


def hyperparameters(config: dict[str, Any], changed: dict[str, Any]) -> Hyperparameters:
    """The recipe of a config in the small profile, with knobs that the caller changes for all configs."""
    return build({**load(SPACE).fixed, **PROFILE, **changed, **config})


def _config(point: Sequence[float]) -> dict[str, Any]:
    site, alpha, threshold, gamma = point
    config: dict[str, Any] = {
        "stage3.mixup_site": SITES[int(site * len(SITES))],
        "stage3.pseudo_threshold": round(THRESHOLD[0] + threshold * (THRESHOLD[1] - THRESHOLD[0]), 3),
        "stage3.focal_gamma": round(GAMMA[0] + gamma * (GAMMA[1] - GAMMA[0]), 2),
    }
    if config["stage3.mixup_site"] != "none":
        config["stage3.mixup_alpha"] = round(ALPHA[0] * (ALPHA[1] / ALPHA[0]) ** alpha, 3)
    return config
