"""The sounds that a person hears are the windows of the recordings, at the places that the labels name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from rfcx_model.errors import InputError
from study.audit_sounds import PAUSE_S, Clip, write


def recording(path: Path, rate_hz: int = 8000, seconds: float = 4.0, channels: int = 1) -> np.ndarray:
    """(sample, channel) noise, as it stands in the file."""
    noise = np.random.default_rng(rate_hz).uniform(-0.5, 0.5, (round(seconds * rate_hz), channels))
    soundfile.write(path, noise, rate_hz)
    written: np.ndarray = soundfile.read(path, dtype="float32", always_2d=True)[0]
    return written


def test_clips_stand_where_they_are_said_to_and_silence_between_them(tmp_path: Path) -> None:
    sound = recording(tmp_path / "a.flac", channels=2).mean(axis=1)
    clips = [Clip(tmp_path / "a.flac", start_s, 1.024) for start_s in (2.048, 0.0)]
    spans = write(tmp_path / "s3.flac", clips)
    heard, rate_hz = soundfile.read(tmp_path / "s3.flac", dtype="float32")
    assert rate_hz == 8000
    assert heard.ndim == 1
    for clip, (start_s, end_s) in zip(clips, spans, strict=True):
        assert end_s - start_s == pytest.approx(1.024)
        first = round(clip.start_s * 8000)
        there = heard[round(start_s * 8000) : round(end_s * 8000)]
        np.testing.assert_allclose(there, sound[first : first + 8192], atol=1e-4)
        assert not heard[round(end_s * 8000) : round((end_s + PAUSE_S) * 8000)].any()
    assert spans[1][0] == pytest.approx(spans[0][1] + PAUSE_S)


def test_a_window_that_hangs_over_the_end_is_as_long_as_what_there_is(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")
    clips = [Clip(tmp_path / "a.wav", 3.5, 1.0), Clip(tmp_path / "a.wav", 9.0, 1.0), Clip(tmp_path / "a.wav", 0.0, 1.0)]
    spans = write(tmp_path / "s3.flac", clips)
    assert spans == [(0.0, 0.5), (1.5, 1.5), (2.5, 3.5)]


def test_recordings_of_several_rates_are_heard_at_the_highest(tmp_path: Path) -> None:
    recording(tmp_path / "slow.wav", 8000)
    fast = recording(tmp_path / "fast.wav", 16_000)[:, 0]
    spans = write(tmp_path / "s3.flac", [Clip(tmp_path / "slow.wav", 0.0, 1.0), Clip(tmp_path / "fast.wav", 0.0, 1.0)])
    heard, rate_hz = soundfile.read(tmp_path / "s3.flac", dtype="float32")
    assert rate_hz == 16_000
    assert spans == [(0.0, 1.0), (2.0, 3.0)]
    np.testing.assert_allclose(heard[32_000:48_000], fast[:16_000], atol=1e-4)


def test_a_broken_recording_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(InputError, match=r"a.wav: must be readable"):
        write(tmp_path / "s3.flac", [Clip(tmp_path / "a.wav", 0.0, 1.0)])
