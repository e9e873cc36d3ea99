"""The options of a made-up forest, and all of it that is decided before anything sounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rfcx_model.census import Community, Visit, draw_community, draw_site, draw_visits
from rfcx_model.errors import InputError
from rfcx_model.species_facts import N_SPECIES


@dataclass(frozen=True)
class Forest:
    """The options.

    Attributes:
        train_recordings: recordings in `train/`.
        test_recordings: recordings in `test/`, all from sites that `train/` has not seen.
        duration_s: length of every recording.
        sample_rate_hz: bands that reach above it are scaled down as a whole.
        species: how many, the first ones of the competition's table.
        sites: of train and test together, shared out in proportion.
        density: listed species in a recording, as a multiple of the usual number.
        imbalance: spread of the species' commonness (log odds), as a multiple of the usual one; 0 all alike.
        difficulty: 0 easy to 1 hard; lowers the calls' level and adds other animals and insects.
        expert_error: part of the hits that the expert calls wrongly.
        tp_per_template: most confirmed hits of a species and songtype, all of its templates together.
        fp_per_template: most refused hits, counted alike.
        tp_by_score: how far the matcher's score decides which confirmed hits are kept where there are more: 1 the best
            ones, which are the loud and clean ones; 0 any.
        fp_by_score: the same for refused hits: 1 keeps those that sound most like the call, the hard ones.
        seed: same seed, same bytes.
    """

    train_recordings: int = 200
    test_recordings: int = 100
    duration_s: float = 60.0
    sample_rate_hz: int = 32_000
    species: int = N_SPECIES
    sites: int = 36
    density: float = 1.0
    imbalance: float = 1.0
    difficulty: float = 0.2
    expert_error: float = 0.01
    tp_per_template: int = 50
    fp_per_template: int = 300
    tp_by_score: float = 1.0
    fp_by_score: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        whole = 2**31
        for name, low, high in (
            ("train_recordings", 4, whole),
            ("test_recordings", 1, whole),
            ("duration_s", 12, 600),
            ("sample_rate_hz", 8_000, 192_000),
            ("species", 1, N_SPECIES),
            ("sites", 2, whole),
            ("density", 0.25, 4),
            ("imbalance", 0, 4),
            ("difficulty", 0, 1),
            ("expert_error", 0, 1),
            ("tp_per_template", 1, whole),
            ("fp_per_template", 0, whole),
            ("tp_by_score", 0, 1),
            ("fp_by_score", 0, 1),
            ("seed", 0, 2**63),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(
                    f"a made-up forest: {low} <= {name} <= {high} must hold, but got {name}={value}. "
                    f"Give another {name}."
                )


@dataclass(frozen=True)
class World:
    """Who lives where and who is heard when; train recordings come first in `visits` and `recording_ids`."""

    community: Community
    visits: tuple[Visit, ...]
    recording_ids: tuple[str, ...]


def generator(forest: Forest, *key: int) -> np.random.Generator:
    """The stream of random numbers of one part of the forest; parts do not depend on each other's order."""
    return np.random.default_rng(np.random.SeedSequence(forest.seed, spawn_key=key))


@lru_cache(maxsize=2)
def world_of(forest: Forest) -> World:
    """The forest's world; every process draws the same one."""
    rate_hz = forest.sample_rate_hz
    community = draw_community(forest.species, rate_hz, forest.imbalance, generator(forest, 0))
    rng = generator(forest, 1)
    total = forest.train_recordings + forest.test_recordings
    train_sites = min(max(1, round(forest.sites * forest.train_recordings / total)), forest.sites - 1)
    numbers = rng.permutation(forest.sites)
    sites = [
        draw_site(f"site{numbers[index]:03d}", community, rate_hz, forest.difficulty, generator(forest, 2, index))
        for index in range(forest.sites)
    ]
    train = [sites[index] for index in rng.integers(0, train_sites, forest.train_recordings)]
    test = [sites[index] for index in rng.integers(train_sites, forest.sites, forest.test_recordings)]
    others = 1.5 + 6.0 * forest.difficulty
    wanted = (forest.density * (1.0 + forest.species / 12.0), others)
    visits = draw_visits(community, train, wanted, rng) + draw_visits(community, test, wanted, rng)
    return World(community, tuple(visits), _recording_ids(total, rng))


def _recording_ids(total: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Nine hex digits each, none twice, in no order."""
    ids: dict[str, None] = {}
    while len(ids) < total:
        ids[f"{rng.integers(16**9):09x}"] = None
    return tuple(ids)
