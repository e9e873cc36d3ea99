"""Masked losses on clipwise logits.

Notations
    z   clipwise logit                            (batch, species)
    p   sigmoid(z)
    P   loss weight of "present"                  (batch, species)
    N   loss weight of "absent"                   (batch, species)
    γ   focal exponent, positives only            diary; Lin et al. 2017, arXiv:1708.02002, without its α

    loss = Σ P·(1−p)^γ·−log p  +  Σ N·−log(1−p)

An unknown cell has P = N = 0 and no gradient. With positive weight decay the first sum is divided by Σ P
(a mean over the batch's positives; 0 where there are none) while the second stays a sum (diary).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from rfcx_model.mixup import Labels


def masked_loss(logits: Tensor, labels: Labels, *, focal_gamma: float, positive_weight_decay: bool) -> Tensor:
    """The loss of a batch, a scalar in nats, summed over cells (or as above with decay).

    Args:
        logits: (batch, species)
        labels: loss weights of the same shape
        focal_gamma: 0 gives binary cross-entropy
        positive_weight_decay: whether positives count as a mean
    """
    logits = logits.float()
    surprise = softplus(-logits)  # −log p
    if focal_gamma > 0:
        surprise = surprise * torch.exp(-focal_gamma * softplus(logits))  # sigmoid(−z)^γ has no gradient where it is 0
    positives = (labels.positive * surprise).sum()
    if positive_weight_decay:
        positives = positives / labels.positive.sum().clamp(min=torch.finfo(positives.dtype).tiny)
    return positives + (labels.negative * softplus(logits)).sum()
