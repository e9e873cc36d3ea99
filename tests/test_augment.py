from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rfcx_model.augment import augment
from rfcx_model.hyperparameters import Augment

UNITS = torch.tensor([0.1, 0.2, 0.5])


def masked(knobs: Augment, seed: int, frames: int = 64, mels: int = 32, batch: int = 3) -> Tensor:
    ones = torch.ones(batch, 1, frames, mels)
    return augment(ones, knobs, torch.ones(batch), torch.Generator().manual_seed(seed))[:, 0]


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**16),
    longest=st.integers(0, 90),
    widest=st.integers(0, 50),
    probability=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_each_window_loses_at_most_one_band_of_frames_and_one_of_mels(
    seed: int, longest: int, widest: int, probability: float
) -> None:
    knobs = Augment(time_mask_frames=longest, mel_mask_mels=widest, mask_probability=probability)
    for x in masked(knobs, seed).numpy():
        kept_frames, kept_mels = x.any(axis=1), x.any(axis=0)
        assert (x == np.outer(kept_frames, kept_mels)).all()
        for kept, most in ((kept_frames, longest), (kept_mels, widest)):
            lost = np.flatnonzero(~kept)
            assert len(lost) < max(1, min(most, len(kept)))
            assert len(lost) == 0 or lost[-1] - lost[0] == len(lost) - 1
            assert probability > 0 or len(lost) == 0


def test_masks_come_as_often_as_asked_with_every_width_and_at_every_place() -> None:
    x = masked(Augment(time_mask_frames=5, mel_mask_mels=3), 0, batch=4000).numpy()
    lost_frames, lost_mels = (x == 0).all(axis=2), (x == 0).all(axis=1)
    # half of the windows, of which one width in 5 (or 3) is 0
    assert lost_frames.any(axis=1).mean() == pytest.approx(0.5 * 4 / 5, abs=0.03)
    assert lost_mels.any(axis=1).mean() == pytest.approx(0.5 * 2 / 3, abs=0.03)
    assert set(lost_frames.sum(axis=1)) == {0, 1, 2, 3, 4}
    assert lost_frames.any(axis=0).all()
    assert lost_mels.any(axis=0).all()
    together = (lost_frames.any(axis=1) & lost_mels.any(axis=1)).mean()
    assert together == pytest.approx(0.5 * 4 / 5 * 0.5 * 2 / 3, abs=0.03)


def test_a_gain_shifts_a_whole_window_by_at_most_its_decibels() -> None:
    x = torch.randn(3, 1, 8, 4)
    knobs = Augment(time_mask_frames=0, mel_mask_mels=0, gain_db=6.0)
    shifts = []
    for seed in range(200):
        moved = augment(x, knobs, UNITS, torch.Generator().manual_seed(seed)) - x
        shift = moved.mean(dim=(1, 2, 3))
        torch.testing.assert_close(moved, shift[:, None, None, None].expand_as(x), rtol=0, atol=1e-5)
        shifts.append(shift / UNITS)
    every = torch.stack(shifts)
    assert every.abs().max() <= 6.0 + 1e-4
    assert every.min() < -5.0
    assert every.max() > 5.0
    assert torch.corrcoef(every.T)[0, 1].abs() < 0.3  # windows are shifted each on their own


def test_without_masks_and_gain_the_input_stays() -> None:
    x = torch.randn(3, 1, 8, 4)
    kept = augment(x, Augment(mask_probability=0.0), UNITS, torch.Generator().manual_seed(0))
    assert torch.equal(kept, x)


@settings(deadline=None)
@given(seed=st.integers(0, 2**16))
def test_masks_pair_whatever_the_gain_and_the_input_is_not_changed(seed: int) -> None:
    x = torch.rand(3, 1, 64, 32) + 10.0
    before = x.clone()
    plain, loud = (
        augment(x, Augment(gain_db=gain_db), UNITS, torch.Generator().manual_seed(seed)) for gain_db in (0.0, 3.0)
    )
    assert torch.equal(plain == 0, loud == 0)
    assert torch.equal(x, before)
