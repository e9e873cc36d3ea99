"""A recording as a picture: log-mel with its boxes, below it what the models hear of each listed species.

One palette for all: greys for the log-mel, dark to yellow for probabilities, one colour for each verdict of an expert.
16 levels are enough for the eye, and make small files.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rfcx_model.labels import Floats

WIDTH, HEIGHT = 640, 96  # px of the log-mel
LEFT, STRIP, FOOT = 68, 13, 13  # px beside it, of each species' strip, and below all
SPECIES_CAP: Final = 8
LEVELS: Final = 16
BLACK, WHITE, CONFIRMED, REFUSED = 2 * LEVELS, 2 * LEVELS + 1, 2 * LEVELS + 2, 2 * LEVELS + 3
DARK, MIDDLE, BRIGHT = (20, 14, 54), (187, 55, 84), (252, 236, 130)  # of matplotlib's "inferno", nearly
VERDICTS: Final = ((0, 200, 235), (255, 140, 0))  # blue and orange differ for every eye


@dataclass(frozen=True)
class Box:
    """A listed call: where it lies in the log-mel, 0 to 1 from the first frame and from the lowest mel."""

    species: int
    left: float
    right: float
    low: float
    high: float
    positive: bool


def draw(
    cells: NDArray[np.uint8], probabilities: Floats, boxes: Sequence[Box], species: Sequence[int], duration_s: float
) -> bytes:
    """A PNG.

    Args:
        cells: (frame, mel) quantised log-mel
        probabilities: (species, time cell)
        boxes: all that are listed; those of the first species by number of confirmed calls get a strip
        species: (species,) their names
        duration_s: of the recording
    """
    rows = _rows(boxes)
    size = (LEFT + WIDTH, HEIGHT + STRIP * len(rows) + FOOT)
    pixels = np.full(size[::-1], BLACK, dtype=np.uint8)
    pixels[:HEIGHT, LEFT:] = _log_mel(cells)
    for place, one in enumerate(rows):
        top = HEIGHT + STRIP * place + 1
        pixels[top : top + STRIP - 1, LEFT:] = LEVELS + _levels(_spread(probabilities[one], WIDTH))
    image = Image.frombytes("P", size, pixels.tobytes())
    image.putpalette(_palette())
    ink = ImageDraw.Draw(image)
    ink.fontmode = "1"  # no grey edges: they would not be in the palette
    for box in sorted(boxes, key=lambda box: box.positive):
        _frame(ink, box, round((1 - box.high) * (HEIGHT - 1)), round((1 - box.low) * (HEIGHT - 1)))
        if box.species in rows:
            top = HEIGHT + STRIP * rows.index(box.species) + 1
            _frame(ink, box, top, top + STRIP - 2)
    _words(ink, [str(species[one]) for one in rows], duration_s)
    file = io.BytesIO()
    image.save(file, "PNG")  # `optimize` takes three times as long for a fiftieth of the bytes
    return file.getvalue()


def _rows(boxes: Sequence[Box]) -> list[int]:
    """The species that get a strip: those with the most confirmed calls first, then those with refused ones only."""
    confirmed = {one: sum(box.positive for box in boxes if box.species == one) for one in {b.species for b in boxes}}
    return sorted(confirmed, key=lambda one: (-confirmed[one], one))[:SPECIES_CAP]


def _log_mel(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(HEIGHT, WIDTH) grey levels, the lowest mel at the bottom; from each band's median to the loudest cell."""
    over = np.clip(cells.astype(np.float32) - np.median(cells, axis=0), 0, None)
    small = _spread(_spread(over.T, WIDTH).T, HEIGHT).T[::-1]
    return _levels(small / max(float(np.quantile(small, 0.999)), 1.0))


def _spread(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The last axis on so many pixels: the largest of what falls on a pixel, or the value on which it falls."""
    length = values.shape[-1]
    return np.maximum.reduceat(values, np.arange(count) * length // count, axis=-1)


def _levels(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (np.clip(values, 0, 1) * (LEVELS - 1) + 0.5).astype(np.uint8)


def _palette() -> list[int]:
    """Red, green, blue of every colour."""
    at = np.linspace(0, 1, LEVELS)
    greys = np.repeat(np.round(at * 235)[:, None], 3, axis=1)
    stops = np.array([DARK, MIDDLE, BRIGHT])
    warm = np.stack([np.interp(at, (0, 0.5, 1), stops[:, channel]) for channel in range(3)], axis=1)
    return [int(value) for value in np.concatenate([greys, warm, [(0, 0, 0), (255, 255, 255)], VERDICTS]).ravel()]


def _frame(ink: ImageDraw.ImageDraw, box: Box, top: int, bottom: int) -> None:
    left, right = (LEFT + round(edge * (WIDTH - 1)) for edge in (box.left, box.right))
    corners = (max(left, LEFT), top, max(right, left + 4), max(bottom, top + 4))
    ink.rectangle(corners, outline=CONFIRMED if box.positive else REFUSED, width=2)


def _words(ink: ImageDraw.ImageDraw, names: Sequence[str], duration_s: float) -> None:
    """The species beside their strips, seconds below."""
    font = ImageFont.load_default()
    ink.text((3, 2), "log-mel", fill=WHITE, font=font)
    for place, name in enumerate(names):
        ink.text(
            (3, HEIGHT + STRIP * place + 1), name[:10] if len(name) > 3 else f"species {name}", fill=WHITE, font=font
        )
    foot = HEIGHT + STRIP * len(names) + 1
    step_s = next(step for step in (1, 2, 5, 10, 20, 60, 300, 1800, float("inf")) if duration_s / step <= 8)
    for number in range(int(duration_s // step_s) + 1 if step_s < float("inf") else 1):
        second = number * step_s if number else 0
        ink.text((LEFT + second / max(duration_s, 1e-9) * WIDTH, foot), f"{second:g} s", fill=WHITE, font=font)
