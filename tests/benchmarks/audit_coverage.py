"""How often do an audit's intervals hold the truth, and how far off are its estimates? Nothing is trained.

Each audit has windows of its own, in which a species is present with some prevalence. A model scores them: the logit is
normal with standard deviation 1.5, `apart` above 0 where the species is present and as much below 0 where it is not.
Windows are drawn by `study/strata.py`, judged without error, and read by `study/horvitz.py`, as the two verbs do. Where
`read at` is another threshold than that of the draw, it cuts strata in two, as `audited --threshold` does. Where there
are several species, each is as prevalent as the one before by 0.6, each gets its share of the judged windows, and the
row is that of `all`.

cover, width      of the 95 % intervals; a coverage of 0.95 has a binomial error of 0.01 at 500 audits
Jeffreys          coverage of the intervals that a Beta(½, ½) prior in each stratum would give instead
bias              of recall: mean of estimate less truth, where a call was found
bias unweighted   of the share of drawn windows with a call that score above the threshold
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from study.horvitz import Cell, quality
from study.strata import STRATA, draw, strata

Floats = NDArray[np.float64]
DRAWS = 2000
COMMONER = 0.6
SPREAD = 1.5


@dataclass(frozen=True)
class World:
    """A population of windows, a model's quality, and what is judged."""

    windows: int
    prevalence: float
    apart: float
    judged: int  # of each species
    threshold: float = 0.5
    read_at: float | None = None  # None: at the threshold of the draw
    species: int = 1


WORLDS = [
    World(windows, prevalence, apart, judged, threshold, read_at, species)
    for windows, prevalence, apart, threshold, read_at, species in (
        (700, 0.1, 2.0, 0.5, None, 1),
        (2_000, 0.02, 1.5, 0.5, None, 1),
        (2_000, 0.1, 1.5, 0.5, None, 1),
        (2_000, 0.1, 1.5, 0.8, None, 1),
        (20_000, 0.01, 2.5, 0.9, None, 1),
        (20_000, 0.05, 1.0, 0.5, None, 1),
        (20_000, 0.02, 3.0, 0.95, None, 1),
        (2_000, 0.1, 1.5, 0.5, 0.8, 1),
        (2_000, 0.1, 1.5, 0.5, 0.2, 1),
        (2_000, 0.1, 1.5, 0.5, None, 6),
    )
    for judged in (20, 60, 200)
]


@dataclass(frozen=True)
class Played:
    """What came of one audit; NaN where no call was found."""

    precision_cover: float
    precision_width: float
    precision_jeffreys: float
    recall_cover: float
    recall_width: float
    recall_jeffreys: float
    recall: float
    bias: float
    bias_unweighted: float


def played(world: World, generator: np.random.Generator) -> Played:
    """One audit of a population drawn anew."""
    each = [_species(world, world.prevalence * COMMONER**place, generator) for place in range(world.species)]
    cells = [cell for one in each for cell in one.cells]
    told, by_prior = quality(cells, generator, DRAWS), _jeffreys(cells, generator)
    above, present, found = (np.concatenate(parts) for parts in zip(*(one.windows for one in each), strict=True))
    precision, recall = float(present[above].mean()), float(above[present].mean())
    value = np.nan if told.recall.value is None else told.recall.value
    return Played(
        precision_cover=_holds((told.precision.low, told.precision.high), precision),
        precision_width=told.precision.high - told.precision.low,
        precision_jeffreys=_holds(by_prior[0], precision),
        recall_cover=_holds((told.recall.low, told.recall.high), recall),
        recall_width=told.recall.high - told.recall.low,
        recall_jeffreys=_holds(by_prior[1], recall),
        recall=recall,
        bias=value - recall,
        bias_unweighted=float(found.mean()) - recall if len(found) else np.nan,
    )


@dataclass(frozen=True, eq=False)
class _Species:
    """One species' cells; which of its windows are above, in which it is present, and which found ones are above."""

    cells: list[Cell]
    windows: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]


def _species(world: World, prevalence: float, generator: np.random.Generator) -> _Species:
    present = generator.random(world.windows) < prevalence
    logits = generator.normal(np.where(present, world.apart, -world.apart), SPREAD)
    scores = 1 / (1 + np.exp(-logits))
    above = scores > (world.threshold if world.read_at is None else world.read_at)
    stratum = strata(scores, world.threshold)
    drawn = draw(stratum, world.judged, generator)
    cells = []
    for inside in ((stratum == place) & (above == side) for place in range(len(STRATA)) for side in (True, False)):
        judged = drawn[inside[drawn]]
        if inside.any():
            cells.append(Cell(int(inside.sum()), len(judged), int(present[judged].sum()), bool(above[inside][0])))
    return _Species(cells, (above, present, above[drawn[present[drawn]]]))


def _holds(limits: Sequence[float] | Floats, truth: float) -> float:
    return float(limits[0] <= truth <= limits[1])


def _jeffreys(cells: Sequence[Cell], generator: np.random.Generator) -> list[Floats]:
    """(2,) limits of precision and of recall."""
    totals = [
        c.present
        + generator.binomial(c.windows - c.judged, generator.beta(0.5 + c.present, 0.5 + c.judged - c.present, DRAWS))
        for c in cells
    ]
    hit = np.sum([total for cell, total in zip(cells, totals, strict=True) if cell.above], axis=0, initial=0.0)
    called = max(sum(cell.windows for cell in cells if cell.above), 1)
    return [np.quantile(share, [0.025, 0.975]) for share in (hit / called, hit / np.maximum(np.sum(totals, axis=0), 1))]


def main() -> None:
    """Print the table, a world a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audits", type=int, default=500, help="of each world")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    names = [field.name for field in fields(Played)]
    head = [
        "windows",
        "present",
        "apart",
        "threshold",
        "read at",
        "species",
        "judged",
        *(name.replace("_", " ") for name in names),
    ]
    print("| " + " | ".join(head) + " |")
    print("| " + " | ".join(["---:"] * len(head)) + " |")
    least = np.ones(len(names))
    for place, world in enumerate(WORLDS):
        generator = np.random.default_rng([asked.seed, place])
        mean = np.nanmean([astuple(played(world, generator)) for _ in range(asked.audits)], axis=0)
        least = np.minimum(least, mean)
        shown = [f"{value:+.3f}" if "bias" in name else f"{value:.3f}" for name, value in zip(names, mean, strict=True)]
        facts = [f"{world.windows:,}", f"{world.prevalence:g}", f"{world.apart:g}", f"{world.threshold:g}"]
        facts += [f"{world.threshold if world.read_at is None else world.read_at:g}", f"{world.species}"]
        print("| " + " | ".join([*facts, f"{world.judged}", *shown]) + " |", flush=True)
    lowest = dict(zip(names, least, strict=True))
    print(
        f"\nleast coverage: precision {lowest['precision_cover']:.3f}, recall {lowest['recall_cover']:.3f}; by", end=""
    )
    print(f" Jeffreys' prior {lowest['precision_jeffreys']:.3f} and {lowest['recall_jeffreys']:.3f}")


if __name__ == "__main__":
    main()
