"""Long recordings in pieces: nothing is told twice or left out, and one piece says what the whole way says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import KNOBS, Sound, write_sound

from rfcx_model import network
from rfcx_model.compute import Compute, best
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import build
from rfcx_model.network import CELL_FRAMES
from rfcx_model.pieces import count_cells, cut, listen
from rfcx_model.predict import Model, framewise, hear, ruler_grid

H = build(KNOBS)
CELL_S = CELL_FRAMES / H.frontend.frames_per_s  # 0.512 s; the ruler's windows are two cells long and end to end


@pytest.fixture(scope="module")
def model() -> Model:
    torch.set_num_threads(1)
    return Model([network.build(H.network, 3, seed=seed).eval() for seed in (0, 1)], H, (0, 1, 2))


@pytest.fixture(scope="module")
def compute() -> Compute:
    return best()


@given(samples=st.integers(0, 10**9), hop=st.integers(64, 2048))
def test_every_cell_begins_before_the_end(samples: int, hop: int) -> None:
    cells = count_cells(samples, replace(H.frontend, hop_length=hop))
    assert cells * hop * CELL_FRAMES >= samples
    assert (cells - 1) * hop * CELL_FRAMES < max(samples, 1)


def recording(path: Path, **changes: float) -> Path:
    sound = Sound(**{"duration_s": 6.0, **changes})  # type: ignore[arg-type]
    write_sound(path, sound, 1, 2.0, np.random.default_rng(0))
    return path


def told(path: Path, model: Model, compute: Compute, piece_s: float = 60.0) -> np.ndarray:
    """All cells; pieces follow one another without gap or overlap."""
    pieces = list(listen(path, model, compute, piece_s))
    behind = 0
    for first, said in pieces:
        assert first == behind
        behind += len(said)
    return np.concatenate([said for _, said in pieces])


@given(cells=st.integers(1, 5000), piece=st.integers(1, 300), context=st.integers(0, 40))
def test_cores_cover_every_cell_once_and_are_never_much_longer_than_asked(cells: int, piece: int, context: int) -> None:
    pieces = cut(cells, piece, context)
    assert [one.core_first for one in pieces] == [0, *(one.core_last for one in pieces[:-1])]
    assert pieces[-1].core_last == cells
    for one in pieces:
        assert one.core_last - one.core_first <= 1.5 * piece + 1
        assert one.first == max(0, one.core_first - context)
        assert one.last == min(cells, one.core_last + context)


def test_a_file_of_one_piece_says_what_the_whole_recording_says(tmp_path: Path, model: Model, compute: Compute) -> None:
    path = recording(tmp_path / "a.flac")
    said = told(path, model, compute)
    sounds = hear(path, H, compute)
    frames = sounds.offsets.diff().numpy()
    windows = ruler_grid(frames, np.array([0]), H.ruler, H.frontend.frames_per_s)
    each = []
    for net in model.nets:
        probabilities = framewise(net, sounds, windows, compute)  # windows are end to end: each cell stands once
        each.append(np.concatenate([one.T for one in probabilities])[: len(said)])
    np.testing.assert_allclose(said, np.mean(each, axis=0), atol=1e-6)


def test_windows_that_overlap_are_combined_by_their_maximum(tmp_path: Path, model: Model, compute: Compute) -> None:
    path = recording(tmp_path / "a.flac")
    h = build({**KNOBS, "ruler.hop_s": 0.512})
    said = told(path, Model(model.nets, h, model.species), compute)
    sounds = hear(path, h, compute)
    windows = ruler_grid(sounds.offsets.diff().numpy(), np.array([0]), h.ruler, h.frontend.frames_per_s)
    wanted = []
    for net in model.nets:
        found = np.zeros((len(said), 3))
        for start, probabilities in zip(windows.start, framewise(net, sounds, windows, compute), strict=True):
            for k in range(probabilities.shape[1]):
                cell = start // CELL_FRAMES + k
                if cell < len(found):
                    found[cell] = np.maximum(found[cell], probabilities[:, k])
        wanted.append(found)
    np.testing.assert_allclose(said, np.mean(wanted, axis=0), atol=1e-6)


def test_a_tone_is_heard_at_the_same_cells_in_pieces_and_whole(tmp_path: Path, model: Model, compute: Compute) -> None:
    path = recording(tmp_path / "a.flac", duration_s=40.0)
    whole, pieces = told(path, model, compute), told(path, model, compute, piece_s=8.0)
    assert whole.shape == pieces.shape
    differs = np.abs(whole - np.median(whole, axis=0)).sum(axis=1)
    assert set(np.argsort(differs)[-2:]) <= {3, 4, 5}  # the tone sounds from 2 to 3 s
    also = np.abs(pieces - np.median(pieces, axis=0)).sum(axis=1)
    assert set(np.argsort(also)[-2:]) <= {3, 4, 5}


def test_stereo_at_another_rate_is_heard_as_its_mono(tmp_path: Path, model: Model, compute: Compute) -> None:
    audio = np.sin(2 * np.pi * 700 * np.arange(16_000 * 6) / 16_000) * np.linspace(0, 0.5, 16_000 * 6)
    soundfile.write(tmp_path / "mono.wav", audio, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "stereo.wav", np.stack([audio, audio], axis=1), 16_000, subtype="FLOAT")
    one, two = (told(tmp_path / f"{name}.wav", model, compute) for name in ("mono", "stereo"))
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_a_sound_shorter_than_a_window_is_heard(tmp_path: Path, model: Model, compute: Compute) -> None:
    soundfile.write(tmp_path / "short.wav", np.random.default_rng(0).normal(0, 0.1, 800), 8000)  # 0.1 s
    said = told(tmp_path / "short.wav", model, compute)
    assert said.shape == (1, 3)
    assert ((said > 0) & (said < 1)).all()


def test_broken_empty_and_other_files_are_named(tmp_path: Path, model: Model, compute: Compute) -> None:
    whole = recording(tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "nan.wav", np.full(8000, np.nan), 8000, subtype="FLOAT")
    for name, message in (
        ("cut.flac", "must decode to its end"),
        ("text.wav", "must decode to its end"),
        ("empty.wav", "it is empty"),
        ("nan.wav", "must be numbers"),
        ("gone.wav", "must"),
    ):
        with pytest.raises(InputError, match=f"{name}: .*{message}"):
            told(tmp_path / name, model, compute)
