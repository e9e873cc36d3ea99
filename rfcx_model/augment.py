"""Masks and gain on normalised log-mel windows, drawn per window (after SpecAugment, arXiv:1904.08779)."""

from __future__ import annotations

import torch
from torch import Tensor

from rfcx_model.hyperparameters import Augment


def augment(x: Tensor, knobs: Augment, units_per_db: Tensor, generator: torch.Generator) -> Tensor:
    """One time mask, one mel mask and a gain for each window; a masked cell becomes 0, the recording's mean.

    Args:
        x: (batch, 1, frame, mel), normalised
        knobs: longest masks, their probability and the gain
        units_per_db: (batch,) what 1 dB is in units of x
        generator: on the CPU, so that all devices draw alike

    Returns:
        A tensor of the same shape; `x` is not changed.
    """
    batch, _, frames, mels = x.shape
    draws = torch.rand((7, batch), generator=generator)
    gain = knobs.gain_db * (2.0 * draws[6] - 1.0)
    if knobs.gain_db > 0:
        x = x + (gain.to(x.device) * units_per_db)[:, None, None, None]
    time = _mask(draws[0:3], frames, knobs.time_mask_frames, knobs.mask_probability).to(x.device)
    mel = _mask(draws[3:6], mels, knobs.mel_mask_mels, knobs.mask_probability).to(x.device)
    return x * (time[:, None, :, None] & mel[:, None, None, :])


def _mask(draws: Tensor, length: int, longest: int, probability: float) -> Tensor:
    """(batch, length) of what is kept; widths are 0..longest−1, and fewer than `length`."""
    switch, width_draw, place = draws
    width = (width_draw * min(longest, length)).floor() * (switch < probability)
    start = (place * (length - width + 1)).floor()
    position = torch.arange(length)
    kept: Tensor = (position < start[:, None]) | (position >= (start + width)[:, None])
    return kept
