"""A recording's picture: where sound, boxes and probabilities lie in it, and that it stays small."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from study.picture import CONFIRMED, FOOT, HEIGHT, LEFT, LEVELS, REFUSED, SPECIES_CAP, STRIP, WIDTH, Box, draw

SPECIES = tuple(range(100, 124))


def pixels(png: bytes) -> NDArray[np.uint8]:
    """(row, column) places in the palette."""
    image = Image.open(io.BytesIO(png))
    assert image.mode == "P"
    return np.asarray(image)


def noise(frames: int, mels: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (frames, mels), dtype=np.uint8)


def test_a_loud_low_sound_at_the_end_is_bright_at_the_bottom_right() -> None:
    cells = np.full((1000, 64), 10, dtype=np.uint8)
    cells[900:, :8] = 200
    seen = pixels(draw(cells, np.zeros((24, 32), np.float32), [], SPECIES, 16.0))
    assert seen.shape == (HEIGHT + FOOT, LEFT + WIDTH)
    bright = np.argwhere(seen[:HEIGHT, LEFT:] > LEVELS // 2)
    assert bright.min(axis=0).tolist() == pytest.approx([HEIGHT * 7 / 8, WIDTH * 0.9], abs=2)
    assert bright.max(axis=0).tolist() == [HEIGHT - 1, WIDTH - 1]


def test_boxes_lie_on_the_sound_and_on_the_strip_of_their_species_in_the_colour_of_the_verdict() -> None:
    boxes = [Box(3, 0.25, 0.5, 0.5, 0.75, True), Box(7, 0.75, 1.0, 0.0, 0.25, False)]
    seen = pixels(draw(np.zeros((640, 32), np.uint8), np.zeros((24, 20), np.float32), boxes, SPECIES, 10.0))
    for colour, left, right, top, bottom in ((CONFIRMED, 0.25, 0.5, 0.25, 0.5), (REFUSED, 0.75, 1.0, 0.75, 1.0)):
        found = np.argwhere(seen[:HEIGHT] == colour)
        low, high = found.min(axis=0), found.max(axis=0)
        assert [*low, *high] == pytest.approx(
            [top * HEIGHT, LEFT + left * WIDTH, bottom * HEIGHT, LEFT + right * WIDTH], abs=2
        )
    rows = {colour: np.argwhere(seen[HEIGHT:] == colour)[:, 0] // STRIP for colour in (CONFIRMED, REFUSED)}
    assert set(rows[CONFIRMED]) == {0}, "a species with a confirmed call comes first"
    assert set(rows[REFUSED]) == {1}


def test_a_strip_shows_the_probabilities_of_its_own_species() -> None:
    said = np.zeros((24, 40), np.float32)
    said[3, 10:20] = 1.0
    said[4] = 0.5
    seen = pixels(draw(np.zeros((1280, 32), np.uint8), said, [Box(3, 0.9, 0.95, 0.1, 0.2, True)], SPECIES, 20.0))
    strip = seen[HEIGHT + STRIP // 2, LEFT:].astype(int) - LEVELS
    assert (strip[WIDTH // 4 + 2 : WIDTH // 2 - 2] == LEVELS - 1).all()
    assert (strip[: WIDTH // 4 - 2] == 0).all()


@pytest.mark.parametrize("frames", [1, 3, 600, 40_000])
@pytest.mark.parametrize("mels", [4, 128, 512])
def test_recordings_of_any_length_and_front_end_have_pictures_of_one_width_and_bounded_size(
    frames: int, mels: int
) -> None:
    boxes = [Box(k % 24, k / 60, k / 50, 0.1, 0.9, k % 3 == 0) for k in range(50)]
    said = np.random.default_rng(1).random((24, -(-frames // 32)), dtype=np.float32)
    png = draw(noise(frames, mels), said, boxes, SPECIES, frames / 62.5)
    assert pixels(png).shape == (HEIGHT + SPECIES_CAP * STRIP + FOOT, LEFT + WIDTH)
    assert len(png) < 50_000


def test_a_silent_recording_without_boxes_is_drawn_too() -> None:
    seen = pixels(draw(np.zeros((50, 8), np.uint8), np.zeros((24, 2), np.float32), [], SPECIES, 0.8))
    assert (seen[:HEIGHT, LEFT:] == 0).all()
