from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_corpus import CPU, FRAMES_PER_S, Size, knobs, make_corpus

from rfcx_model import corpus as corpora
from rfcx_model import predict
from rfcx_model.corpus import Corpus
from rfcx_model.hyperparameters import Hyperparameters, Ruler, build
from rfcx_model.labels import Boxes
from rfcx_model.network import RFCXNet
from rfcx_model.network import build as build_network
from rfcx_model.predict import Grid, Model, box_scores, framewise, hear, recording_scores, ruler_grid, score_recording
from rfcx_model.recordings import Recordings, load
from rfcx_model.spectrogram_cache import prepare

H = knobs()
CORPUS = make_corpus(Size(recordings=4))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def net() -> RFCXNet:
    return build_network(H.network, 3, seed=1).eval()


@settings(deadline=None)
@given(seconds=st.lists(st.floats(1.0, 600.0), min_size=1, max_size=4))
def test_the_ruler_s_windows_cover_recordings_of_any_length(seconds: list[float]) -> None:
    frames = np.array([1 + round(s * FRAMES_PER_S) for s in seconds])
    windows = ruler_grid(frames, np.arange(len(frames)), Ruler(), FRAMES_PER_S)
    assert windows.window_frames == 512
    for one, length in enumerate(frames):
        starts = windows.start[windows.recording == one]
        assert starts[0] == 0
        assert (np.diff(starts) == 256).all()
        assert length - 512 <= starts[-1] < max(1, length - 256)


def test_a_minute_is_heard_in_fourteen_windows() -> None:
    assert len(ruler_grid(np.array([3751]), np.array([0]), Ruler(), FRAMES_PER_S).start) == 14


def test_framewise_probabilities_equal_the_network_window_by_window(net: RFCXNet) -> None:
    windows = Grid(np.array([1, 1, 1, 3]), np.array([0, 94, 125, 40]), 64)  # of 157 and 171 frames
    said = framewise(net, CORPUS.sounds, windows, CPU)
    for k, (recording, start) in enumerate(zip(windows.recording, windows.start, strict=True)):
        x = np.zeros((64, 16), np.float32)
        first = int(CORPUS.sounds.offsets[recording])
        for frame in range(64):
            if start + frame < CORPUS.frames[recording]:
                x[frame] = CORPUS.sounds.cells[first + start + frame].numpy() / 64.0 - 2.0
        with torch.no_grad():
            expected = torch.sigmoid(net(torch.from_numpy(x)[None, None]).framewise)[0].numpy()
        for cell in range(2):
            behind = start + 32 * cell >= CORPUS.frames[recording]
            np.testing.assert_allclose(said[k, :, cell], -1.0 if behind else expected[:, cell], atol=1e-5)
    assert (said == -1).all(axis=1).tolist() == [[False, False], [False, False], [False, True], [False, False]]


def test_the_recording_s_score_is_its_loudest_cell_and_a_recording_without_windows_has_none() -> None:
    generator = np.random.default_rng(0)
    said = generator.random((5, 3, 2)).astype(np.float32)
    windows = Grid(np.array([2, 0, 2, 0, 2]), np.arange(5) * 32, 64)
    scores = recording_scores(said, windows, 3)
    for species in range(3):
        assert scores[0, species] == max(said[k, species, t] for k in (1, 3) for t in (0, 1))
        assert scores[2, species] == max(said[k, species, t] for k in (0, 2, 4) for t in (0, 1))
    assert (scores[1] == -1).all()


@settings(deadline=None)
@given(data=st.data(), least=st.sampled_from([0.0, 20.0, 62.5, 200.0]), seed=st.integers(0, 2**16))
def test_box_scores_equal_a_plain_loop(data: st.DataObject, least: float, seed: int) -> None:
    lengths = np.array([70, 150, 20])
    begins = st.sampled_from([0.0, 32.0, 64.0]) | st.integers(0, 280).map(lambda half: half / 2)
    row = st.tuples(st.integers(0, 2), st.integers(0, 1), begins, st.integers(1, 90))
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    recording, species, start, duration = (np.array(column) for column in zip(*rows, strict=True))
    boxes = Boxes(recording, species, start, start + duration, np.ones(len(rows), bool))
    windows = ruler_grid(lengths, np.arange(3), H.ruler, FRAMES_PER_S)
    said = np.random.default_rng(seed).random((len(windows.start), 2, 2)).astype(np.float32)
    for k, first in enumerate(windows.start.tolist()):
        for cell in range(2):
            if first + 32 * cell >= lengths[windows.recording[k]]:
                said[k, :, cell] = -1.0
    scores = box_scores(said, windows, boxes, least)
    for box, (of, which, begin, length) in enumerate(rows):
        low, high = begin, begin + length
        if high - low < least:
            low, high = (low + high - least) / 2, (low + high + least) / 2
        expected = -1.0
        for frame in range(1000):  # frame f lasts from f to f + 1
            if frame + 1 <= low or frame >= high:
                continue
            for window in np.flatnonzero(windows.recording == of):
                place = frame - windows.start[window]
                if 0 <= place < 64:
                    expected = max(expected, float(said[window, which, place // 32]))
        assert scores[box] == pytest.approx(expected)


def test_a_short_box_is_widened_about_its_middle_and_cut_at_the_start() -> None:
    windows = Grid(np.array([0]), np.array([0]), 512)
    said = np.zeros((1, 1, 16), np.float32)
    said[0, 0] = np.arange(16)
    boxes = Boxes(
        np.zeros(3, int), np.zeros(3, int), np.array([0.0, 100, 100]), np.array([4.0, 104, 300]), np.ones(3, bool)
    )
    assert box_scores(said, windows, boxes, 62.5).tolist() == [1, 4, 9]  # to 33.25, to 133.25, to 300
    assert box_scores(said, windows, boxes, 0.0).tolist() == [0, 3, 9]


@dataclass(frozen=True)
class Heard:
    """A tiny folder, its corpus, and a model of two untrained folds."""

    recordings: Recordings
    corpus: Corpus
    model: Model


@pytest.fixture(scope="module", params=["recording", "band_median"])
def heard(request: pytest.FixtureRequest, shared_tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Heard:
    h: Hyperparameters = build(
        {
            "frontend.sample_rate_hz": 8000,
            "frontend.n_fft": 256,
            "frontend.hop_length": 128,
            "frontend.n_mels": 32,
            "frontend.f_max_hz": 4000.0,
            "windows.normalise": request.param,
            "windows.window_frames": 128,
            "network.backbone": "test_resnet",
            "network.pretrained": "none",
            "ruler.window_s": 2.048,
            "ruler.hop_s": 1.024,
        }
    )
    recordings = load(shared_tiny_folder)
    spectrograms = prepare(recordings, h.frontend, tmp_path_factory.mktemp("cache"), workers=1)
    corpus = corpora.build(recordings, spectrograms, np.arange(12) % 2, h, CPU)
    nets = [build_network(h.network, 3, seed=seed).eval() for seed in (1, 2)]
    return Heard(recordings, corpus, Model(nets, h, recordings.species))


def test_a_recording_scores_the_same_heard_from_its_file_and_through_the_cache(heard: Heard) -> None:
    h, corpus = heard.model.hyperparameters, heard.corpus
    windows = ruler_grid(corpus.frames, np.arange(12), h.ruler, corpus.frames_per_s)
    cached = [recording_scores(framewise(net, corpus.sounds, windows, CPU), windows, 12) for net in heard.model.nets]
    for row, path in enumerate(heard.recordings.train["path"].iloc[:4]):
        sounds = hear(Path(path), h, CPU)
        first, last = corpus.sounds.offsets[row : row + 2]
        assert torch.equal(sounds.cells, corpus.sounds.cells[first:last])
        assert torch.equal(sounds.scale[0], corpus.sounds.scale[row])
        assert torch.equal(sounds.shift[0], corpus.sounds.shift[row])
        score = score_recording(heard.model, sounds, CPU)
        np.testing.assert_allclose(score, (cached[0][row] + cached[1][row]) / 2, atol=1e-6)


def test_recordings_are_scored_in_their_order(heard: Heard) -> None:
    reversed_test = heard.recordings.test.iloc[::-1].reset_index(drop=True)
    rows = list(predict.scores(heard.model, map(Path, reversed_test["path"]), CPU))
    scores = np.array(rows)
    assert scores.shape == (4, 3)
    assert ((scores > 0) & (scores < 1)).all()
    expected = score_recording(heard.model, hear(Path(reversed_test["path"][1]), heard.model.hyperparameters, CPU), CPU)
    assert scores[1].tolist() == expected.tolist()


def test_boxes_of_a_folder_stand_in_frames_and_label_their_windows(heard: Heard) -> None:
    corpus = heard.corpus
    assert corpus.frames.tolist() == [376] * 12  # 6 s at 62.5 frames a second, and the frame at the end
    confirmed = corpus.boxes.positive
    assert confirmed.sum() == 12
    assert corpus.boxes.start[confirmed].tolist() == [62.5 * (0.5 + 0.25 * (k % 8)) for k in range(12)]
    assert ((corpus.boxes.end - corpus.boxes.start) == 62.5).all()
    assert corpus.windows.positive.any(axis=0).all()
    truth = corpus.listed.truth(12)
    assert (truth == np.eye(3, dtype=bool)[np.arange(12) % 3]).all()


@settings(deadline=None)
@given(start=st.integers(-100, 250), length=st.integers(1, 120), recording=st.integers(0, 3))
def test_windows_hang_over_both_ends_into_zeros(start: int, length: int, recording: int) -> None:
    x = CORPUS.sounds.inputs(torch.tensor([recording]), torch.tensor([start]), length)
    assert x.shape == (1, 1, length, 16)
    first = int(CORPUS.sounds.offsets[recording])
    for frame in range(length):
        inside = 0 <= start + frame < CORPUS.frames[recording]
        expected = CORPUS.sounds.cells[first + start + frame] / 64.0 - 2.0 if inside else torch.zeros(16)
        assert torch.equal(x[0, 0, frame], expected)


def test_a_decibel_is_told_in_units_of_the_input() -> None:
    sounds = CORPUS.sounds
    louder = (sounds.cells[:1].float() + 1) * sounds.scale[0] - sounds.cells[:1].float() * sounds.scale[0]
    assert float(louder[0, 0]) == pytest.approx(float(sounds.units_per_db(torch.tensor([0]))[0]) * sounds.step_db)
