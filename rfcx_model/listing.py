"""Listing: a simulated expert goes through the template matcher's hits, and what comes of it is the competition's CSV.

Exemplars are cut from the clearest calls in the train recordings. Hits of one species and songtype are taken in order
of their score; the expert calls each TP where an audible call of that species and songtype overlaps it by half of the
shorter one, else FP, and errs now and then. TP and FP rows are kept up to their caps, the best ones
unless the forest says otherwise, so what is listed depends on how loud, clean and typical a call is. The caps count the
templates of a species and songtype together, as the competition's counts show (10 + 40 TP rows for the two of species
0), and are not scaled with the forest: in a small one the number of recordings, each giving at most one hit a template,
is what bounds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rfcx_model.field_recording import TrueCall
from rfcx_model.forest import Forest
from rfcx_model.species_facts import TEMPLATES, within
from rfcx_model.template_matching import Hit

THRESHOLD: Final = 0.2
"""Least normalised cross-correlation of a hit of 1 s. Assumption: gives several FP rows a TP row, as the real one."""

HITS_PER_TEMPLATE: Final = 1
"""In one recording; the competition has 1.07 TP rows a recording and 1.97 FP rows over all its templates."""

CANDIDATES: Final = 5


@dataclass(frozen=True)
class Row:
    """A line of `train_tp.csv` (`confirmed`) or `train_fp.csv`."""

    recording_id: str
    template: int
    start_s: float
    score: float
    confirmed: bool


def exemplars(calls: Sequence[TrueCall], duration_s: float) -> dict[int, TrueCall]:
    """Per template the call that it is cut from: of the five with the best signal-to-noise ratio, the least covered."""
    chosen: dict[int, TrueCall] = {}
    by_recording: dict[str, list[TrueCall]] = {}
    for call in calls:
        by_recording.setdefault(call.recording_id, []).append(call)
    for template, facts in enumerate(TEMPLATES):
        fitting = [c for c in calls if c.template == template and c.start_s + facts.duration_s < duration_s]
        fitting.sort(key=lambda call: (-call.snr_db, call.recording_id, call.start_s))
        if fitting:
            chosen[template] = min(
                fitting[:CANDIDATES], key=lambda call: _covered(call, by_recording[call.recording_id])
            )
    return chosen


def box_of(exemplar: TrueCall, sample_rate_hz: int) -> tuple[float, float, float, float]:
    """(t_min_s, f_min_hz, duration_s, f_max_hz) of the template that is cut from this call."""
    facts = TEMPLATES[exemplar.template]
    f_min_hz, f_max_hz = within(facts.f_min_hz, facts.f_max_hz, sample_rate_hz)
    return exemplar.start_s, f_min_hz, facts.duration_s, f_max_hz


def list_hits(
    forest: Forest,
    hits: Mapping[str, Sequence[Hit]],
    calls: Iterable[TrueCall],
    rng: np.random.Generator,
    lots: np.random.Generator,
) -> list[Row]:
    """The rows that the expert leaves behind, sorted by recording and time.

    `rng` draws the expert's errors; `lots` draws what is kept where the score does not decide it.
    """
    audible: dict[tuple[str, int, int], list[TrueCall]] = {}
    for call in calls:
        if call.audible:
            audible.setdefault((call.recording_id, call.species_id, call.songtype_id), []).append(call)
    rows: list[Row] = []
    pairs = sorted({(facts.species_id, facts.songtype_id) for facts in TEMPLATES})
    for pair in pairs:
        found: dict[bool, list[Row]] = {True: [], False: []}
        for score, recording_id, hit in _ranked(hits, pair):
            truly = any(overlaps(hit, call) for call in audible.get((recording_id, *pair), ()))
            confirmed = truly != bool(rng.random() < forest.expert_error)
            found[confirmed].append(Row(recording_id, hit.template, hit.start_s, score, confirmed))
        rows += _kept(found[True], forest.tp_per_template, forest.tp_by_score, lots)
        rows += _kept(found[False], forest.fp_per_template, forest.fp_by_score, lots)
    return sorted(rows, key=lambda row: (row.recording_id, row.start_s, row.template))


def _kept(ranked: Sequence[Row], most: int, by_score: float, lots: np.random.Generator) -> list[Row]:
    """At most so many of the rows, which come best first: by their place, by lot, or by a mean of the two."""
    place = by_score * np.arange(len(ranked)) + (1 - by_score) * lots.permutation(len(ranked))
    return [ranked[index] for index in np.argsort(place, kind="stable")[:most]]


def overlaps(hit: Hit, call: TrueCall) -> bool:
    """Whether they share at least half of the shorter one's time."""
    shared = min(hit.start_s + hit.duration_s, call.t_max) - max(hit.start_s, call.t_min)
    return shared >= 0.5 * min(hit.duration_s, call.t_max - call.t_min)


def lines(rows: Iterable[Row], confirmed: bool, sample_rate_hz: int) -> list[str]:
    """The CSV's lines after its head; the TP file writes six digits of a frequency, the FP file all of them."""
    written = []
    for row in rows:
        if row.confirmed is confirmed:
            facts = TEMPLATES[row.template]
            band = within(facts.f_min_hz, facts.f_max_hz, sample_rate_hz)
            low, high = (f"{edge:.6g}" if confirmed else f"{edge:.4f}".rstrip("0").rstrip(".") for edge in band)
            end_s = row.start_s + facts.duration_s
            pair = f"{facts.species_id},{facts.songtype_id}"
            written.append(f"{row.recording_id},{pair},{row.start_s:.4f},{low},{end_s:.4f},{high}")
    return written


def _ranked(hits: Mapping[str, Sequence[Hit]], pair: tuple[int, int]) -> list[tuple[float, str, Hit]]:
    """One pair's hits, best first, less those that overlap a better one of another template in the same recording."""
    ranked = []
    for recording_id, found in hits.items():
        kept: list[Hit] = []
        for hit in sorted(found, key=lambda hit: -hit.score):
            facts = TEMPLATES[hit.template]
            if (facts.species_id, facts.songtype_id) == pair and not any(_same_place(hit, other) for other in kept):
                kept.append(hit)
        ranked += [(hit.score, recording_id, hit) for hit in kept]
    return sorted(ranked, key=lambda entry: (-entry[0], entry[1], entry[2].template))


def _same_place(hit: Hit, other: Hit) -> bool:
    shared = min(hit.start_s + hit.duration_s, other.start_s + other.duration_s) - max(hit.start_s, other.start_s)
    return shared >= 0.5 * min(hit.duration_s, other.duration_s)


def _covered(call: TrueCall, others: Iterable[TrueCall]) -> float:
    """Seconds that other calls in its band sound during this one."""
    return sum(
        max(0.0, min(call.t_max, other.t_max) - max(call.t_min, other.t_min))
        for other in others
        if other is not call and other.f_min < call.f_max and other.f_max > call.f_min
    )
