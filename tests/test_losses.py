from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from rfcx_model.losses import masked_loss
from rfcx_model.mixup import Labels, Mix, mix_labels


def batch(seed: int, positives: bool = True) -> tuple[Tensor, Labels]:
    """Logits (4, 3) and labels of which about a third is unknown."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand((4, 3), generator=generator)
    present = (draws < 0.3) * torch.rand((4, 3), generator=generator).clamp(min=0.1) * positives
    return 3 * torch.randn((4, 3), generator=generator), Labels(present, (draws > 0.6) * 1.0)


def by_hand(logits: Tensor, labels: Labels, gamma: float, decay: bool) -> float:
    """The loss as its formula stands, cell by cell."""
    present = absent = weight = 0.0
    for b, c in product(range(len(logits)), range(logits.shape[1])):
        p = 1.0 / (1.0 + math.exp(-float(logits[b, c])))
        positive, negative = float(labels.positive[b, c]), float(labels.negative[b, c])
        present += positive * (1.0 - p) ** gamma * -math.log(p)
        absent += negative * -math.log(1.0 - p)
        weight += positive
    if decay:
        present = present / weight if weight > 0 else 0.0
    return present + absent


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), gamma=st.floats(0, 5), decay=st.booleans(), positives=st.booleans())
def test_the_loss_equals_a_plain_loop(seed: int, gamma: float, decay: bool, positives: bool) -> None:
    logits, labels = batch(seed, positives)
    loss = masked_loss(logits, labels, focal_gamma=gamma, positive_weight_decay=decay)
    assert float(loss) == pytest.approx(by_hand(logits, labels, gamma, decay), rel=1e-4, abs=1e-6)


def test_fully_labelled_it_is_binary_cross_entropy() -> None:
    logits, labels = batch(1)
    target = (labels.positive > 0).float()
    loss = masked_loss(logits, Labels(target, 1 - target), focal_gamma=0.0, positive_weight_decay=False)
    torch.testing.assert_close(loss, binary_cross_entropy_with_logits(logits, target, reduction="sum"))


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), gamma=st.sampled_from([0.0, 0.5, 2.0]), decay=st.booleans())
def test_unknown_cells_have_exactly_no_gradient(seed: int, gamma: float, decay: bool) -> None:
    logits, labels = batch(seed)
    logits = (100 * logits).requires_grad_()  # far out too
    masked_loss(logits, labels, focal_gamma=gamma, positive_weight_decay=decay).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    unknown = (labels.positive == 0) & (labels.negative == 0)
    assert (logits.grad[unknown] == 0).all()
    assert (logits.grad[labels.negative > 0] >= 0).all()
    assert (logits.grad[labels.positive > 0] <= 0).all()


def test_focal_leaves_negatives_alone_and_halves_a_coin_toss() -> None:
    labels = Labels(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    undecided = torch.zeros(1, 2)
    plain = masked_loss(undecided, labels, focal_gamma=0.0, positive_weight_decay=False)
    focal = masked_loss(undecided, labels, focal_gamma=1.0, positive_weight_decay=False)
    assert float(plain) == pytest.approx(2 * math.log(2))
    assert float(focal) == pytest.approx(1.5 * math.log(2))


def test_with_decay_a_batch_without_positives_counts_its_negatives_only() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    labels = Labels(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    loss = masked_loss(logits, labels, focal_gamma=2.0, positive_weight_decay=True)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == pytest.approx(math.log(2))
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0.5, 0.0], [0.0, 0.0]]


def test_with_decay_positives_count_as_a_weighted_mean() -> None:
    logits = torch.tensor([[0.0, 2.0, -1.0]])
    labels = Labels(torch.tensor([[1.0, 0.5, 0.5]]), torch.zeros(1, 3))
    mean = (math.log(2) + 0.5 * math.log1p(math.exp(-2)) + 0.5 * math.log1p(math.e)) / 2.0
    loss = masked_loss(logits, labels, focal_gamma=0.0, positive_weight_decay=True)
    assert float(loss) == pytest.approx(mean, rel=1e-6)


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), lam=st.floats(0, 1), gamma=st.sampled_from([0.0, 2.0]))
def test_convex_labels_share_the_loss_of_both_sides_each_with_its_own_mask(seed: int, lam: float, gamma: float) -> None:
    logits, labels = batch(seed)
    partner = torch.tensor([2, 0, 3, 1])
    mixed = mix_labels(labels, Mix("stage4", lam, partner), "convex")
    loss = masked_loss(logits, mixed, focal_gamma=gamma, positive_weight_decay=False)
    mine = by_hand(logits, labels, gamma, decay=False)
    other = by_hand(logits, Labels(labels.positive[partner], labels.negative[partner]), gamma, decay=False)
    assert float(loss) == pytest.approx(lam * mine + (1 - lam) * other, rel=1e-4, abs=1e-6)


def test_nothing_known_costs_nothing() -> None:
    zero = torch.zeros(2, 3)
    for decay in (False, True):
        assert masked_loss(torch.randn(2, 3), Labels(zero, zero), focal_gamma=2.0, positive_weight_decay=decay) == 0


def test_perfect_and_far_logits_stay_finite_in_half_precision() -> None:
    logits = torch.tensor([[80.0, -80.0]], dtype=torch.bfloat16)
    right = Labels(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    wrong = Labels(right.negative, right.positive)
    assert float(masked_loss(logits, right, focal_gamma=2.0, positive_weight_decay=True)) == pytest.approx(0, abs=1e-30)
    assert float(masked_loss(logits, wrong, focal_gamma=2.0, positive_weight_decay=True)) == pytest.approx(160.0)


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), gamma=st.sampled_from([0.0, 2.0]), decay=st.booleans())
def test_logits_in_half_precision_lose_nothing_more(seed: int, gamma: float, decay: bool) -> None:
    logits, labels = batch(seed)
    half = logits.to(torch.bfloat16)
    loss = masked_loss(half, labels, focal_gamma=gamma, positive_weight_decay=decay)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, masked_loss(half.float(), labels, focal_gamma=gamma, positive_weight_decay=decay))
