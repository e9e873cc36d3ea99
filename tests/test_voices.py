"""Voices: where a call lies, how it varies, and what an individual keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfcx_model.curves import radians, stretch
from rfcx_model.soundscape import ambient_power, background, carry, draw_acoustics, draw_weather
from rfcx_model.voices import KINDS, Call, Individual, Slot, Voice, draw_individual, draw_voice, render

RATE_HZ = 24_000
SLOT = Slot(songtype_id=1, f_min_hz=2000.0, f_max_hz=5000.0, duration_s=1.5, template=0)


def species(seed: int) -> tuple[Voice, Individual]:
    rng = np.random.default_rng(seed)
    voice = draw_voice(0, [SLOT], rng)
    return voice, draw_individual(voice, "site000-0", rng)


def sing(voice: Voice, individual: Individual, seed: int) -> Call:
    return render(voice, individual, voice.call_types[0], RATE_HZ, np.random.default_rng(seed))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_call_keeps_to_its_band_and_duration(seed: int) -> None:
    voice, individual = species(seed)
    call = sing(voice, individual, seed + 1)
    assert np.isfinite(call.samples).all()
    assert 0.0 <= call.start_s < call.end_s <= len(call.samples) / RATE_HZ < 1.5 * SLOT.duration_s
    assert 0.85 * SLOT.f_min_hz <= call.f_min_hz < call.f_max_hz <= 1.1 * SLOT.f_max_hz
    power = np.abs(np.fft.rfft(call.samples)) ** 2
    hertz = np.fft.rfftfreq(len(call.samples), 1 / RATE_HZ)
    assert power[(hertz > 1500) & (hertz < 6000)].sum() > 0.75 * power.sum()


def test_no_two_calls_of_an_animal_are_the_same() -> None:
    voice, individual = species(3)
    one, two, again = sing(voice, individual, 1), sing(voice, individual, 2), sing(voice, individual, 1)
    np.testing.assert_array_equal(one.samples, again.samples)
    n = min(len(one.samples), len(two.samples))
    assert abs(np.corrcoef(one.samples[:n], two.samples[:n])[0, 1]) < 0.9


def test_a_repertoire_has_several_syllables_and_one_call_type_without_a_template() -> None:
    kinds = set()
    for seed in range(30):
        voice, _ = species(seed)
        assert len(voice.syllables) >= 2
        assert sum(call_type.slot.template == -1 for call_type in voice.call_types) == 1
        assert sum(voice.weights) == pytest.approx(1.0)
        kinds |= {syllable.kind for syllable in voice.syllables}
    assert kinds == set(KINDS)


def test_individuals_of_a_species_differ_in_pitch_and_tempo() -> None:
    voice, _ = species(5)
    rng = np.random.default_rng(0)
    animals = [draw_individual(voice, str(number), rng) for number in range(20)]
    assert np.std([animal.pitch for animal in animals]) > 0.03
    assert np.std([animal.tempo for animal in animals]) > 0.05


def test_distance_dulls_a_call_and_leaves_an_echo() -> None:
    acoustics = draw_acoustics(RATE_HZ, 0.5, np.random.default_rng(0))
    call = np.random.default_rng(1).normal(size=RATE_HZ).astype(np.float32)
    near, far = (carry(call, d, 0.0, acoustics, RATE_HZ, np.random.default_rng(2)) for d in (0.0, 1.0))
    hertz = np.fft.rfftfreq(len(near), 1 / RATE_HZ)
    above = [(np.abs(np.fft.rfft(x)) ** 2)[hertz > 6000].sum() / (x**2).sum() for x in (near, far)]
    assert above[1] < 0.5 * above[0]
    tails = [float((x[len(call) :] ** 2).sum()) for x in (near, far)]
    assert tails[1] > 10 * tails[0]


def test_a_background_is_finite_repeatable_and_coloured_as_its_site_says() -> None:
    acoustics = draw_acoustics(RATE_HZ, 0.5, np.random.default_rng(0))
    weather = draw_weather(np.random.default_rng(1))
    one, two = (background(acoustics, weather, 5 * RATE_HZ, RATE_HZ, np.random.default_rng(2)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert np.isfinite(one).all()
    whole = ambient_power(acoustics, 0.0, RATE_HZ / 2, RATE_HZ)
    parts = [ambient_power(acoustics, low, high, RATE_HZ) for low, high in ((0.0, 999.0), (1000.0, RATE_HZ / 2))]
    assert whole == pytest.approx(1.0)
    assert sum(parts) == pytest.approx(1.0)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=8), st.integers(1, 9), st.integers(1, 90))
def test_stretch_is_linear_interpolation(points: list[float], factor: int, n_samples: int) -> None:
    curve = np.array(points)
    expected = np.interp(np.arange(n_samples) / factor, np.arange(len(curve)), curve)
    np.testing.assert_allclose(stretch(curve, factor, n_samples), expected, atol=1e-9)


def test_radians_keep_the_phase_of_many_turns() -> None:
    turns = np.array([0.25, 1e6 + 0.25, 1e8 + 0.5])
    np.testing.assert_allclose(np.sin(radians(turns)), np.sin(2 * np.pi * np.array([0.25, 0.25, 0.5])), atol=1e-5)
