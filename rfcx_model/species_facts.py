"""The competition's 37 templates: whose call, which band, how long, and how often an expert agreed.

Statistics of `train_tp.csv` and `train_fp.csv` of the RFCX species audio detection competition. The two files
round the same template differently (10406.2 and 10406.25); here they are one row with the longer value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class TemplateFacts:
    """One template of the competition's matcher.

    Attributes:
        species_id: 0 to 23.
        songtype_id: 1 or 4.
        f_min_hz: lower edge of every box of this template.
        f_max_hz: upper edge of every box of this template.
        duration_s: length of every box of this template.
        n_tp: hits that the experts confirmed.
        n_fp: hits that the experts refused.
    """

    species_id: int
    songtype_id: int
    f_min_hz: float
    f_max_hz: float
    duration_s: float
    n_tp: int
    n_fp: int


TEMPLATES: Final[tuple[TemplateFacts, ...]] = tuple(
    TemplateFacts(*row)
    for row in (
        (0, 1, 5906.25, 7500.0, 1.2907, 10, 290),
        (0, 1, 5906.25, 8250.0, 0.7947, 40, 10),
        (1, 1, 3843.75, 5625.0, 0.896, 50, 298),
        (2, 1, 468.75, 3000.0, 1.776, 37, 300),
        (3, 1, 1031.25, 2812.5, 0.7413, 50, 300),
        (4, 1, 2343.75, 4218.75, 1.856, 38, 294),
        (4, 1, 2531.25, 4031.25, 2.1867, 12, 6),
        (5, 1, 4781.25, 10406.25, 2.352, 49, 174),
        (5, 1, 5062.5, 11250.0, 3.1093, 1, 126),
        (6, 1, 562.5, 3187.5, 2.0213, 9, 68),
        (6, 1, 562.5, 4406.25, 2.144, 41, 232),
        (7, 1, 4687.5, 11437.5, 3.1413, 50, 300),
        (8, 1, 3750.0, 5531.25, 4.1227, 50, 300),
        (9, 1, 843.75, 5718.75, 3.5627, 23, 0),
        (9, 1, 1125.0, 5250.0, 2.8053, 11, 300),
        (10, 1, 947.4609, 10852.7344, 2.4439, 50, 298),
        (11, 1, 1808.7891, 5684.7656, 1.1378, 50, 300),
        (12, 1, 562.5, 3281.25, 3.136, 50, 300),
        (13, 1, 93.75, 843.75, 0.624, 49, 52),
        (13, 1, 93.75, 1406.25, 3.872, 1, 248),
        (14, 1, 2531.25, 5531.25, 0.5867, 15, 289),
        (14, 1, 2812.5, 4406.25, 0.9227, 21, 6),
        (14, 1, 3750.0, 6468.75, 0.272, 14, 5),
        (15, 1, 93.75, 1125.0, 3.344, 50, 300),
        (16, 4, 3093.75, 4593.75, 1.8347, 50, 300),
        (17, 1, 1312.5, 3937.5, 6.4533, 40, 300),
        (17, 4, 1312.5, 7406.25, 2.5333, 4, 300),
        (17, 4, 1406.25, 3937.5, 2.608, 19, 0),
        (17, 4, 1464.26, 4565.04, 3.779, 5, 0),
        (18, 1, 3187.5, 5062.5, 0.6933, 50, 300),
        (19, 1, 281.25, 2812.5, 1.552, 43, 299),
        (20, 1, 1312.5, 6093.75, 5.3813, 17, 0),
        (20, 1, 2343.75, 5718.75, 3.44, 23, 300),
        (21, 1, 3281.25, 4125.0, 1.0933, 50, 300),
        (22, 1, 10687.5, 13687.5, 1.6053, 44, 286),
        (23, 1, 7235.1562, 11283.3984, 6.0836, 50, 300),
        (23, 4, 6459.9609, 11627.9297, 7.9238, 50, 300),
    )
)

N_SPECIES: Final = 24
COMMONEST: Final = 3
"""By far the commonest species of the competition's hidden test labels."""


def within(f_min_hz: float, f_max_hz: float, sample_rate_hz: int) -> tuple[float, float]:
    """The band, both edges scaled down together where it would reach above 96 % of half the sample rate."""
    scale = min(1.0, 0.48 * sample_rate_hz / f_max_hz)
    return (f_min_hz, f_max_hz) if scale == 1.0 else (round(f_min_hz * scale, 4), round(f_max_hz * scale, 4))
