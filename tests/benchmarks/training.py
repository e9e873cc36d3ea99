"""How fast is training? A step in several formats, and an epoch of stage 3 beside a DataLoader's, one thread each.

**Steps.** The batch of stage 1 in `search_spaces/mixup.toml` (16 windows of 256 frames × 64 mels): forward, loss,
backward, Adam. `plain` is the loop of a notebook: float32, tensors as they come. `ours` is what `rfcx_model/compute.py`
chooses for this machine, narrow maps turned over (`rfcx_model/narrow.py`), with what a step does besides (augmentation,
mixup, label mixing). The others are formats that could have been chosen. Medians of turns, CPU seconds.

**Epochs.** Stage 3 of all folds on a made-up forest: `ours` (`rfcx_model/train.py`: windows gathered from the memory
map, batch by batch), and the same stage fed by a torch DataLoader that normalises window by window, fold after fold; in
the same format, in which losses are equal to what is told, and in the notebook's.

Example: python tests/benchmarks/training.py --backbones test_resnet resnet18
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: one thread each

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rfcx_model import corpus as corpora
from rfcx_model import network, train
from rfcx_model.augment import augment
from rfcx_model.compute import Compute, best
from rfcx_model.corpus import Corpus, Sounds
from rfcx_model.forest import Forest
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.losses import masked_loss
from rfcx_model.mixup import Labels, draw, mix_labels
from rfcx_model.network import RFCXNet
from rfcx_model.recordings import load
from rfcx_model.spectrogram_cache import prepare
from rfcx_model.synthetic import write
from rfcx_model.train import Task
from study.space import load as load_space

SPACE: Final = Path(__file__).parents[2] / "search_spaces" / "mixup.toml"
EPOCHS: Final = """
| backbone | losses apart | ours, CPU s for 3 folds | DataLoader | DataLoader, plain | times faster | than plain |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |"""
BATCH: Final = (16, 1, 256, 64)
SPECIES: Final = 24
CPU: Final = torch.device("cpu")
FORMATS: Final = {
    "plain": Compute(CPU, torch.float32, torch.contiguous_format),
    "float32, channels_last": Compute(CPU, torch.float32),
    "bfloat16": Compute(CPU, torch.bfloat16, torch.contiguous_format),
    "bfloat16, channels_last": Compute(CPU, torch.bfloat16),
}


def recipe(backbone: str, **changed: object) -> Hyperparameters:
    """`mixup.toml`'s baseline with another backbone."""
    settings = {name.replace("__", "."): value for name, value in changed.items()}
    study = load_space(SPACE, {"network.backbone": backbone, **settings})
    return study.hyperparameters(study.baseline)


def stepper(h: Hyperparameters, compute: Compute, *, whole: bool, fused: bool = False) -> Callable[[], None]:
    """One training step; `whole` with all that ours does: augmentation, mixup, narrow maps turned over."""
    net = network.build(h.network, SPECIES, seed=0, load_pretrained=False).train()
    net = network.placed(net, compute) if whole else _as_timm_has_it(net, compute)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, generator=generator)
    truth = (torch.rand(BATCH[0], SPECIES, generator=generator) < 0.1).float()

    def step() -> None:
        labels, heard = Labels(truth, 1 - truth), x
        mix = draw("none", 0.0, BATCH[0], generator)
        if whole:
            heard = augment(x, h.augment, torch.ones(BATCH[0]), generator)
            mix = draw("stage3", 0.5, BATCH[0], generator)
            labels = mix_labels(labels, mix, "convex")
        with compute.autocast():
            logits = net(heard.contiguous(memory_format=compute.memory_format), mix, generator)
        loss = masked_loss(logits.clipwise, labels, focal_gamma=2.0, positive_weight_decay=False)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def _as_timm_has_it(net: RFCXNet, compute: Compute) -> RFCXNet:
    """On the device in a format, as `network.placed` puts it, without turned convolutions."""
    return net.to(compute.device, memory_format=compute.memory_format)  # type: ignore[call-overload, no-any-return]


def medians(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """CPU seconds of each, measured in turns, after one turn that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            if turn:
                taken[name].append(time.process_time() - begun)
    return {name: statistics.median(times) for name, times in taken.items()}


def steps(backbone: str, repeats: int) -> list[str]:
    """Rows of one backbone."""
    h = recipe(backbone)
    ways: dict[str, Callable[[], object]] = {
        name: stepper(h, compute, whole=False) for name, compute in FORMATS.items()
    }
    ways["ours"] = stepper(h, best(), whole=True)
    ways["ours, fused Adam"] = stepper(h, best(), whole=True, fused=True)
    told = medians(ways, repeats)
    return [
        f"| {backbone} | {name} | {seconds:.4f} | {told['plain'] / seconds:.2f} |" for name, seconds in told.items()
    ]


@dataclass(frozen=True)
class _Windows(Dataset[Tensor]):
    """One normalised window an item, as a notebook's dataset has it."""

    sounds: Sounds
    recording: Tensor
    start: Tensor
    frames: int

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, one: int) -> Tensor:
        row = int(self.recording[one])
        first, end = int(self.sounds.offsets[row]), int(self.sounds.offsets[row + 1])
        start = first + int(self.start[one])
        cells = self.sounds.cells[max(start, first) : min(start + self.frames, end)]
        x = cells.float() * self.sounds.scale[row] + self.sounds.shift[row]
        before = max(first - start, 0)
        return torch.nn.functional.pad(x, (0, 0, before, self.frames - len(x) - before))[None]


@dataclass(frozen=True, eq=False)
class LoadedSounds(Sounds):
    """Windows by a DataLoader, one item a window."""

    def inputs(self, recording: Tensor, start: Tensor, window_frames: int) -> Tensor:
        """See `Sounds.inputs`."""
        loader = DataLoader(_Windows(self, recording, start, window_frames), batch_size=len(start))
        (batch,) = loader
        return torch.as_tensor(batch)


def epochs(h: Hyperparameters, corpus: Corpus, compute: Compute, folds: Sequence[tuple[int, ...]]) -> list[float]:
    """Losses of stage 3's epochs for the models that hold out these folds, out-of-fold scores too."""
    task = Task(h, corpus, compute, tuple(folds), seed=0, starts=(None,) * len(folds))
    return [one.train_loss for one in train.stage("stage3", task)]


def abreast(backbone: str, folder: Path, repeats: int) -> str:
    """The row of a backbone."""
    h = recipe(backbone, stage3__epochs=1)
    data = folder / "forest"
    if not data.exists():
        write(Forest(train_recordings=30, test_recordings=1, duration_s=30.0, species=12, seed=1), data, workers=1)
    recordings = load(data)
    spectrograms = prepare(recordings, h.frontend, folder / "cache", workers=1)
    count = 3
    corpus = corpora.build(recordings, spectrograms, np.arange(len(recordings.train)) % count, h, best())
    loaded = replace(corpus, sounds=LoadedSounds(**vars(corpus.sounds)))
    each = [(fold,) for fold in range(count)]
    plain = FORMATS["plain"]
    ours = epochs(h, corpus, best(), each)
    theirs = np.mean([epochs(h, loaded, best(), [fold]) for fold in each], axis=0)
    apart = float(np.abs(np.array(ours) - theirs).max())
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: epochs(h, corpus, best(), each),
        "loader": lambda: [epochs(h, loaded, best(), [fold]) for fold in each],
        "plain": lambda: [epochs(h, loaded, plain, [fold]) for fold in each],
    }
    told = medians(ways, repeats)
    cells = [backbone, f"{apart:.0e}", *(f"{told[name]:.2f}" for name in ways)]
    cells += [f"{told[name] / told['ours']:.2f}" for name in ("loader", "plain")]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    about, _, example = (__doc__ or "").partition("Example: ")
    parser = argparse.ArgumentParser(
        description=about, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=["test_resnet", "resnet18"])
    parser.add_argument("--repeats", type=int, default=15, help="of a step; epochs take a fifth")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"this machine's format: {best()}\n")
    print("| backbone | step | CPU s | times faster than plain |\n| --- | --- | ---: | ---: |")
    for backbone in asked.backbones:
        print("\n".join(steps(backbone, asked.repeats)), flush=True)
    print(EPOCHS)
    with TemporaryDirectory() as temporary:
        for backbone in asked.backbones:
            print(abreast(backbone, Path(temporary), max(1, asked.repeats // 5)), flush=True)


if __name__ == "__main__":
    main()
