"""A model's card: what it was made of, and how good its fold models were on recordings that they had not seen.

Sections for a page (`study.page`), the same for card.html and card.md; every figure has its numbers in a table.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rfcx_model.calibration import Bin, Calibration, calibration
from rfcx_model.corpus import Corpus
from rfcx_model.hyperparameters import Frontend
from rfcx_model.listening import Heard
from rfcx_model.metrics import OutOfFold
from rfcx_model.recordings import Recordings
from study import model_figures, picture
from study.floor import floor
from study.precision_recall import Judged, precision
from study.recording_intervals import DRAWS, Interval, interval, of_figure, weights
from study.reweighted import average_precisions
from study.section import Exhibit, Section, exhibit
from study.showcase import SAID, listed_boxes
from study.tables import Table, number

Floats = NDArray[np.float64]
FIGURES: Final = {
    "lwlrap": "LWLRAP",
    "precision": "precision of boxes at 0.5",
    "precision_avg": "average precision of boxes",
    "tpfp_auc": "TP against FP boxes",
    "recall": "recall of TP boxes at 0.5",
}
HALF: Final = 0.5
FEW_BINS: Final = 3  # of ten; scores that lie in fewer hardly differ
EVERY: Final = 10  # of 101 thresholds, in the table


@dataclass(frozen=True, eq=False)
class Measured:
    """Out-of-fold scores of the models and what they are held against."""

    recordings: Recordings
    corpus: Corpus
    frontend: Frontend
    said: OutOfFold
    heard: Sequence[Heard]  # a few recordings, each by a model that did not see it

    @property
    def judged(self) -> Judged:
        """Boxes with their scores."""
        return Judged.of(self.corpus.listed, self.said)


@dataclass(frozen=True)
class Species:
    """One species: recordings that list it, and average precision over recordings."""

    number: int
    listed: int
    precision: Interval


def sections(measured: Measured | None, optimistic: bool) -> list[Section]:
    """How good the models are; without scores, that nothing can be said.

    `optimistic` says that the setting was chosen by scores on these recordings.
    """
    if measured is None:
        return [Section("Scores", ["These models have learnt from every recording: none is left to measure them on."])]
    drawn = drawn_weights(measured)
    return [
        _scores(measured, drawn, optimistic),
        _by_species(measured, drawn),
        _curves(measured.judged),
        _calibrated(measured.judged),
        _pictures(measured),
        Section("Limits", _limits()),
    ]


def _limits() -> list[str]:
    return [
        "LWLRAP counts a species that sounds but is not listed as an error, so it is lower than what a full truth "
        "would give, and by how much depends on how much is listed.",
        "Boxes were proposed by a template matcher: calls that it never proposes are in no figure here. "
        "`rfcx-study audit` draws windows for a person to judge instead.",
        "A submission takes the mean of all fold models; each figure here is of one model that had less to learn from.",
    ]


def drawn_weights(measured: Measured) -> Floats:
    """(1 + draw, recording) how often each counts; see `recording_intervals.weights`."""
    train = measured.recordings.train
    sites = train["site"].to_numpy(dtype=str)
    names = train["recording_id"].to_numpy(dtype=str) if (sites == "").any() else sites
    groups = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return weights(measured.corpus.listed, measured.said, groups)


def _scores(measured: Measured, drawn: Floats, optimistic: bool) -> Section:
    listed, said = measured.corpus.listed, measured.said
    found = {name: of_figure(name, listed, said, drawn) for name in FIGURES}
    sentences = [
        f"Out of fold: {int((said.folds >= 0).sum())} recordings, each scored by the one model that had not seen it. "
        f"Intervals are the middle 95 % of {DRAWS} draws of the recordings, whole sites where the data name them; they "
        "do not cover another training."
    ]
    if optimistic:
        sentences.append(
            "Where the search had no lockbox the setting was chosen by scores on these recordings, so they are "
            "optimistic."
        )
    if (under := floor(listed, said, measured.recordings.train["site"].to_numpy(dtype=str))) is not None:
        sentences.append(under.sentence("The set of fold models"))
    rows = tuple((FIGURES[name], number(one.value), one.span) for name, one in found.items())
    return Section("Scores", sentences, [Exhibit("Scores", Table(("figure", "value", "95 %"), rows, 1))])


def species(measured: Measured, drawn: Floats) -> list[Species]:
    """Average precision of each, in the order of the data."""
    listed, said = measured.corpus.listed, measured.said
    truth = listed.truth(len(said.folds)) & (said.folds >= 0)[:, None]
    each = average_precisions(listed, said, drawn)
    return [
        Species(int(name), int(truth[:, place].sum()), interval(each[:, place]))
        for place, name in enumerate(measured.recordings.species)
    ]


def _by_species(measured: Measured, drawn: Floats) -> Section:
    found = species(measured, drawn)
    rows = tuple((str(one.number), str(one.listed), number(one.precision.value), one.precision.span) for one in found)
    table = Table(("species", "recordings", "AP", "95 %"), rows, 1)
    words = (
        "Average precision of recordings by species: 1 where all recordings that list it score above all others; "
        "chance is the share of recordings that list it."
    )
    told = [one for one in found if one.precision.value is not None]
    if not told:
        return Section("By species", ["No species is listed in a recording that was scored."], [])
    return Section("By species", [words], [exhibit("By species", table, lambda: model_figures.by_species(told))])


def _curves(judged: Judged) -> Section:
    both = judged.both()
    if not both:
        return Section("Precision and recall", ["No species has both confirmed and refused boxes, as is needed here."])
    each = [judged.one(one).rates() for one in both]
    recall, false = (np.mean([rates[kind] for rates in each], axis=0) for kind in (0, 1))
    shares = np.mean([precision(*rates) for rates in each], axis=0)
    rows = tuple(
        (f"{at / 100:.1f}", number(float(shares[at])), number(float(recall[at])), number(float(false[at])))
        for at in range(0, 101, EVERY)
    )
    table = Table(("threshold", "precision", "recall", "refused boxes above"), rows, 0)
    words = (
        f"Boxes, priors equalised, mean over the {len(both)} species that have confirmed and refused ones. "
        "The dot is the threshold 0.5. A species of which no box reaches a threshold counts there as precision 0."
    )
    return Section(
        "Precision and recall",
        [words],
        [exhibit("Precision and recall", table, lambda: model_figures.curve(recall, shares))],
    )


def _calibrated(judged: Judged) -> Section:
    told = calibration(judged.positive, judged.scores, judged.species)
    if not told.bins:
        return Section("Calibration", ["Boxes of both kinds are needed to say whether scores are calibrated."])
    rows = tuple(
        (
            f"{one.low:.1f} to {one.high:.1f}",
            str(one.boxes),
            number(one.said),
            number(one.confirmed),
            f"{number(one.interval[0])} to {number(one.interval[1])}",
        )
        for one in told.bins
    )
    table = Table(("scores", "boxes", "mean score", "confirmed", "95 %"), rows, 1)
    figure = exhibit("Calibration", table, lambda: model_figures.reliability(told))
    return Section("Calibration", [calibration_words(told)], [figure])


def calibration_words(told: Calibration) -> str:
    """How far scores and shares lie apart, and to which side."""
    high = sum(one.said > one.interval[1] for one in told.bins)
    low = sum(one.said < one.interval[0] for one in told.bins)
    over = sum(_lies_out(one, too_far=True) for one in told.bins)
    under = sum(_lies_out(one, too_far=False) for one in told.bins)
    lean = "overconfident, their scores too near 0 and 1" if over > under else "underconfident, too near 0.5"
    lean = "neither over- nor underconfident" if over == under else lean
    said = f"the models are {lean}" if len(told.bins) >= FEW_BINS else "scores this flat say nothing of calibration"
    return (
        f"How often a box is confirmed, by the score it is given: expected calibration error {told.error:.3f}; of "
        f"{len(told.bins)} bins that hold boxes {high} score higher and {low} lower than their interval: {said}. "
        "Confirmed and refused boxes of a species weigh alike, for the priors of what is listed are not the forest's."
    )


def _lies_out(one: Bin, too_far: bool) -> bool:
    """Whether a bin's scores lie outside of its interval on the side away from 0.5, or on the other."""
    if one.interval[0] <= one.said <= one.interval[1]:
        return False
    away = one.said > one.interval[1] if one.said >= HALF else one.said < one.interval[0]
    return away == too_far


def _pictures(measured: Measured) -> Section:
    if not measured.heard:
        return Section("What it hears", [])
    shown = [_picture(measured, one) for one in measured.heard]
    return Section("What it hears", [SAID.replace(" Tick *Show actual image size* to read the words.", "")], shown)


def _picture(measured: Measured, heard: Heard) -> Exhibit:
    recordings, corpus = measured.recordings, measured.corpus
    name = str(recordings.train["recording_id"].iloc[heard.recording])
    duration_s = len(heard.cells) / corpus.frames_per_s
    boxes = listed_boxes(recordings, heard.recording, measured.frontend, duration_s)
    png = picture.draw(heard.cells, heard.probabilities, boxes, recordings.species, duration_s)
    table = recordings.boxes[recordings.boxes["recording"] == heard.recording]
    scores = measured.said.box_scores[table.index.to_numpy()]
    columns = [table[name].tolist() for name in ("species", "t_min", "t_max", "positive")]
    rows = tuple(
        (
            str(recordings.species[place]),
            f"{from_s:.2f}",
            f"{to_s:.2f}",
            "confirmed" if positive else "refused",
            number(float(score)),
        )
        for place, from_s, to_s, positive, score in zip(*columns, scores, strict=True)
    )
    figure = "data:image/png;base64," + base64.b64encode(png).decode()
    return Exhibit(name, Table(("species", "from, s", "to, s", "expert", "score"), rows, 1), figure)
