from __future__ import annotations

import math
from itertools import product
from typing import get_args

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rfcx_model.hyperparameters import LabelRule, MixupSite
from rfcx_model.mixup import Labels, Mix, draw, mix_labels

SITES = get_args(MixupSite)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labels(seed: int, batch: int = 4, species: int = 3) -> Labels:
    """Known, unknown and, at random, half-weighted cells; never both present and absent."""
    draws = torch.rand((batch, species), generator=generator(seed))
    return Labels((draws < 0.3) * 1.0 + ((draws >= 0.3) & (draws < 0.4)) * 0.5, (draws > 0.7) * 1.0)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32), alphas=st.lists(st.floats(0.05, 5.0), min_size=2, max_size=2), batch=st.integers(1, 9)
)
def test_arms_of_all_sites_and_alphas_pair_draw_by_draw(seed: int, alphas: list[float], batch: int) -> None:
    draws = [
        (alpha, [draw(site, alpha, batch, source) for _ in range(3)])
        for site, alpha in product(SITES, alphas)
        for source in (generator(seed),)
    ]
    first = draws[0][1]
    uniform = torch.Generator().manual_seed(seed)
    expected = torch.rand((), generator=uniform, dtype=torch.float64).item()
    for alpha, mixes in draws:
        assert all(torch.equal(a.partner, b.partner) for a, b in zip(first, mixes, strict=True))
        assert mixes[0].lam == pytest.approx(scipy.stats.beta(alpha, alpha).ppf(expected), abs=1e-9)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), alpha=st.floats(1e-3, 50.0), batch=st.integers(1, 9))
def test_a_draw_is_a_share_and_a_permutation(seed: int, alpha: float, batch: int) -> None:
    mix = draw("input", alpha, batch, generator(seed))
    assert 0.0 <= mix.lam <= 1.0
    assert sorted(mix.partner.tolist()) == list(range(batch))


def test_a_tenth_as_alpha_gives_three_quarters_of_extreme_shares_on_both_sides() -> None:
    source = generator(0)
    lams = np.array([draw("input", 0.1, 2, source).lam for _ in range(2000)])
    assert ((lams < 0.05) | (lams > 0.95)).mean() == pytest.approx(0.75, abs=0.03)  # the diary's 75 %
    assert (lams < 0.05).mean() == pytest.approx((lams > 0.95).mean(), abs=0.04)  # not folded to max(λ, 1−λ)
    assert scipy.stats.kstest(lams, scipy.stats.beta(0.1, 0.1).cdf).pvalue > 0.01


@pytest.mark.parametrize("site", ["input", "stage3", "stage4"])
def test_mixing_acts_at_its_site_only_and_by_the_formula(site: MixupSite) -> None:
    x = torch.randn(3, 2, 4, 4, generator=generator(0))
    mix = Mix(site, 0.25, torch.tensor([1, 2, 0]))
    for other in {"input", "stage3", "stage4"} - {site}:
        assert mix.at(other, x) is x
    mixed = mix.at(site, x)
    for k, partner in enumerate([1, 2, 0]):
        torch.testing.assert_close(mixed[k], 0.25 * x[k] + 0.75 * x[partner])


def test_no_site_mixes_nothing() -> None:
    x, known = torch.randn(3, 1, 4, 4), labels(0, 3)
    mix = Mix("none", 0.25, torch.tensor([1, 2, 0]))
    assert all(mix.at(site, x) is x for site in ("input", "stage3", "stage4"))
    assert mix_labels(known, mix, "union") is known


def cell(rule: LabelRule, lam: float, mine: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """What one cell is told, written from the rules: (present, absent) of oneself and of the partner."""
    (p_a, n_a), (p_b, n_b) = mine, other
    if rule == "convex":
        return lam * p_a + (1 - lam) * p_b, lam * n_a + (1 - lam) * n_b
    if rule == "union":
        return max(p_a, p_b), min(n_a, n_b)
    return lam * p_a + (1 - lam) * p_b, n_a


@settings(deadline=None)
@given(rule=st.sampled_from(get_args(LabelRule)), lam=st.floats(0, 1), seed=st.integers(0, 2**16), data=st.data())
def test_label_rules_equal_a_plain_loop(rule: LabelRule, lam: float, seed: int, data: st.DataObject) -> None:
    known = labels(seed)
    partner = data.draw(st.permutations(range(4)))
    mixed = mix_labels(known, Mix("input", lam, torch.tensor(partner)), rule)
    for a, c in product(range(4), range(3)):
        b = partner[a]
        mine, other = ((float(known.positive[k, c]), float(known.negative[k, c])) for k in (a, b))
        present, absent = cell(rule, lam, mine, other)
        assert math.isclose(mixed.positive[a, c], present, abs_tol=1e-6)
        assert math.isclose(mixed.negative[a, c], absent, abs_tol=1e-6)


def test_union_is_positive_where_either_is_and_negative_only_where_both_are() -> None:
    present, absent, unknown = (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)
    sides = torch.tensor([present, absent, unknown])
    known = Labels(sides[[0, 0, 0, 1, 1, 2], 0][:, None], sides[[0, 0, 0, 1, 1, 2], 1][:, None])
    others = Labels(sides[[0, 1, 2, 1, 2, 2], 0][:, None], sides[[0, 1, 2, 1, 2, 2], 1][:, None])
    both = Labels(torch.cat([known.positive, others.positive]), torch.cat([known.negative, others.negative]))
    swap = torch.cat([torch.arange(6, 12), torch.arange(6)])
    mixed = mix_labels(both, Mix("stage4", 0.1, swap), "union")
    assert mixed.positive[:6, 0].tolist() == [1, 1, 1, 0, 0, 0]
    assert mixed.negative[:6, 0].tolist() == [0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("rule", ["convex", "diary"])
def test_a_share_of_one_keeps_the_labels_to_the_bit(rule: LabelRule) -> None:
    known = labels(3)
    mixed = mix_labels(known, Mix("input", 1.0, torch.tensor([3, 2, 1, 0])), rule)
    assert torch.equal(mixed.positive, known.positive)
    assert torch.equal(mixed.negative, known.negative)
