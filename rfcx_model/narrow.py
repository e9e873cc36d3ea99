"""Convolutions on maps two or three cells wide, as a backbone's last stage has them of 64 mels: on a CPU, turned over.

oneDNN works through a map row by row, several cells of a row at a time; rows of two or three cells leave most of its
vector registers empty. Map and kernel with time and frequency exchanged give the same sums in rows that are longer
(`tests/benchmarks/training.py`).
"""

from __future__ import annotations

from typing import Final

from torch import Tensor, channels_last, nn

_NARROW: Final = (2, 3)
"""Cells across a map's output: of one cell or of four and more, exchanging gains nothing or costs time."""


class TurnedConv2d(nn.Conv2d):
    """A convolution that exchanges time and frequency where the map is narrow; its weights stand as they always do."""

    def forward(self, input: Tensor) -> Tensor:
        """See `torch.nn.Conv2d`; the same to rounding."""
        if not self._narrow(input):
            return super().forward(input)
        turned = nn.functional.conv2d(
            input.mT.contiguous(memory_format=channels_last),
            self.weight.mT,
            self.bias,
            self.stride[::-1],
            self.padding[::-1],
            self.dilation[::-1],
        )
        return turned.mT.contiguous(memory_format=channels_last)

    def _narrow(self, input: Tensor) -> bool:
        if input.dim() != 4:
            return False
        high, wide = (self._cells(input.shape[2 + axis], axis) for axis in (0, 1))
        return wide in _NARROW and high > wide

    def _cells(self, size: int, axis: int) -> int:
        """Of the output along an axis."""
        around = self.padding[axis]
        assert isinstance(around, int)  # `turn_narrow` takes no padding by name
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1)
        return (size + 2 * around - reach - 1) // self.stride[axis] + 1


def turn_narrow(net: nn.Module) -> None:
    """Let a CPU's network have `TurnedConv2d` for plain convolutions; parameters, buffers, hooks stay what they are."""
    for module in net.modules():
        if type(module) is nn.Conv2d and _can_turn(module):
            module.__class__ = TurnedConv2d  # as torch's own lazy modules become what they are


def _can_turn(module: nn.Conv2d) -> bool:
    zeros_around = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return module.groups == 1 and max(module.kernel_size) > 1 and zeros_around
