"""Soundscape: what a microphone at a site hears besides the calls, and what distance does to a call.

Ambient noise with the site's own colour, wind in gusts, rain as hiss and drops, insects as steady narrow bands.
Levels are decibels relative to the site's ambient noise, which has a power of 1 before the recorder's gain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from rfcx_model.curves import sine, stretch

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Insect:
    """A steady singer: carrier, width of its band, and its pulse rate (0 for an even tone)."""

    carrier_hz: float
    width_hz: float
    pulse_hz: float
    level_db: float


@dataclass(frozen=True)
class Acoustics:
    """A site's sound: slope of its noise, humps in it as (hertz, octaves, dB), its echo and its insects."""

    slope_db: float
    humps: tuple[tuple[float, float, float], ...]
    echo_s: float
    wetness: float
    insects: tuple[Insect, ...]


@dataclass(frozen=True)
class Weather:
    """Levels above the ambient noise; None is dry or still."""

    rain_db: float | None
    drops_per_s: float
    wind_db: float | None


def draw_acoustics(sample_rate_hz: int, difficulty: float, rng: np.random.Generator) -> Acoustics:
    """A site."""
    top_hz = 0.42 * sample_rate_hz
    insects = tuple(
        Insect(
            carrier_hz=float(np.exp(rng.uniform(np.log(1500.0), np.log(top_hz)))),
            width_hz=float(np.exp(rng.uniform(np.log(30.0), np.log(400.0)))),
            pulse_hz=float(rng.choice([0.0, rng.uniform(2.0, 12.0), rng.uniform(12.0, 50.0)])),
            level_db=float(rng.uniform(-8.0, 0.0) + 8.0 * difficulty),
        )
        for _ in range(rng.integers(2, 6))
    )
    humps = tuple(
        (float(np.exp(rng.uniform(np.log(200.0), np.log(top_hz)))), rng.uniform(0.3, 1.5), rng.normal(0.0, 5.0))
        for _ in range(4)
    )
    return Acoustics(
        slope_db=float(rng.uniform(-6.5, -2.5)),
        humps=humps,
        echo_s=float(rng.uniform(0.05, 0.25)),
        wetness=float(rng.uniform(0.15, 0.6)),
        insects=insects,
    )


def draw_weather(rng: np.random.Generator) -> Weather:
    """Mostly dry; a breeze half of the time."""
    return Weather(
        rain_db=float(rng.uniform(-10.0, 4.0)) if rng.random() < 0.18 else None,
        drops_per_s=float(rng.uniform(2.0, 25.0)),
        wind_db=float(rng.uniform(-6.0, 10.0)) if rng.random() < 0.45 else None,
    )


def ambient_power(acoustics: Acoustics, f_min_hz: float, f_max_hz: float, sample_rate_hz: int) -> float:
    """Power of the ambient noise between two frequencies, as a part of its whole."""
    frequency = np.arange(20.0, sample_rate_hz / 2, 20.0)
    density = _ambient_gain(acoustics, frequency) ** 2
    inside = (frequency >= f_min_hz) & (frequency <= f_max_hz)
    return float(density[inside].sum() / density.sum())


def background(
    acoustics: Acoustics, weather: Weather, n_samples: int, sample_rate_hz: int, rng: np.random.Generator
) -> Samples:
    """Everything but the animals with voices, (sample,)."""
    heard = _noise(_ambient_gain(acoustics, _frequencies(n_samples, sample_rate_hz)), n_samples, rng)
    heard *= _slow_drift(n_samples, sample_rate_hz, 1.0, rng)
    for insect in acoustics.insects:
        if rng.random() < 0.5:
            heard += _insect(insect, n_samples, sample_rate_hz, rng)
    if weather.wind_db is not None:
        heard += _wind(weather.wind_db, n_samples, sample_rate_hz, rng)
    if weather.rain_db is not None:
        heard += _rain(weather.rain_db, weather.drops_per_s, n_samples, sample_rate_hz, rng)
    return heard


def carry(
    call: Samples, far: float, tilt_db: float, acoustics: Acoustics, sample_rate_hz: int, rng: np.random.Generator
) -> Samples:
    """A call as it arrives from `far` (0 beside the microphone, 1 at the edge of hearing): duller, with an echo."""
    echo = int(3 * acoustics.echo_s * sample_rate_hz)
    n = scipy.fft.next_fast_len(len(call) + echo, real=True)
    decay = np.exp(-np.arange(echo, dtype=np.float32) / np.float32(acoustics.echo_s * sample_rate_hz))
    response = rng.standard_normal(echo, dtype=np.float32) * decay
    response *= np.float32(acoustics.wetness * far / np.sqrt(np.sum(np.square(response)) + 1e-12))
    response[0] += 1
    octaves = np.log2(np.maximum(_frequencies(n, sample_rate_hz), 50.0) / 3000.0)
    loss_db = tilt_db * np.clip(octaves, -2, 2) - 9.0 * far * np.exp2(np.clip(octaves, -4, 1.5))
    transfer = scipy.fft.rfft(response, n) * (10 ** (loss_db / 20)).astype(np.float32)
    arrived: Samples = scipy.fft.irfft(scipy.fft.rfft(call, n) * transfer, n)[: len(call) + echo]
    arrived /= np.sqrt(np.mean(np.square(arrived[: len(call)])) + np.float32(1e-12))
    arrived *= np.sqrt(np.mean(np.square(call)))
    return arrived


def _frequencies(n: int, sample_rate_hz: float) -> Samples:
    return np.fft.rfftfreq(n, 1 / sample_rate_hz).astype(np.float32)


def _ambient_gain(acoustics: Acoustics, frequency: NDArray[np.floating]) -> NDArray[np.floating]:
    octaves = np.log2(np.maximum(frequency, 60.0) / 1000.0)
    gain_db = acoustics.slope_db * octaves
    for centre_hz, width, height_db in acoustics.humps:
        gain_db = gain_db + height_db * np.exp(-0.5 * ((octaves - np.log2(centre_hz / 1000.0)) / width) ** 2)
    gain: NDArray[np.floating] = np.exp(gain_db * (np.log(10) / 20)) * (frequency > 40.0)
    return gain


def _noise(gain: NDArray[np.floating], n_samples: int, rng: np.random.Generator) -> Samples:
    """Gaussian noise with this spectrum and a power of 1, (sample,)."""
    spectrum = rng.standard_normal((len(gain), 2), dtype=np.float32).view(np.complex64)[:, 0]
    noise: Samples = scipy.fft.irfft(spectrum * gain.astype(np.float32), n_samples)
    noise /= np.sqrt(np.mean(np.square(noise)))
    return noise


def _slow_drift(n_samples: int, sample_rate_hz: int, depth_db: float, rng: np.random.Generator) -> Samples:
    """A gain that wanders over seconds, (sample,)."""
    knots = rng.normal(0.0, depth_db, size=int(n_samples / sample_rate_hz / 2) + 3)
    return stretch((10 ** (knots / 20)).astype(np.float32), 2 * sample_rate_hz, n_samples)


def _insect(insect: Insect, n_samples: int, sample_rate_hz: int, rng: np.random.Generator) -> Samples:
    """A narrow band of noise around a carrier, pulsed, coming and going."""
    factor = sample_rate_hz // 400
    step_hz = sample_rate_hz / factor
    n = n_samples // factor + 2
    wobble = rng.normal(0.0, insect.width_hz, size=n)
    carrier_hz = insect.carrier_hz * np.exp(rng.normal(0.0, 0.03))
    turns = stretch(np.cumsum(carrier_hz + wobble) / step_hz, factor, n_samples)
    tone = sine(turns)
    pulse = np.ones(n)
    if insect.pulse_hz > 0:
        rate_hz = insect.pulse_hz * np.exp(rng.normal(0.0, 0.1))
        pulse = 0.15 + 0.85 * (np.sin(2 * np.pi * rate_hz * np.arange(n) / step_hz) > -0.2)
    knots = rng.normal(0.0, 1.0, size=n // int(4 * step_hz) + 3) > -0.8
    present = stretch(knots.astype(np.float64), int(4 * step_hz), n)
    level = 10 ** ((insect.level_db + rng.normal(0.0, 4.0) - 14.0) / 20)
    tone *= stretch((pulse * present * level).astype(np.float32), factor, n_samples)
    return tone


def _wind(level_db: float, n_samples: int, sample_rate_hz: int, rng: np.random.Generator) -> Samples:
    """Gusts below a few hundred hertz."""
    factor = max(1, sample_rate_hz // 2000)
    step_hz = sample_rate_hz / factor
    n = n_samples // factor + 2
    frequency = _frequencies(n, step_hz)
    rumble = _noise((frequency > 15) / (1 + (frequency / 80.0) ** 2), n, rng)
    gusts = np.exp(rng.normal(0.0, 0.9, size=int(n / step_hz / 1.5) + 3))
    gusty = rumble * stretch(gusts, int(1.5 * step_hz), n) * 10 ** (level_db / 20)
    return stretch(gusty.astype(np.float32), factor, n_samples)


def _rain(
    level_db: float, drops_per_s: float, n_samples: int, sample_rate_hz: int, rng: np.random.Generator
) -> Samples:
    """Broadband hiss that swells, and drops that ring for some milliseconds on leaves and the case."""
    frequency = _frequencies(n_samples, sample_rate_hz)
    rain = _noise(1 / (1 + (300.0 / np.maximum(frequency, 1.0)) ** 2), n_samples, rng)
    rain *= _slow_drift(n_samples, sample_rate_hz, 3.0, rng) * np.float32(0.4)
    length = int(0.02 * sample_rate_hz)
    t = np.arange(length) / sample_rate_hz
    for _ in range(rng.poisson(drops_per_s * n_samples / sample_rate_hz)):
        first = int(rng.integers(0, n_samples - length))
        ring_hz, decay_s = np.exp(rng.uniform(np.log(400.0), np.log(5000.0))), rng.uniform(0.001, 0.006)
        drop = rng.exponential(4.0) * np.sin(2 * np.pi * ring_hz * t) * np.exp(-t / decay_s)
        rain[first : first + length] += drop.astype(np.float32)
    return rain * np.float32(10 ** (level_db / 20))
