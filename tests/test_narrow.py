from __future__ import annotations

from copy import deepcopy
from itertools import product
from typing import Any

import pytest
import torch
from timm.layers.std_conv import ScaledStdConv2d
from torch import Tensor, nn

from rfcx_model.compute import Compute
from rfcx_model.hyperparameters import Network
from rfcx_model.mixup import Mix
from rfcx_model.narrow import TurnedConv2d, turn_narrow
from rfcx_model.network import Logits, RFCXNet, build, placed

TURNS = {  # whether a stage ends on 64 mels with a plain convolution wider than one cell
    "resnet18": True,
    "densenet121": True,
    "efficientnet_b0": False,
    "resnest50d": False,
    "mobilenetv2_100": False,
    "convnext_atto": True,
    "test_resnet": True,
}
CPU = torch.device("cpu")


def pair(**of: Any) -> tuple[nn.Conv2d, TurnedConv2d]:
    """A convolution as torch has it, and ours of the same weights, both in double precision."""
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 6, **of).double()
    ours = nn.Sequential(deepcopy(plain))
    turn_narrow(ours)
    (turned,) = ours
    assert isinstance(turned, TurnedConv2d)
    return plain, turned


def passed(conv: nn.Conv2d, x: Tensor) -> tuple[Tensor, ...]:
    """What comes out, and the gradients of input and parameters for a loss that weighs every cell differently."""
    x = x.clone().requires_grad_()
    y = conv(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    return y, x.grad, *(parameter.grad for parameter in conv.parameters())


@pytest.mark.parametrize(
    "of",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 1, "stride": 2, "bias": False},
        {"kernel_size": (5, 3), "padding": (2, 1)},
        {"kernel_size": (3, 5), "padding": (0, 2), "stride": (2, 1)},
        {"kernel_size": 3, "padding": (2, 3), "dilation": (1, 2)},
    ],
    ids=str,
)
def test_a_turned_convolution_gives_what_torch_gives(of: dict[str, Any]) -> None:
    plain, ours = pair(**of)
    turned = 0
    for high, wide in product((5, 8, 17), range(1, 9)):
        x = torch.randn(3, 4, high, wide, dtype=torch.float64)
        if min(ours._cells(high, 0), ours._cells(wide, 1)) < 1:
            continue
        turned += ours._narrow(x)
        plain.zero_grad()
        ours.zero_grad()
        for expected, found in zip(passed(plain, x), passed(ours, x), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert turned >= 3


@pytest.mark.parametrize(
    ("size", "stride", "expected"),
    [
        ((8, 1), 1, False),
        ((8, 2), 1, True),
        ((8, 3), 1, True),
        ((8, 4), 1, False),
        ((2, 2), 1, False),
        ((3, 2), 1, True),
        ((16, 4), 2, True),
        ((16, 6), 2, True),
        ((16, 2), 2, False),
        ((4, 4), 2, False),
    ],
)
def test_only_narrow_outputs_are_turned(
    size: tuple[int, int], stride: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ours = pair(kernel_size=3, padding=1, stride=stride)
    given: list[torch.Size] = []
    real = nn.functional.conv2d

    def spied(x: Tensor, *others: Any) -> Tensor:
        given.append(x.shape)
        return real(x, *others)

    monkeypatch.setattr(nn.functional, "conv2d", spied)
    y = ours(torch.randn(1, 4, *size, dtype=torch.float64))
    assert y.is_contiguous(memory_format=torch.channels_last) or not expected
    assert given == [torch.Size((1, 4, *(size[::-1] if expected else size)))]


def test_what_is_no_plain_convolution_is_left_as_it_is() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding_mode="reflect", padding=1),
        ScaledStdConv2d(4, 4, 3),
        nn.Conv1d(4, 4, 3),
    )
    kinds = [type(module) for module in net]
    turn_narrow(net)
    assert [type(module) for module in net] == kinds


def test_an_image_without_a_batch_goes_torchs_own_way() -> None:
    plain, ours = pair(kernel_size=3, padding=1)
    x = torch.randn(4, 8, 2, dtype=torch.float64)
    torch.testing.assert_close(ours(x), plain(x))


def said(net: RFCXNet, x: Tensor, mix: Mix) -> tuple[Logits, dict[str, Tensor]]:
    logits = net(x, mix)
    (logits.clipwise.square().sum() + logits.framewise.sin().sum()).backward()
    return logits, {name: one.grad for name, one in net.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("backbone", TURNS)
def test_a_placed_network_learns_what_timms_would(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In double precision, where rounding does not hide a fault; 64 mels leave the last stage two cells."""
    torch.set_num_threads(1)
    network = Network(backbone=backbone, pretrained="none", dropout=0.0)
    net = build(network, 3, seed=1).double().train()
    ours = placed(deepcopy(net), Compute(CPU, torch.float32))
    turned: list[bool] = []
    real = TurnedConv2d._narrow

    def spied(conv: TurnedConv2d, x: Tensor) -> bool:
        turned.append(real(conv, x))
        return turned[-1]

    monkeypatch.setattr(TurnedConv2d, "_narrow", spied)
    x = torch.randn(3, 1, 128, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mix = Mix("stage3", 0.3, torch.tensor([2, 0, 1]))
    (expected, their_gradients), (found, gradients) = said(net, x, mix), said(ours, x, mix)
    torch.testing.assert_close(found.clipwise, expected.clipwise, rtol=1e-5, atol=1e-6)  # the head speaks float32
    torch.testing.assert_close(found.framewise, expected.framewise, rtol=1e-5, atol=1e-6)
    assert gradients.keys() == their_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, their_gradients[name], rtol=1e-4, atol=1e-6, msg=name)
    assert list(ours.state_dict()) == list(net.state_dict())
    assert any(turned) == TURNS[backbone]


def test_a_network_in_torchs_own_memory_format_is_as_timm_has_it() -> None:
    net = build(Network(backbone="test_resnet", pretrained="none"), 3, seed=1)
    placed(net, Compute(CPU, torch.float32, torch.contiguous_format))
    assert not any(isinstance(module, TurnedConv2d) for module in net.modules())
