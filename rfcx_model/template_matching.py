"""Template matching: where in a recording something sounds like an exemplar.

A template is cut from the spectrogram of one clear call, in its band and for its duration. It slides over every
recording; the score is the normalised cross-correlation of the two patches, from -1 to 1, so loudness and level of
noise cancel. Lewis, "Fast normalized cross-correlation" (1995) is the way it is computed: one product in the
Fourier domain, running sums for the norm.

Notations: r, row of a pooled spectrogram (low to high); t, frame; S (row, frame), the recording in decibels above
each band's median; K (row, frame), the template; score(t) = <S_t - mean S_t, K - mean K> / (|S_t - mean| |K - mean|).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Floats = NDArray[np.float32]
MOST_ROWS: Final = 16
FLOOR_DB: Final = 0.0
CEILING_DB: Final = 30.0


@dataclass(frozen=True)
class Spectrogram:
    """Decibels above each bin's median, (bin, frame), clipped to 0..30; `bin_hz` and `frame_s` are its steps."""

    level_db: Floats
    bin_hz: float
    frame_s: float


@dataclass(frozen=True)
class Template:
    """An exemplar of a row of the competition's table: `patch` is (row, frame), mean 0 and norm 1."""

    number: int
    f_min_hz: float
    f_max_hz: float
    duration_s: float
    patch: Floats


@dataclass(frozen=True)
class Hit:
    """A place where a template scored."""

    template: int
    start_s: float
    duration_s: float
    score: float


def spectrogram(samples: Floats, sample_rate_hz: int) -> Spectrogram:
    """Windows of about 32 ms, half overlapping."""
    n_fft = 2 ** round(np.log2(0.032 * sample_rate_hz))
    hop = n_fft // 2
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[::hop]
    spectrum = scipy.fft.rfft(frames * np.hanning(n_fft).astype(np.float32), axis=1)
    level_db = (10 * np.log10(spectrum.real**2 + spectrum.imag**2 + 1e-12)).T
    level_db -= np.median(level_db[:, ::4], axis=1, keepdims=True)
    clipped = np.clip(level_db, FLOOR_DB, CEILING_DB).astype(np.float32)
    return Spectrogram(clipped, bin_hz=sample_rate_hz / n_fft, frame_s=hop / sample_rate_hz)


def cut(spec: Spectrogram, number: int, box: tuple[float, float, float, float]) -> Template:
    """The template of a box (t_min_s, f_min_hz, duration_s, f_max_hz) that lies inside the recording."""
    start_s, f_min_hz, duration_s, f_max_hz = box
    rows = _rows(spec, f_min_hz, f_max_hz)
    length = max(4, round(duration_s / spec.frame_s))
    first = min(round(start_s / spec.frame_s), rows.shape[1] - length)
    patch = rows[:, first : first + length]
    patch = patch - patch.mean()
    norm = max(float(np.sqrt(np.sum(patch**2))), 1e-9)
    return Template(number, f_min_hz, f_max_hz, duration_s, patch / np.float32(norm))


def scores(spec: Spectrogram, template: Template) -> Floats:
    """Normalised cross-correlation at every frame where the template fits, (frame,)."""
    rows = _rows(spec, template.f_min_hz, template.f_max_hz)
    length, total = template.patch.shape[1], rows.shape[1]
    n = scipy.fft.next_fast_len(total, real=True)
    product = scipy.fft.rfft(rows, n, axis=1) * np.conj(scipy.fft.rfft(template.patch, n, axis=1))
    match = scipy.fft.irfft(product.sum(axis=0), n)[: total - length + 1]
    sums = _running(rows.sum(axis=0), length)
    squares = _running((rows**2).sum(axis=0), length)
    variance = np.maximum(squares - sums**2 / template.patch.size, 1e-3 * template.patch.size)
    return (match / np.sqrt(variance)).astype(np.float32)


def match(spec: Spectrogram, templates: list[Template], threshold: float, most: int) -> list[Hit]:
    """Per template the `most` best hits above its threshold that do not overlap each other by half or more.

    The threshold is that of templates of up to 1 s; longer ones need less, since chance correlates a large patch less.
    """
    hits = []
    for template in templates:
        score = scores(spec, template)
        least = threshold * min(1.0, template.duration_s**-0.3)
        half = max(1, template.patch.shape[1] // 2)
        for _ in range(most):
            best = int(score.argmax())
            if score[best] < least:
                break
            hits.append(Hit(template.number, best * spec.frame_s, template.duration_s, float(score[best])))
            score[max(0, best - half) : best + half + 1] = -np.inf
    return hits


def _rows(spec: Spectrogram, f_min_hz: float, f_max_hz: float) -> Floats:
    """The band's bins, pooled to at most 16 rows, (row, frame)."""
    first = round(f_min_hz / spec.bin_hz)
    last = max(min(round(f_max_hz / spec.bin_hz), spec.level_db.shape[0] - 1), first + 4)
    edges = np.linspace(first, last + 1, min(MOST_ROWS, last + 1 - first) + 1).astype(int)
    sums = np.add.reduceat(spec.level_db[: last + 1], edges[:-1], axis=0)
    pooled: Floats = (sums / np.diff(edges)[:, None]).astype(np.float32)
    return pooled


def _running(values: Floats, length: int) -> NDArray[np.float64]:
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    sums: NDArray[np.float64] = total[length:] - total[:-length]
    return sums
