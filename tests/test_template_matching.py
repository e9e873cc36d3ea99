"""The matcher against numpy's correlation coefficient, and against a call put where it should be found."""

from __future__ import annotations

import numpy as np
import pytest

from rfcx_model.template_matching import Spectrogram, cut, match, scores, spectrogram

RATE_HZ = 16_000


def noise_with_sweeps(starts_s: tuple[float, ...], gain: float = 0.2) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    samples = np.random.default_rng(0).normal(0.0, 0.02, 10 * RATE_HZ)
    t = np.arange(RATE_HZ) / RATE_HZ
    sweep = np.sin(2 * np.pi * (1000 * t + 1000 * t**2)) * np.hanning(RATE_HZ)
    for start_s in starts_s:
        first = round(start_s * RATE_HZ)
        samples[first : first + RATE_HZ] += gain * sweep
    return samples.astype(np.float32)


def test_the_score_is_the_correlation_coefficient_of_the_two_patches() -> None:
    rng = np.random.default_rng(1)
    spec = Spectrogram(rng.uniform(0, 30, (12, 90)).astype(np.float32), bin_hz=100.0, frame_s=0.01)
    template = cut(spec, 0, (0.2, 0.0, 0.15, 1100.0))
    score = scores(spec, template)
    assert score.shape == (90 - 15 + 1,)
    for start in (0, 20, 41, 75):
        expected = np.corrcoef(spec.level_db[:, 20:35].ravel(), spec.level_db[:, start : start + 15].ravel())[0, 1]
        assert score[start] == pytest.approx(expected, abs=1e-4)


def test_a_template_finds_its_call_again_where_it_is() -> None:
    template = cut(spectrogram(noise_with_sweeps((2.0,)), RATE_HZ), 7, (2.0, 900.0, 1.0, 3100.0))
    hits = match(spectrogram(noise_with_sweeps((1.0, 6.5), gain=0.1), RATE_HZ), [template], threshold=0.5, most=5)
    assert sorted(round(hit.start_s, 1) for hit in hits) == [1.0, 6.5]
    assert {hit.template for hit in hits} == {7}


def test_only_the_best_hits_are_kept_and_they_do_not_crowd() -> None:
    spec = spectrogram(noise_with_sweeps((1.0, 4.0, 7.0)), RATE_HZ)
    template = cut(spec, 0, (4.0, 900.0, 1.0, 3100.0))
    assert [round(hit.start_s, 1) for hit in match(spec, [template], threshold=0.5, most=1)] == [4.0]
    every = sorted(hit.start_s for hit in match(spec, [template], threshold=-1.0, most=50))
    assert np.diff(every).min() > 0.5


def test_loudness_does_not_change_a_score() -> None:
    samples = noise_with_sweeps((2.0, 5.0))
    template = cut(spectrogram(samples, RATE_HZ), 0, (2.0, 900.0, 1.0, 3100.0))
    quiet, loud = (scores(spectrogram(samples * np.float32(gain), RATE_HZ), template) for gain in (0.1, 1.0))
    np.testing.assert_allclose(quiet, loud, atol=1e-3)
