"""Census: which animals live in a made-up forest, which of them a recording hears, and when they call.

A species' odds of being in a recording add up its commonness, the site's liking, the hour and a few hidden moods of
the community that it shares with others; so species occur together, and sites differ. Calls come in bouts: an animal
begins somewhere, often before the recording does, keeps its own pace, and a neighbour may answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rfcx_model.soundscape import Acoustics, draw_acoustics
from rfcx_model.species_facts import COMMONEST, TEMPLATES, within
from rfcx_model.voices import Individual, Slot, Voice, draw_individual, draw_voice

MOODS: Final = 3
MOST_SPECIES: Final = 8
NEIGHBOURS: Final = 3
"""Individuals of each species at a site."""


@dataclass(frozen=True)
class Site:
    """A place: its sound, its animals per voice, and how much each voice likes it (log odds)."""

    name: str
    acoustics: Acoustics
    individuals: tuple[tuple[Individual, ...], ...]
    liking: NDArray[np.float64]


@dataclass(frozen=True)
class Community:
    """All voices, listed species first; `moods` is (voice, mood), `commonness` (voice,), both log odds."""

    voices: tuple[Voice, ...]
    n_species: int
    commonness: NDArray[np.float64]
    moods: NDArray[np.float64]


@dataclass(frozen=True)
class Visit:
    """One recording's circumstances: `present` indexes voices."""

    site: Site
    hour: float
    present: tuple[int, ...]


@dataclass(frozen=True)
class Utterance:
    """One call to be: who, when it begins (may be before 0 or too late: then it is not kept)."""

    voice: int
    individual: Individual
    start_s: float


def draw_community(n_species: int, sample_rate_hz: int, imbalance: float, rng: np.random.Generator) -> Community:
    """The listed species of the table, and as many other animals in their neighbourhoods; `imbalance` as in Forest."""
    slots = [_slots(species_id, sample_rate_hz) for species_id in range(n_species)]
    voices = [draw_voice(species_id, slots[species_id], rng) for species_id in range(n_species)]
    for other in range(n_species):
        hosts = slots[int(rng.integers(n_species))] if other >= n_species // 2 else slots[other]
        likes = tuple(_near(slot, sample_rate_hz, rng) for slot in hosts[:2])
        voices.append(draw_voice(-1 - other, likes, rng))
    commonness = rng.normal(0.0, 0.7, size=2 * n_species)
    commonest = COMMONEST if n_species > COMMONEST else 0
    commonness[commonest] = commonness[:n_species].max() + 1.8
    return Community(
        tuple(voices), n_species, imbalance * commonness, rng.normal(0.0, 0.6, size=(2 * n_species, MOODS))
    )


def draw_site(
    name: str, community: Community, sample_rate_hz: int, difficulty: float, rng: np.random.Generator
) -> Site:
    """A site with its own noise, likings and animals."""
    individuals = tuple(
        tuple(draw_individual(voice, f"{name}-{number}", rng) for number in range(NEIGHBOURS))
        for voice in community.voices
    )
    acoustics = draw_acoustics(sample_rate_hz, difficulty, rng)
    return Site(name, acoustics, individuals, rng.normal(0.0, 0.9, size=len(community.voices)))


def draw_visits(
    community: Community, places: list[Site], wanted: tuple[float, float], rng: np.random.Generator
) -> list[Visit]:
    """A visit to each of `places`, in their order; `wanted` listed species and other animals in each, about."""
    n = community.n_species
    hours = rng.uniform(0.0, 24.0, size=len(places))
    hours = np.where(rng.random(len(places)) < 0.5, rng.choice([5.5, 6.5, 18.5, 19.0], len(places)), hours) % 24
    moods = rng.normal(0.0, 1.0, size=(len(places), MOODS))
    odds = community.commonness + np.stack([site.liking for site in places]) + moods @ community.moods.T
    odds += np.array([[_activity(voice, hour) for voice in community.voices] for hour in hours])
    listed = _present(odds[:, :n], wanted[0], rng)
    _give_rare_species_a_chance(listed, odds[:, :n])
    others = _present(odds[:, n:], wanted[1], rng)
    return [
        Visit(site, float(hour), (*map(int, np.flatnonzero(row)), *(int(i) + n for i in np.flatnonzero(other))))
        for site, hour, row, other in zip(places, hours, listed, others, strict=True)
    ]


def draw_utterances(community: Community, visit: Visit, duration_s: float, rng: np.random.Generator) -> list[Utterance]:
    """Bouts of calls of everyone present."""
    utterances = []
    for index in visit.present:
        voice = community.voices[index]
        longest_s = max(call_type.slot.duration_s for call_type in voice.call_types)
        interval_s = max(60.0 / voice.calls_per_minute * np.exp(rng.normal(0.0, 0.35)), 1.35 * longest_s)
        singers = rng.permutation(NEIGHBOURS)[: 1 + int(rng.random() < 0.3)]
        for singer in singers:
            individual = visit.site.individuals[index][singer]
            start_s = float(rng.uniform(-0.6 * duration_s, duration_s - 1.5 * longest_s))
            stop_s = max(start_s, 0.0) + float(rng.exponential(0.7 * duration_s)) + interval_s
            while start_s < min(stop_s, duration_s):
                utterances.append(Utterance(index, individual, start_s))
                start_s += float(interval_s * np.exp(rng.normal(0.0, 0.3)))
    return utterances


def _slots(species_id: int, sample_rate_hz: int) -> tuple[Slot, ...]:
    return tuple(
        Slot(facts.songtype_id, *within(facts.f_min_hz, facts.f_max_hz, sample_rate_hz), facts.duration_s, template)
        for template, facts in enumerate(TEMPLATES)
        if facts.species_id == species_id
    )


def _near(slot: Slot, sample_rate_hz: int, rng: np.random.Generator) -> Slot:
    """Room for another animal in nearly the same band, of another length."""
    width = slot.f_max_hz - slot.f_min_hz
    low, high = slot.f_min_hz + rng.normal(0, 0.1) * width, slot.f_max_hz + rng.normal(0, 0.1) * width
    band = within(max(low, 60.0), max(high, 400.0), sample_rate_hz)
    return Slot(0, *band, float(np.clip(slot.duration_s * np.exp(rng.normal(0.0, 0.3)), 0.3, 6.0)), -1)


def _activity(voice: Voice, hour: float) -> float:
    """Log odds from the hour: high near one of the voice's peaks, low far from all."""
    away = min(abs((hour - peak + 12.0) % 24.0 - 12.0) for peak in voice.peak_hours)
    return float(1.5 * np.exp(-0.5 * (away / 2.5) ** 2) - 0.7)


def _present(odds: NDArray[np.float64], wanted: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Bernoulli draws, (recording, voice), shifted so that `wanted` are expected, at most 8 each."""
    low, high = -12.0, 12.0
    for _ in range(40):
        middle = (low + high) / 2
        expected = (1 / (1 + np.exp(-odds - middle))).sum(axis=1).mean()
        low, high = (middle, high) if expected < wanted else (low, middle)
    draw = rng.random(odds.shape)
    chance = 1 / (1 + np.exp(-odds - low))
    order = np.argsort(np.argsort(draw / chance, axis=1), axis=1)
    present: NDArray[np.bool_] = (draw < chance) & (order < MOST_SPECIES)
    return present


def _give_rare_species_a_chance(present: NDArray[np.bool_], odds: NDArray[np.float64]) -> None:
    """The competition's recordings were picked so that experts could confirm some calls of each species."""
    least = max(round(0.04 * len(present)), min(7, len(present) // 4))
    for species_id in range(present.shape[1]):
        missing = least - int(present[:, species_id].sum())
        room = np.where(present[:, species_id] | (present.sum(axis=1) >= MOST_SPECIES), -np.inf, odds[:, species_id])
        best = np.argsort(-room, kind="stable")[: max(missing, 0)]
        present[best[np.isfinite(room[best])], species_id] = True
