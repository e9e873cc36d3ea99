"""Mixup at one of four sites, and what it does to the labels.

Notations
    λ   weight of a window's own share; Beta(α, α)          scalar        Zhang et al. 2018, arXiv:1710.09412
    π   partner of each window: a permutation of the batch  (batch,)
    P   loss weight of "present"                            (batch, species), 0..1
    N   loss weight of "absent"                             (batch, species), 0..1

Mixing a hidden layer instead of the input is manifold mixup (Verma et al. 2019, arXiv:1806.05236). As in the diary,
λ is not folded to max(λ, 1−λ). λ comes from one uniform draw through the inverse of the Beta distribution, so arms
of different α pair draw by draw, and it is drawn at every site, `none` too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.special import betaincinv
from torch import Tensor

from rfcx_model.hyperparameters import LabelRule, MixupSite


@dataclass(frozen=True, eq=False)
class Mix:
    """One draw for one batch."""

    site: MixupSite
    lam: float
    partner: Tensor  # (batch,) int64

    def at(self, site: str, x: Tensor) -> Tensor:
        """`x` mixed with its partners if this is the site, else `x` itself. First axis: batch.

        λ = 1 gives `x` itself too: even a sum with zeros can turn the memory format and so round gradients otherwise.
        """
        if site != self.site or self.lam == 1.0:
            return x
        return self.lam * x + (1.0 - self.lam) * x[self.partner]


@dataclass(frozen=True, eq=False)
class Labels:
    """Loss weights of the two things a cell can be told. Where both are 0 the cell is unknown."""

    positive: Tensor  # (batch, species)
    negative: Tensor  # (batch, species)


def draw(site: MixupSite, alpha: float, batch: int, generator: torch.Generator) -> Mix:
    """λ ~ Beta(alpha, alpha) and one permutation over the whole stack of windows of a batch."""
    uniform = torch.rand((), generator=generator, dtype=torch.float64).item()
    partner = torch.randperm(batch, generator=generator)
    return Mix(site, float(betaincinv(alpha, alpha, uniform)), partner)


def mix_labels(labels: Labels, mix: Mix, rule: LabelRule) -> Labels:
    """The labels that belong to a mixed batch.

    convex: each side keeps its own mask and its share, so the loss is λ·loss(a) + (1−λ)·loss(b);
    union:  positive if either side is, negative only if both are;
    diary:  positives share by λ as weights on target 1, negatives stay one's own (the diary's stage 3).
    """
    if mix.site == "none":
        return labels
    positive, negative = labels.positive, labels.negative
    other_positive, other_negative = positive[mix.partner], negative[mix.partner]
    shared = mix.lam * positive + (1.0 - mix.lam) * other_positive
    if rule == "convex":
        return Labels(shared, mix.lam * negative + (1.0 - mix.lam) * other_negative)
    if rule == "union":
        return Labels(torch.maximum(positive, other_positive), torch.minimum(negative, other_negative))
    return Labels(shared, negative)
