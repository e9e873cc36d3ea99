"""What a study would cost before it is run: fold-epochs, and hours from a few timed training steps on this machine."""

from __future__ import annotations

import contextlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rfcx_model import compute, network
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.labels import grid
from rfcx_model.losses import masked_loss
from rfcx_model.mixup import Labels
from rfcx_model.predict import BATCH_WINDOWS
from rfcx_model.recordings import Recordings, load
from rfcx_model.spectrogram import count_frames
from study.machine import cores
from study.recipe import Cost
from study.setting import Lockbox, Setting
from study.space import Study
from study.store import code_digest
from study.whole_file import write_whole
from study.work import planned_work

CALIBRATION = "calibration.json"
TIMED_STEPS = 3
GPU_TRIALS = 2  # trials that share a GPU unless the space says otherwise


@dataclass(frozen=True)
class Forecast:
    """A study's cost if no trial is pruned, on this machine."""

    trials: int
    folds: int
    cost: Cost
    slots: int
    hours: float
    gpu_hours: float
    device: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"fold_epochs": self.cost.total}

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.trials} trials on {self.folds} folds, {self.slots} at a time ({self.device})",
                str(self.cost),
                f"about {self.hours:.2f} hours if no trial is pruned"
                + (f", {self.gpu_hours:.2f} GPU-hours" if self.gpu_hours else "")
                + " (from a few training steps timed on this machine)",
            ]
        )


def plan(study: Study, data: Path, cache: Path, trials: int | None, say: Callable[[str], None]) -> Forecast:
    """Forecast a study. What a training step takes on this machine is kept in the cache folder.

    Raises:
        InputError: the data are unsound.
    """
    recordings = load(data)
    hyperparameters = study.hyperparameters(study.baseline)
    setting = Setting(
        recordings,
        study.search.folds,
        Path(),
        Path(),
        threads=1,
        lockbox=Lockbox(study.search.lockbox, study.search.seed),
    )
    cost = planned_work(study, setting, trials)
    place = compute.best()
    slots = study.resources.concurrent or (GPU_TRIALS if place.device.type == "cuda" else cores())
    steps = _calibration(hyperparameters, len(recordings.species), place, cache, say)
    seconds = _seconds(hyperparameters, recordings, study, cost, steps) / slots
    gpus = 1.0 if place.device.type == "cuda" else 0.0
    return Forecast(
        trials=trials or study.budget.trials,
        folds=study.search.folds,
        cost=cost,
        slots=slots,
        hours=seconds / 3600,
        gpu_hours=gpus * seconds / 3600,
        device=str(place),
    )


def _seconds(
    hyperparameters: Hyperparameters, recordings: Recordings, study: Study, cost: Cost, steps: tuple[float, float]
) -> float:
    """Seconds of one slot for the whole study: training windows, and out-of-fold windows after every own epoch."""
    h, folds = hyperparameters, study.search.folds
    train_s, score_s = steps
    rates = recordings.train["duration_s"].to_numpy() * h.frontend.sample_rate_hz
    frames = [count_frames(int(samples), h.frontend) for samples in rates]
    step = h.windows.window_frames - h.windows.overlap_frames
    windows = sum(len(grid(n, h.windows.window_frames, step)) for n in frames) * (folds - 1) / folds
    hop = max(1, round(h.ruler.hop_s * h.frontend.frames_per_s))
    scored = sum(len(grid(n, h.windows.window_frames, hop)) for n in frames) / folds
    boxes = recordings.boxes
    confirmed = boxes.loc[boxes["positive"], "recording"]
    calls = len(confirmed) if h.stage1.crops_per == "call" else confirmed.nunique()
    crops = calls * (folds - 1) / folds + h.stage1.fp_recordings
    crops_s, windows_s = crops * train_s, windows * train_s
    return float(cost.crops * crops_s + (cost.total - cost.crops) * windows_s + cost.measured * scored * score_s)


def _calibration(
    h: Hyperparameters, n_species: int, place: compute.Compute, cache: Path, say: Callable[[str], None]
) -> tuple[float, float]:
    """Seconds a window, trained on and scored: as timed before on this machine, else timed now and kept."""
    read = [asdict(h.network), h.windows.window_frames, h.frontend.n_mels, n_species, str(place), platform.node()]
    key = json.dumps([*read, code_digest(), torch.__version__, version("timm")], sort_keys=True)
    path = cache / CALIBRATION
    try:
        train_s, score_s = map(float, _calibrations(path)[key])
    except (ValueError, KeyError, TypeError):
        train_s, score_s = _timed(h, n_species, place, say)
        with contextlib.suppress(OSError):  # a cache that cannot be written is no reason not to tell
            cache.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps({**_calibrations(path), key: [train_s, score_s]}, indent=1) + "\n")
    return train_s, score_s


def _calibrations(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _timed(
    hyperparameters: Hyperparameters, n_species: int, place: compute.Compute, say: Callable[[str], None]
) -> tuple[float, float]:
    """Seconds a window: trained on, and scored."""
    h = hyperparameters
    net = network.build(h.network, n_species, seed=0, load_pretrained=False)
    say(f"training steps of {h.network.backbone} are timed, once for this machine")
    net = network.placed(net, place)
    x = torch.zeros(BATCH_WINDOWS, 1, h.windows.window_frames, h.frontend.n_mels, device=place.device)
    x = x.contiguous(memory_format=place.memory_format)
    labels = Labels(*(torch.ones(BATCH_WINDOWS, n_species, device=place.device) for _ in range(2)))
    optimiser = torch.optim.Adam(net.parameters())
    torch.set_num_threads(1)

    def train() -> None:
        with place.autocast():
            logits = net(x)
        masked_loss(logits.clipwise, labels, focal_gamma=0.0, positive_weight_decay=False).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()

    def score() -> None:
        with torch.no_grad(), place.autocast():
            net(x).framewise.cpu()

    return _median_s(train) / BATCH_WINDOWS, _median_s(score) / BATCH_WINDOWS


def _median_s(step: Any) -> float:
    step()
    seconds = []
    for _ in range(TIMED_STEPS):
        begun = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return float(np.median(seconds))
