from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiny import Sound, write_folder

from rfcx_model import spectrogram_cache
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Frontend
from rfcx_model.recordings import load
from rfcx_model.spectrogram import affine, count_frames, encode, log_mel, read_audio, resample
from rfcx_model.spectrogram_cache import Spectrograms, cache_name, open_cache, prepare

SMALL = Frontend(sample_rate_hz=8000, n_fft=256, hop_length=128, n_mels=16, f_max_hz=4000.0)
FRONTENDS = [
    Frontend(),
    SMALL,
    Frontend(sample_rate_hz=48_000, n_fft=3072, hop_length=768, n_mels=128, f_max_hz=16_000.0),
    Frontend(sample_rate_hz=22_050, n_fft=1024, hop_length=300, n_mels=61, f_min_hz=90.0, f_max_hz=11_025.0),
    Frontend(sample_rate_hz=16_000, n_fft=1001, hop_length=250, n_mels=40, f_min_hz=300.0, f_max_hz=7000.0),
]


def forest(seconds: float, rate_hz: int) -> np.ndarray:
    """Pink-like noise with a chirp, quiet as real recordings are: float32 (sample,)."""
    generator = np.random.default_rng(0)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    chirp = 0.05 * np.sin(2 * np.pi * (500 + 200 * time_s) * time_s)
    noise = generator.standard_normal(len(time_s))
    return (0.01 * (0.1 * noise + 0.02 * np.cumsum(noise - noise.mean())) + chirp).astype(np.float32)


@pytest.mark.parametrize("frontend", FRONTENDS, ids=lambda f: f"{f.sample_rate_hz}-{f.n_fft}-{f.n_mels}")
def test_log_mel_agrees_with_librosa_to_a_thousandth_of_a_decibel(frontend: Frontend) -> None:
    audio = forest(5.3, frontend.sample_rate_hz)
    power = librosa.feature.melspectrogram(
        y=audio,
        sr=frontend.sample_rate_hz,
        n_fft=frontend.n_fft,
        hop_length=frontend.hop_length,
        n_mels=frontend.n_mels,
        fmin=frontend.f_min_hz,
        fmax=frontend.f_max_hz,
        power=2.0,
        center=True,
        pad_mode="constant",
    )
    golden = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None).T
    ours = log_mel(audio, frontend)
    assert ours.dtype == np.float32
    assert ours.shape == golden.shape == (count_frames(len(audio), frontend), frontend.n_mels)
    assert np.abs(ours - golden).max() < 1e-3


@pytest.mark.parametrize("rates_hz", [(8000, 32_000), (44_100, 32_000), (48_000, 32_000), (192_000, 22_050)])
def test_audio_is_read_as_librosa_reads_it(tmp_path: Path, rates_hz: tuple[int, int]) -> None:
    from_hz, to_hz = rates_hz
    stereo = np.stack([forest(5.01, from_hz), forest(5.01, from_hz)[::-1]], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, from_hz, subtype="FLOAT")
    golden = librosa.resample(librosa.to_mono(stereo.T), orig_sr=from_hz, target_sr=to_hz, res_type="soxr_hq")
    ours = read_audio(tmp_path / "a.wav", to_hz)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, golden, rtol=0.0, atol=1e-7)


def test_a_recording_broken_half_way_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.flac"
    soundfile.write(path, forest(6.0, 8000), 8000)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 2000] = bytes(2000)
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"broken\.flac: must decode to its end"):
        read_audio(path, 8000)


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    audio = forest(5.0, 8000)
    audio[100] = np.nan
    soundfile.write(tmp_path / "a.wav", audio, 8000, subtype="FLOAT")
    with pytest.raises(InputError, match="samples must be numbers"):
        read_audio(tmp_path / "a.wav", 8000)


decibels = arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.integers(1, 6)),
    elements=st.floats(-100.0, 40.0, width=32),
)


@settings(max_examples=200, deadline=None)
@given(decibels)
def test_encoding_errs_by_at_most_half_a_step_within_the_range(db: np.ndarray) -> None:
    frontend = replace(SMALL, range_db=90.0)
    one = encode(db, frontend)
    decoded = one.floor_db + one.step_db * one.cells
    clipped = np.maximum(db, db.max() - 90.0)
    assert np.abs(decoded - clipped).max() <= 0.5 * one.step_db + 1e-4
    assert one.cells.max() == 255


@settings(max_examples=200, deadline=None)
@given(decibels)
def test_statistics_are_those_of_the_decoded_cells(db: np.ndarray) -> None:
    one = encode(db, SMALL)
    decoded = one.floor_db + one.step_db * one.cells.astype(np.float64)
    median = np.median(decoded, axis=0)
    expected = [decoded.mean(), decoded.std(), (decoded - median).std()]
    np.testing.assert_allclose([one.mean_db, one.std_db, one.residual_std_db], expected, atol=1e-9)
    np.testing.assert_allclose(one.band_median_db, median, atol=1e-4)


@pytest.mark.parametrize("normalise", ["recording", "band_median"])
def test_affine_normalises(normalise: str) -> None:
    one = encode(log_mel(forest(6.0, 8000), SMALL), SMALL)
    scale, shift = affine(one, normalise)
    assert scale.dtype == shift.dtype == np.float32
    x = one.cells * scale + shift
    assert x.std() == pytest.approx(1.0, abs=0.2 if normalise == "band_median" else 1e-3)
    if normalise == "recording":
        assert x.mean() == pytest.approx(0.0, abs=1e-3)
    else:
        np.testing.assert_allclose(np.median(x, axis=0), 0.0, atol=1e-4)


@pytest.mark.parametrize("normalise", ["recording", "band_median"])
def test_digital_silence_becomes_zero_and_not_nan(normalise: str) -> None:
    one = encode(log_mel(np.zeros(40_000, dtype=np.float32), SMALL), SMALL)
    scale, shift = affine(one, normalise)
    np.testing.assert_allclose(one.cells * scale + shift, 0.0, atol=1e-4)


@pytest.fixture(scope="module")
def cache(shared_tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Spectrograms:
    return prepare(load(shared_tiny_folder), SMALL, tmp_path_factory.mktemp("cache"), workers=2)


def test_the_cache_holds_each_recording_as_it_is_encoded_alone(cache: Spectrograms, shared_tiny_folder: Path) -> None:
    train = load(shared_tiny_folder).train
    for normalise in ("recording", "band_median"):
        scale, shift = cache.affine(normalise)
        for row in (0, 7, 11):
            one = encode(log_mel(read_audio(train["path"][row], 8000), SMALL), SMALL)
            np.testing.assert_array_equal(cache.cells[cache.offsets[row] : cache.offsets[row + 1]], one.cells)
            alone = affine(one, normalise)
            np.testing.assert_array_equal(scale[row], alone[0])
            np.testing.assert_array_equal(shift[row], alone[1])
    assert cache.frames().tolist() == [376] * 12
    assert not cache.cells.flags.writeable


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(-500, 500)), min_size=1, max_size=6), st.integers(1, 450))
def test_gathered_windows_equal_plain_slices_of_padded_recordings(
    cache: Spectrograms, windows: list[tuple[int, int]], window_frames: int
) -> None:
    recordings, starts = np.array(windows).T
    cells, inside = cache.gather(recordings, starts, window_frames)
    for row, (recording, start) in enumerate(windows):
        own = cache.cells[cache.offsets[recording] : cache.offsets[recording + 1]]
        padded = np.pad(own, ((1000, 1000), (0, 0)))[1000 + start : 1000 + start + window_frames]
        within = np.pad(np.ones(len(own), dtype=bool), 1000)[1000 + start : 1000 + start + window_frames]
        np.testing.assert_array_equal(cells[row], padded)
        np.testing.assert_array_equal(inside[row], within)


def test_a_pickled_cache_is_its_path(cache: Spectrograms) -> None:
    assert len(pickle.dumps(cache)) < 1000
    again = copy.deepcopy(cache)
    assert again.cells is not cache.cells
    np.testing.assert_array_equal(again.cells, cache.cells)


def test_recordings_differ_in_length_rate_and_channels(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny", Sound(recordings=4))
    soundfile.write(folder / "train" / "train001.flac", np.stack([forest(9.7, 44_100)] * 2, axis=1), 44_100)
    recordings = load(folder)
    made = prepare(recordings, SMALL, tmp_path / "cache", workers=2)
    samples = [len(resample(forest(9.7, 44_100), 44_100, 8000)) if row == 1 else 48_000 for row in range(4)]
    assert made.frames().tolist() == [count_frames(n, SMALL) for n in samples]
    assert np.isfinite(made.statistics).all()


def test_the_name_depends_on_the_data_and_on_every_knob() -> None:
    names = {cache_name("a", SMALL), cache_name("b", SMALL), cache_name("a", replace(SMALL, range_db=80.0))}
    assert len(names) == 3
    assert cache_name("a", SMALL) == cache_name("a", replace(SMALL))


def test_a_second_prepare_opens_what_stands_there(cache: Spectrograms, shared_tiny_folder: Path) -> None:
    calls: list[tuple[int, int]] = []
    before = (cache.folder / "cells.npy").stat().st_mtime_ns
    again = prepare(
        load(shared_tiny_folder), SMALL, cache.folder.parent, workers=1, progress=lambda *call: calls.append(call)
    )
    assert calls == []
    assert (again.folder / "cells.npy").stat().st_mtime_ns == before


def test_an_interrupted_prepare_carries_on(tiny_folder: Path, tmp_path: Path, cache: Spectrograms) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    recordings = load(tiny_folder)
    with pytest.raises(KeyboardInterrupt):
        prepare(recordings, SMALL, tmp_path / "cache", workers=1, progress=stop)
    assert not list((tmp_path / "cache").glob("logmel-*"))
    calls: list[tuple[int, int]] = []
    made = prepare(recordings, SMALL, tmp_path / "cache", workers=1, progress=lambda *call: calls.append(call))
    assert calls[0] == (6, 12)
    assert calls[-1] == (12, 12)
    np.testing.assert_array_equal(made.cells, cache.cells)
    np.testing.assert_array_equal(made.statistics, cache.statistics)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [made.folder.name]


def test_a_broken_recording_leaves_nothing_behind(tiny_folder: Path, tmp_path: Path) -> None:
    recordings = load(tiny_folder)
    path = tiny_folder / "train" / "train006.flac"
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 2000] = bytes(2000)
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"train006\.flac: must decode to its end"):
        prepare(recordings, SMALL, tmp_path / "cache", workers=2)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_cache_is_made_again(tiny_folder: Path, tmp_path: Path) -> None:
    recordings = load(tiny_folder)
    made = prepare(recordings, SMALL, tmp_path / "cache", workers=2)
    golden = np.array(made.cells)
    os.truncate(made.folder / "cells.npy", 5000)
    again = prepare(recordings, SMALL, tmp_path / "cache", workers=2)
    np.testing.assert_array_equal(again.cells, golden)
    (made.folder / "meta.json").write_text("{")
    np.testing.assert_array_equal(prepare(recordings, SMALL, tmp_path / "cache", workers=2).cells, golden)


def test_two_that_prepare_the_same_cache_share_one(tiny_folder: Path, tmp_path: Path, cache: Spectrograms) -> None:
    recordings = load(tiny_folder)
    calls: list[int] = []

    def make(_: int) -> Spectrograms:
        return prepare(recordings, SMALL, tmp_path / "cache", workers=1, progress=lambda done, _: calls.append(done))

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(4)))
    assert len(calls) == 12
    assert all((one.cells == cache.cells).all() for one in made)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [made[0].folder.name]


KILLED = """
import sys, time
from pathlib import Path
from rfcx_model import spectrogram_cache
from rfcx_model.hyperparameters import Frontend
from rfcx_model.recordings import load

def tell(done, total):
    print(done, flush=True)
    time.sleep(0.05)

spectrogram_cache._SAVE_EVERY_S = 0.0
frontend = Frontend(sample_rate_hz=8000, n_fft=256, hop_length=128, n_mels=16, f_max_hz=4000.0)
spectrogram_cache.prepare(load(Path(sys.argv[1])), frontend, Path(sys.argv[2]), workers=1, progress=tell)
"""


@pytest.mark.slow
def test_a_killed_prepare_carries_on(tiny_folder: Path, tmp_path: Path, cache: Spectrograms) -> None:
    command = [sys.executable, "-c", KILLED, str(tiny_folder), str(tmp_path / "cache")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "4":
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    calls: list[int] = []
    made = prepare(load(tiny_folder), SMALL, tmp_path / "cache", workers=1, progress=lambda done, _: calls.append(done))
    assert 4 <= calls[0] <= 8
    np.testing.assert_array_equal(open_cache(made.folder).cells, cache.cells)


def test_workers_have_one_thread_each_and_the_caller_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def looked_at(audio: np.ndarray, frontend: Frontend) -> np.ndarray:
        seen.append(torch.get_num_threads())
        return log_mel(audio, frontend)

    monkeypatch.setattr(spectrogram_cache, "log_mel", looked_at)
    kept = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        prepare(load(write_folder(tmp_path / "data")), SMALL, tmp_path / "cache", workers=2)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(kept)
    assert set(seen) == {1}
