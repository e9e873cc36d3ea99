"""Voices: a species' repertoire, the individuals that sing it, and one call as samples.

A voice owns a few syllables; its call types are phrases of them, each in the band and duration of a template.
A call is drawn as two curves at a control rate, where in the band it is and how loud, and then rendered at once
as a frequency-modulated tone with overtones and, for harmonic stacks, a comb of sidebands.

Notations: x, time within a syllable from 0 to 1; position, place within a call type's band, 0 at f_min, 1 at f_max.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from rfcx_model.curves import radians, stretch

Floats = NDArray[np.float64]
Samples = NDArray[np.float32]
Kind = Literal["chirp", "arch", "trill", "pulses", "stack", "buzz"]
KINDS: Final[tuple[Kind, ...]] = ("chirp", "arch", "trill", "pulses", "stack", "buzz")
LENGTHS_S: Final[dict[Kind, tuple[float, float]]] = {
    "chirp": (0.05, 0.25),
    "arch": (0.12, 0.6),
    "trill": (0.3, 1.2),
    "pulses": (0.3, 1.2),
    "stack": (0.1, 0.5),
    "buzz": (0.15, 0.8),
}
CONTROL_HZ: Final = 2000.0


@dataclass(frozen=True)
class Slot:
    """Room for a call type: a songtype with its band and duration; `template` is its row, -1 for none."""

    songtype_id: int
    f_min_hz: float
    f_max_hz: float
    duration_s: float
    template: int


@dataclass(frozen=True)
class Syllable:
    """One sound of a repertoire. `centre` and `span` are parts of the band; `rate_hz` beats trills and pulses."""

    kind: Kind
    length_s: float
    gap_s: float
    centre: float
    span: float
    curve: float
    rate_hz: float
    depth: float
    spacing_hz: float


@dataclass(frozen=True)
class CallType:
    """A phrase: `motif` (indices of syllables) is repeated until the slot is full; `pace` speeds it up or down."""

    slot: Slot
    motif: tuple[int, ...]
    pace: float
    swell_db: float


@dataclass(frozen=True)
class Voice:
    """A species' repertoire and habits. Listed species have a `species_id` of 0 or more, other animals below 0."""

    species_id: int
    syllables: tuple[Syllable, ...]
    call_types: tuple[CallType, ...]
    weights: tuple[float, ...]
    calls_per_minute: float
    level_db: float
    overtone_db: float
    peak_hours: tuple[float, ...]


@dataclass(frozen=True)
class Individual:
    """How one animal differs from its species: shift in the band, factors of tempo, timbre, favourite call types."""

    name: str
    pitch: float
    tempo: float
    overtone_db: float
    tilt_db: float
    rate: float
    taste: tuple[float, ...]


@dataclass(frozen=True)
class Call:
    """A rendered call, root mean square 1 where it sounds, and its true extents from its own start."""

    samples: Samples
    start_s: float
    end_s: float
    f_min_hz: float
    f_max_hz: float


def draw_voice(species_id: int, slots: Sequence[Slot], rng: np.random.Generator) -> Voice:
    """A repertoire for these slots, and one shorter call type that no template knows."""
    kinds = rng.permutation(len(KINDS))[: rng.integers(2, 4)]
    syllables = tuple(_draw_syllable(KINDS[kind], slots[0], rng) for kind in kinds)
    plain = replace(slots[0], duration_s=slots[0].duration_s * rng.uniform(0.45, 0.8), template=-1)
    call_types = tuple(_draw_call_type(slot, syllables, rng) for slot in (*slots, plain))
    weights = np.append(rng.dirichlet(np.full(len(slots), 2.0)) * 0.85, 0.15)
    return Voice(
        species_id=species_id,
        syllables=syllables,
        call_types=call_types,
        weights=tuple(map(float, weights)),
        calls_per_minute=float(rng.uniform(8.0, 22.0)),
        level_db=float(rng.normal(0.0, 2.0)),
        overtone_db=float(rng.uniform(-30.0, -12.0)),
        peak_hours=((5.5, 18.5), (6.0,), (19.0,), (0.0, 22.0), (12.0,))[rng.integers(5)],
    )


def draw_individual(voice: Voice, name: str, rng: np.random.Generator) -> Individual:
    """An animal of this voice."""
    return Individual(
        name=name,
        pitch=float(rng.normal(0.0, 0.07)),
        tempo=float(np.exp(rng.normal(0.0, 0.09))),
        overtone_db=float(rng.normal(0.0, 4.0)),
        tilt_db=float(rng.normal(0.0, 4.0)),
        rate=float(np.exp(rng.normal(0.0, 0.07))),
        taste=tuple(map(float, rng.gamma(3.0, size=len(voice.call_types)))),
    )


def choose_call_type(voice: Voice, individual: Individual, rng: np.random.Generator) -> CallType:
    """Which phrase the animal sings next."""
    odds = np.asarray(voice.weights) * np.asarray(individual.taste)
    return voice.call_types[int(rng.choice(len(odds), p=odds / odds.sum()))]


def render(
    voice: Voice, individual: Individual, call_type: CallType, sample_rate_hz: int, rng: np.random.Generator
) -> Call:
    """One call of this animal, never twice the same."""
    slot = call_type.slot
    tempo = individual.tempo * float(np.exp(rng.normal(0.0, 0.03)))
    position, loudness, spacing = _curves(voice, individual, call_type, tempo, rng)
    frequency = slot.f_min_hz + position * (slot.f_max_hz - slot.f_min_hz)
    np.clip(frequency, 0.85 * slot.f_min_hz, min(1.1 * slot.f_max_hz, 0.49 * sample_rate_hz), out=frequency)
    factor = max(1, round(sample_rate_hz / CONTROL_HZ))
    n_samples = len(position) * factor
    hertz = stretch(frequency, factor, n_samples)
    envelope = stretch(loudness.astype(np.float32), factor, n_samples)
    phase = _phase(hertz, sample_rate_hz)
    samples = np.sin(phase)
    overtone = 10 ** ((voice.overtone_db + individual.overtone_db) / 20)
    samples += np.float32(overtone) * np.sin(2 * phase) * (2 * hertz < 0.48 * sample_rate_hz)
    if spacing.any():
        comb = stretch(spacing, factor, n_samples)
        samples *= np.where(comb > 0, np.exp(4 * (np.cos(_phase(comb, sample_rate_hz)) - 1)), np.float32(1))
    samples *= envelope
    sounding = np.flatnonzero(envelope > 0.05)
    samples /= np.sqrt(np.mean(np.square(samples[sounding])) + np.float32(1e-12))
    audible = frequency[loudness > 0.05]
    return Call(
        samples=samples.astype(np.float32, copy=False),
        start_s=float(sounding[0] / sample_rate_hz),
        end_s=float((sounding[-1] + 1) / sample_rate_hz),
        f_min_hz=float(audible.min()),
        f_max_hz=float(audible.max()),
    )


def _draw_syllable(kind: Kind, slot: Slot, rng: np.random.Generator) -> Syllable:
    shortest, longest = LENGTHS_S[kind]
    length_s = float(np.exp(rng.uniform(np.log(shortest), np.log(longest))))
    return Syllable(
        kind=kind,
        length_s=length_s,
        gap_s=float(np.exp(rng.uniform(np.log(0.03), np.log(0.3)))),
        centre=float(rng.uniform(0.45, 0.55)),
        span=float(rng.uniform(0.6, 0.9)) * (1 if rng.random() < 0.5 else -1),
        curve=float(np.exp(rng.uniform(np.log(0.5), np.log(2.0)))),
        rate_hz=float(np.exp(rng.uniform(np.log(4.0), np.log(22.0)))),
        depth=float(rng.uniform(0.3, 0.95)),
        spacing_hz=float((slot.f_max_hz - slot.f_min_hz) / rng.uniform(9.0, 18.0)),
    )


def _draw_call_type(slot: Slot, syllables: Sequence[Syllable], rng: np.random.Generator) -> CallType:
    motif = tuple(int(index) for index in rng.integers(0, len(syllables), size=rng.integers(1, 5)))
    return CallType(slot, motif, pace=float(rng.uniform(0.75, 1.35)), swell_db=float(rng.uniform(-8.0, 8.0)))


def _phrase(syllables: Sequence[Syllable], call_type: CallType) -> list[tuple[float, float, Syllable]]:
    """(onset_s, length_s, syllable) of the whole phrase at tempo 1; every phrase fills its slot."""
    duration_s = call_type.slot.duration_s
    motif = [syllables[index] for index in call_type.motif]
    natural_s = sum(syllable.length_s + syllable.gap_s for syllable in motif)
    repeats = max(1, round(duration_s / natural_s))
    scale = duration_s / (natural_s * repeats)
    phrase, onset_s = [], 0.0
    for syllable in motif * repeats:
        start = duration_s * (onset_s / duration_s) ** call_type.pace
        room_s = duration_s * ((onset_s + syllable.length_s * scale) / duration_s) ** call_type.pace - start
        phrase.append((start, room_s, syllable))
        onset_s += (syllable.length_s + syllable.gap_s) * scale
    return phrase


def _curves(
    voice: Voice, individual: Individual, call_type: CallType, tempo: float, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Position, loudness and comb spacing in hertz at the control rate."""
    n = int(call_type.slot.duration_s * tempo * 1.05 * CONTROL_HZ) + 40
    position, loudness, spacing = np.full(n, 0.5), np.zeros(n), np.zeros(n)
    phrase = _phrase(voice.syllables, call_type)
    dropped = rng.random(len(phrase)) < 0.06
    dropped[rng.integers(len(phrase))] = False
    shift = individual.pitch + rng.normal(0.0, 0.02)
    for number, (onset_s, length_s, syllable) in enumerate(phrase):
        late_s = abs(rng.normal(0.0, 0.004))
        first = int((onset_s * tempo + late_s) * CONTROL_HZ)
        length = min(max(int(length_s * tempo * np.exp(rng.normal(0.0, 0.04)) * CONTROL_HZ), 24), n - first)
        if dropped[number] or length < 24:
            continue
        where, loud = _contour(syllable, individual.rate, length, rng)
        swell_db = call_type.swell_db * (number / len(phrase) - 0.5) + rng.normal(0.0, 1.5)
        position[first : first + length] = where + shift + rng.normal(0.0, 0.015)
        loudness[first : first + length] = loud * 10 ** (swell_db / 20)
        spacing[first : first + length] = syllable.spacing_hz if syllable.kind == "stack" else 0.0
    return position, loudness / max(float(loudness.max()), 1e-9), spacing


def _contour(syllable: Syllable, rate: float, length: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Position and loudness of one syllable, each (control point,)."""
    x = np.linspace(0.0, 1.0, length)
    beat = np.arange(length) / CONTROL_HZ * syllable.rate_hz * rate
    shape, loud = x**syllable.curve - 0.5, np.ones(length)
    if syllable.kind == "arch":
        shape = 0.5 - np.abs(2 * x - 1) ** (1 + syllable.curve)
    elif syllable.kind == "trill":
        shape = 0.5 * np.sin(2 * np.pi * beat)
        loud = 1 - 0.5 * syllable.depth * (1 + np.cos(2 * np.pi * beat)) / 2
    elif syllable.kind == "pulses":
        within = beat % 1
        duty = 0.25 + 0.5 * (1 - syllable.depth)
        shape = within / duty - 0.5
        loud = np.where(within < duty, np.sin(np.pi * np.minimum(within / duty, 1)), 0.0)
    elif syllable.kind == "stack":
        shape = 0.25 * (x**syllable.curve - 0.5)
    elif syllable.kind == "buzz":
        knots = rng.uniform(-0.5, 0.5, size=length // 16 + 2)
        shape = np.interp(np.arange(length) / 16, np.arange(len(knots)), knots)
        loud = 1 - syllable.depth * (1 + np.cos(2 * np.pi * beat)) / 2
    ramp = np.minimum(np.minimum(x / 0.15, (1 - x) / 0.25), 1.0)
    return syllable.centre + syllable.span * shape, loud * np.sin(0.5 * np.pi * ramp) ** 2


def _phase(hertz: Floats, sample_rate_hz: int) -> Samples:
    """Running phase in radians, wrapped so that single precision keeps it."""
    return radians(np.cumsum(hertz) / sample_rate_hz)
