"""How often is a verdict of `compare` right? Thousands of made-up studies whose truth is known; nothing is trained.

What recording i adds to a figure of arm a in replicate s is a sum of normal deviates, skewed ones where it says so:

    mean + recording(i) + arm × recording(a, i) + replicate(s) + arm × replicate(a, s) + rest(a, i, s) + effect of arm 2

and a figure is the mean over recordings, as LWLRAP nearly is. `study.compare` gets what it would get of a real study:
each replicate's difference, and the same for each of 300 draws of recordings (of a real study it takes 1,000). No
difference for (B) is none in the population of recordings; for (A), none in the mean of these recordings.

From the diary's history:

    replicate   0.036/√5: its single-fold scores on the leaderboard have a standard deviation of 0.036 over folds, and a
                whole cross-validation has five, taken to be independent
    arm × data  0.0085, from the last layer less the input in five matched pairs, on the leaderboard and in CV: half the
                variance of the difference between the two. Of seven pairs, whose mean is −0.009, its tables hold five
    D           0.0082 over replicates: the variance of those five leaderboard differences less that of arm × data. Each
                is one run of another recipe, so it also holds that recipes gain differently

Assumptions: of D's variance half is arm × replicate and half the rest's; recordings differ by 0.3, which cancels, as
replicates do; there are 60 recordings. `half` and `twice` change the standard deviations that they name.

The effect is one standard deviation of D over replicates, and the replicates are those that `study.compare.recommended`
asks for, told the true variances. Where it says that no number of replicates is enough, it asks for so many times the
recordings, and B's power and both coverages are measured there. Type I is measured on the recordings as they are; `two
looks` is B's where half of the replicates were looked at first. A's power is that for these recordings, with the
replicates that it needs. `A taken for B` is how often A finds something where new recordings hold nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from study.arms import difference
from study.compare import Evidence, Plan, Spread, draws, on_new, recommended
from study.looks import judged_by
from study.spending import ALPHA

Floats = NDArray[np.float64]
LEADERBOARD: Final = (0.805 - 0.831, 0.828 - 0.833, 0.792 - 0.792, 0.907 - 0.912, 0.942 - 0.937)
CV: Final = (0.8391 - 0.8399, 0.8287 - 0.8352, 0.8368 - 0.8347, 0.9434 - 0.9392, 0.9589 - 0.9590)
"""Last layer less input in the diary's matched pairs."""
_APART: Final = statistics.variance([board - cv for board, cv in zip(LEADERBOARD, CV, strict=True)]) / 2
_OVER_REPLICATES: Final = statistics.variance(LEADERBOARD) - _APART
RECORDINGS: Final = 60
DRAWS: Final = 300
BATCH: Final = 25  # studies whose draws are one product of matrices


@dataclass(frozen=True)
class World:
    """Standard deviations: of a figure by replicate, of the difference of two arms by data and over replicates."""

    name: str = "the diary's"
    recording: float = 0.3
    replicate: float = 0.036 / 5**0.5
    arm_data: float = _APART**0.5
    over_replicates: float = _OVER_REPLICATES**0.5
    sites: int = RECORDINGS  # of equal size, each with one arm × recording effect
    skewed: bool = False
    replicates: int | None = None  # instead of those recommended

    @property
    def spread(self) -> Spread:
        """What `study.compare` calls these variances."""
        return Spread(self.over_replicates**2, self.arm_data**2, self.sites)

    def differences(
        self, count: int, replicates: int, times: int, generator: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """(study, recording, replicate) arm 2 less arm 1, without an effect; (study,) what of it is the recordings'."""
        n, sites = RECORDINGS * times, self.sites * times
        by_site = self._deviates((count, 2, sites, 1), generator) * self.arm_data * (self.sites / 2) ** 0.5
        arm_replicate = generator.normal(size=(count, 2, 1, replicates)) * self.over_replicates / 2
        rest = generator.normal(size=(count, 2, n, replicates)) * self.over_replicates / 2 * RECORDINGS**0.5
        shared = self.recording * generator.normal(size=(count, 1, n, 1))
        shared = shared + self.replicate * generator.normal(size=(count, 1, 1, replicates))
        arms = shared + np.repeat(by_site, n // sites, axis=2) + arm_replicate + rest
        theirs = by_site[:, 1] - by_site[:, 0]
        return arms[:, 1] - arms[:, 0], theirs.mean(axis=(1, 2))

    def _deviates(self, shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
        return generator.exponential(size=shape) - 1 if self.skewed else generator.normal(size=shape)


DIARY: Final = World()


def changed(name: str, factor: float, knobs: tuple[str, ...]) -> World:
    """The diary's world with some standard deviations so many times as large."""
    return replace(DIARY, name=name, **{knob: factor * getattr(DIARY, knob) for knob in knobs})


WORLDS: Final = (
    DIARY,
    *(
        changed(f"{said} {name}", factor, knobs)
        for name, knobs in (
            ("arm × data", ("arm_data",)),
            ("D over replicates", ("over_replicates",)),
            ("recording and replicate", ("recording", "replicate")),
            ("of all", ("recording", "replicate", "arm_data", "over_replicates")),
        )
        for said, factor in (("half", 0.5), ("twice", 2.0))
    ),
    replace(changed("half arm × data, twice D", 0.5, ("arm_data",)), over_replicates=2 * DIARY.over_replicates),
    replace(DIARY, name="skewed", skewed=True),
    replace(DIARY, name="12 sites of 5 recordings", sites=12),
    replace(DIARY, name="3 replicates", replicates=3),
    replace(DIARY, name="5 replicates", replicates=5),
)


@dataclass
class Tally:
    """How often something was so."""

    said: int = 0
    of: int = 0

    def add(self, so: bool) -> None:
        self.said, self.of = self.said + so, self.of + 1

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, Wilson's."""
        told = binomtest(self.said, self.of).proportion_ci(0.95, method="wilson")
        return float(told.low), float(told.high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.said / self.of:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True)
class Made:
    """One study: each replicate's difference, the same for each draw, and the recordings' own part of it."""

    values: Floats  # (replicate,)
    drawn: Floats  # (draw, replicate)
    theirs: float


def studies(world: World, count: int, replicates: int, times: int, seed: int) -> Iterator[Made]:
    """Studies without an effect."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(world.sites * times), RECORDINGS // world.sites)
    weights = draws(groups, DRAWS, generator) / len(groups)  # the same for all, as compare takes the same for all
    for start in range(0, count, BATCH):
        some, theirs = world.differences(min(BATCH, count - start), replicates, times, generator)
        drawn = (weights @ np.moveaxis(some, 0, 1).reshape(len(groups), -1)).reshape(DRAWS, len(some), replicates)
        for place, each in enumerate(some):
            yield Made(each.mean(axis=0), drawn[:, place], float(theirs[place]))


def on_these(values: Floats) -> tuple[float, float, float]:
    """(A): p-value and interval."""
    told = dict(enumerate(values.tolist()))
    found = difference(dict.fromkeys(told, 0.0), told)
    assert found.p_value is not None
    assert found.estimate.low is not None
    assert found.estimate.high is not None
    return found.p_value, found.estimate.low, found.estimate.high


def on_others(made: Made, groups: int, first: int | None = None) -> Evidence:
    """(B), of the first replicates or of all."""
    told = on_new(made.values[:first], made.drawn[:, :first], groups)
    assert told is not None
    return told[0]


def without_effect(world: World, count: int, replicates: int, seed: int) -> dict[str, Tally]:
    """Type I: of A, of A taken for new recordings, of B, and of B at an early look or the last one."""
    told = {name: Tally() for name in ("type I A", "A taken for B", "type I B", "two looks")}
    half = replicates // 2
    early = judged_by([], 0, replicates, half)
    last = judged_by([early], 0, replicates, replicates)
    for made in studies(world, count, replicates, 1, seed):
        told["type I A"].add(on_these(made.values - made.theirs)[0] < ALPHA)
        told["A taken for B"].add(on_these(made.values)[0] < ALPHA)
        found = on_others(made, world.sites).p_value or 0.0
        told["type I B"].add(found < ALPHA)
        if half >= 2:
            before = on_others(made, world.sites, half).p_value or 0.0
            told["two looks"].add(before < early.level or found < last.level)
    return told


def with_effect(world: World, count: int, plan: Plan, seed: int) -> dict[str, Tally]:
    """Coverage of both, and power of B."""
    told = {name: Tally() for name in ("coverage A", "coverage B", "power B")}
    for made in studies(world, count, plan.replicates, plan.times, seed):
        _, low, high = on_these(made.values + plan.effect)
        told["coverage A"].add(low <= made.theirs + plan.effect <= high)
        found = on_others(
            replace(made, values=made.values + plan.effect, drawn=made.drawn + plan.effect), world.sites * plan.times
        )
        low, high = found.interval(ALPHA)
        told["coverage B"].add(low <= plan.effect <= high)
        told["power B"].add(low > 0)
    return told


def power_of_a(world: World, count: int, plan: Plan, seed: int) -> Tally:
    """How often A finds the effect on these recordings, with as many replicates as it needs."""
    told = Tally()
    for made in studies(world, count, plan.replicates, 1, seed):
        _, low, _ = on_these(made.values - made.theirs + plan.effect)
        told.add(low > 0)
    return told


def row(world: World, count: int, seed: int) -> dict[str, Tally | str]:
    """One line of the table."""
    plan = recommended(world.over_replicates, world.spread, ALPHA)
    plan_a = recommended(world.over_replicates, replace(world.spread, recordings=0.0), ALPHA)
    if world.replicates is not None:
        plan = replace(plan, replicates=world.replicates, times=1)
    told: dict[str, Tally | str] = {
        "world": world.name,
        "S": str(plan.replicates),
        "recordings": f"{RECORDINGS}{f' × {plan.times}' if plan.times > 1 else ''}",
        **without_effect(world, count, plan.replicates, seed),
        **with_effect(world, count, plan, seed + 1),
    }
    if world.replicates is not None:
        told["power B"] = Tally()  # nobody recommended so few
    told["power A"] = power_of_a(world, count, plan_a, seed + 2)
    return told


REQUIRED: Final = {
    "type I A": ("at most", ALPHA),
    "type I B": ("at most", ALPHA),
    "two looks": ("at most", ALPHA),
    "coverage A": ("at least", 1 - ALPHA),
    "coverage B": ("at least", 1 - ALPHA),
    "power A": ("at least", 0.8),
    "power B": ("at least", 0.8),
}
COLUMNS: Final = ("world", "S", "recordings", "type I A", "A taken for B", "type I B", "two looks", *list(REQUIRED)[3:])


def shown(told: dict[str, Tally | str]) -> str:
    """A line of Markdown; an empty cell where nothing was counted."""
    cells = [told[name] for name in COLUMNS]
    return f"| {' | '.join('' if isinstance(one, Tally) and not one.of else str(one) for one in cells)} |"


def judgement(rows: list[dict[str, Tally | str]]) -> list[str]:
    """Which cells miss what is required by more than their binomial interval, and which are conservative."""
    missed, conservative, cells = [], [], 0
    for told in rows:
        for name, (way, limit) in REQUIRED.items():
            tally = told[name]
            if (
                not isinstance(tally, Tally)
                or not tally.of
                or (name == "power B" and "replicates" in str(told["world"]))
            ):
                continue
            cells += 1
            low, high = tally.interval
            if (low > limit) if way == "at most" else (high < limit):
                missed.append(f"{told['world']}, {name} {tally}")
            if name in ("type I B", "coverage B") and ((high < limit) if way == "at most" else (low > limit)):
                conservative.append(f"{told['world']}, {name} {tally}")
    return [
        f"{len(missed)} of {cells} cells miss what is required by more than their 95 % interval, of which chance would "
        f"have up to {cells // 40}: {'; '.join(missed) or 'none'}.",
        f"Conservative, interval beyond the nominal value: {'; '.join(conservative) or 'none'}.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worlds", nargs="*", default=[world.name for world in WORLDS])
    given = parser.parse_args()
    print(f"{given.studies:,} studies a cell; per cent, with binomial 95 % intervals\n")
    print(f"| {' | '.join(COLUMNS)} |\n| --- | {' | '.join('---:' for _ in COLUMNS[1:])} |", flush=True)
    rows = []
    for place, world in enumerate(WORLDS):
        if world.name in given.worlds:
            begun = time.monotonic()
            rows.append(row(world, given.studies, given.seed + 10 * place))
            print(shown(rows[-1]), flush=True)
            print(f"{world.name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print("\n" + "\n".join(f"- {line}" for line in judgement(rows)))


if __name__ == "__main__":
    main()
