"""RFCXNet: a timm backbone, mixup on the way through it, and an attention head over time.

Notations
    x    normalised log-mel            (batch, 1, frame, mel)
    xa   class logit of a time cell    (batch, species, cell); one cell is 32 frames
    xb   attention logit of a cell     (batch, species, cell)

    clipwise = Σ_cell xa · softmax_cell(xb)   (trained on)         framewise = xa   (predicted with)

The head is the diary's; it is the attention pooling of Kong et al. 2019 (arXiv:1903.00765) on logits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import timm
import torch
from torch import Tensor, nn

from rfcx_model.compute import Compute
from rfcx_model.errors import InputError, first_line
from rfcx_model.hyperparameters import Network, Windows
from rfcx_model.mixup import Mix
from rfcx_model.narrow import turn_narrow

CELL_FRAMES: Final = 32
"""Frames in a time cell: the stride of the last stage."""

SITES: Final = {"stage3": 16, "stage4": 32}
"""Feature sites by their reduction, which is how timm names stages alike in all backbones."""

_UNFIT: Final = (RuntimeError, AssertionError, ValueError, TypeError, KeyError)
"""What timm raises for a backbone that has no `features_only` form."""


@dataclass(frozen=True, eq=False)
class Logits:
    """What the network says of a batch of windows, float32."""

    clipwise: Tensor  # (batch, species)
    framewise: Tensor  # (batch, species, cell)


class RFCXNet(nn.Module):
    """The network. Build it with `build`, which seeds the weights and loads pretrained ones."""

    def __init__(self, backbone: nn.Module, channels: int, n_species: int, network: Network) -> None:
        super().__init__()
        self.backbone = backbone
        self.channels = channels
        self.pooling = network.pooling
        self.dropout = network.dropout
        self.class_head = nn.Conv1d(channels, n_species, kernel_size=1, bias=False)
        self.attention_head = nn.Conv1d(channels, n_species, kernel_size=1, bias=False)
        self._mix: Mix | None = None
        for site, module in _site_modules(backbone, network.backbone).items():
            module.register_forward_hook(partial(self._pass, site))  # a partial is deep-copied with its network

    def _pass(self, site: str, _module: nn.Module, _inputs: tuple[Tensor, ...], x: Tensor) -> Tensor:
        return x if self._mix is None else self._mix.at(site, x)

    def features(self, x: Tensor, mix: Mix | None = None) -> Tensor:
        """The last stage's output (batch, channel, cell, mel cell), mixed at the site on the way.

        A hook on the module that timm's `feature_info` names as the end of a stage hands its output to `mix.at`.
        """
        self._mix = mix
        try:
            x = self.backbone(x if mix is None else mix.at("input", x))[-1]
        finally:
            self._mix = None
        return x if x.shape[1] == self.channels else x.permute(0, 3, 1, 2)

    def forward(self, x: Tensor, mix: Mix | None = None, generator: torch.Generator | None = None) -> Logits:
        """Logits of a batch (batch, 1, frame, mel); `generator` draws dropout and is needed for training with it."""
        x = torch.relu(self.features(x, mix)).mean(dim=3)
        if self.training and self.dropout > 0:
            keep = torch.rand(x.shape, generator=generator).to(x.device) >= self.dropout
            x = x * keep / (1.0 - self.dropout)
        framewise = self.class_head(x).float()
        if self.pooling == "mean":
            return Logits(framewise.mean(dim=2), framewise)
        attention = self.attention_head(x).float().softmax(dim=2)
        return Logits((framewise * attention).sum(dim=2), framewise)


def build(network: Network, n_species: int, seed: int, *, load_pretrained: bool = True) -> RFCXNet:
    """A fresh network whose weights are a function of `seed` and of the pretrained weights, if any.

    `load_pretrained=False` is for networks that get all their weights from a state.

    Raises:
        InputError: timm does not know the backbone, it has no stages 3 and 4, or its weights cannot be had.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = _backbone(network if load_pretrained else replace(network, pretrained="none"))
        return RFCXNet(backbone, _info(backbone).channels()[-1], n_species, network)


def restored(network: Network, n_species: int, weights: Mapping[str, Tensor], compute: Compute) -> RFCXNet:
    """A trained network, ready to predict on a device.

    Raises:
        RuntimeError: the weights are another network's.
    """
    net = build(network, n_species, seed=0, load_pretrained=False)
    net.load_state_dict(weights)
    return placed(net, compute).eval()


def placed(net: RFCXNet, compute: Compute) -> RFCXNet:
    """The network on a device, in its memory format; where oneDNN computes it, with narrow maps turned over."""
    by_onednn = compute.device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if by_onednn and compute.memory_format == torch.channels_last:
        turn_narrow(net)
    return net.to(compute.device, memory_format=compute.memory_format)  # type: ignore[call-overload, no-any-return]


def check(network: Network, windows: Windows, n_mels: int, n_species: int) -> None:
    """Find out whether a network can be had and hears windows of this size.

    Raises:
        InputError: see `build`; or the backbone takes inputs of another size only.
    """
    net = build(network, n_species, seed=0).eval()
    try:
        with torch.no_grad():
            net(torch.zeros(1, 1, windows.window_frames, n_mels))
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        raise InputError(
            f"`network.backbone`: {network.backbone} cannot take windows of {windows.window_frames} frames × {n_mels} "
            f"mels ({type(error).__name__}: {first_line(error)}). Choose a backbone without a fixed input size, such "
            "as resnet18, or larger windows."
        ) from error


@lru_cache(maxsize=8)
def pretrained_digest(network: Network) -> str:
    """SHA-256, in hex, over names, shapes and values of the backbone's pretrained weights; empty where it has none.

    It does not depend on where they come from or how they are written: hub and file agree.

    Raises:
        InputError: see `build`.
    """
    if network.pretrained == "none":
        return ""
    whole = sha256()
    for name, tensor in sorted(_backbone(network).state_dict().items()):
        whole.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\0".encode() + tensor.contiguous().numpy().tobytes())
    return whole.hexdigest()


def _weight_file(place: str) -> Path:
    """The file of weights that `network.pretrained` names: itself, or the only one in a folder.

    Raises:
        InputError: there is none, or more than one.
    """
    path = Path(place)
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(
            f"`network.pretrained`: it must be 'hub', 'none', a weight file or a folder with one, but got {place!r}."
        )
    for pattern in ("model.safetensors", "*.safetensors", "pytorch_model.bin", "*.pth"):
        found = sorted(path.glob(pattern))
        if len(found) > 1:
            names = ", ".join(one.name for one in found[:5])
            raise InputError(f"`network.pretrained`: {place} must hold one weight file, but has {names}. Name one.")
        if found:
            return found[0]
    raise InputError(
        f"`network.pretrained`: {place} must hold a weight file (.safetensors, pytorch_model.bin, .pth), but has none."
    )


def _backbone(network: Network) -> nn.Module:
    name = network.backbone
    if not timm.is_model(name):
        raise InputError(f"`network.backbone`: timm has no model {name!r}. `timm.list_models()` lists them.")
    try:
        stages = _info(timm.create_model(name, features_only=True, pretrained=False)).reduction()
    except _UNFIT as error:
        raise InputError(
            f"`network.backbone`: {name} has no `features_only` form ({error}). Choose another."
        ) from error
    missing = [site for site, reduction in SITES.items() if reduction not in stages]
    if missing:
        raise InputError(
            f"`network.backbone`: {name} has no {' and no '.join(missing)} (its reductions are {stages}, "
            "16 and 32 are needed). Choose a backbone with stages, such as resnet18."
        )
    overlay = None
    if network.pretrained not in ("hub", "none"):
        overlay = {"file": str(_weight_file(network.pretrained))}
    try:
        with _one_word_of_the_hub():
            return timm.create_model(
                name,
                features_only=True,
                in_chans=1,
                out_indices=range(stages.index(32) + 1),
                pretrained=network.pretrained != "none",
                pretrained_cfg_overlay=overlay,
            )
    except Exception as error:
        if network.pretrained == "none":
            if isinstance(error, _UNFIT):
                raise InputError(
                    f"`network.backbone`: timm cannot take {name} apart into its stages ({error}). "
                    "Choose another, such as resnet18."
                ) from error
            raise
        raise InputError(
            f"`network.pretrained`: the weights of {name} could not be loaded from {network.pretrained!r} "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}). "
            'Set "network.pretrained" to a weight file or a folder with one that was fetched elsewhere, or to "none".'
        ) from error


@contextmanager
def _one_word_of_the_hub() -> Iterator[None]:
    """The hub's client tells of every try that fails; the message in the end tells it once."""
    client = logging.getLogger("huggingface_hub")
    level = client.level
    client.setLevel(logging.ERROR)
    try:
        yield
    finally:
        client.setLevel(level)


def _info(backbone: nn.Module) -> Any:
    return backbone.feature_info  # timm's FeatureInfo, set on every `features_only` network


def _site_modules(backbone: nn.Module, name: str) -> dict[str, nn.Module]:
    """The module that ends each feature site; timm's flattened backbones write dots as underscores.

    Raises:
        InputError: timm names a stage's end by what is no module of the network.
    """
    info = _info(backbone)
    ends = dict(zip(info.reduction(), info.module_name(), strict=True))
    modules = dict(backbone.named_modules())
    found = {site: _module(modules, ends.get(reduction, "")) for site, reduction in SITES.items()}
    missing = [site for site, module in found.items() if module is None]
    if missing:
        raise InputError(
            f"`network.backbone`: the end of {' and of '.join(missing)} is no module of {name} that a hook could be "
            "hung on. Choose a backbone with stages, such as resnet18."
        )
    return {site: module for site, module in found.items() if module is not None}


def _module(modules: dict[str, nn.Module], name: str) -> nn.Module | None:
    return (modules.get(name) or modules.get(name.replace(".", "_"))) if name else None
