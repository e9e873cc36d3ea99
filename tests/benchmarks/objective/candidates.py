"""The candidate objectives: at most six, written down and committed before any of them was measured.

Notations
    l, p    LWLRAP and a form of precision of a whole CV, as the ledger has them; means over a config's replicates
    b       LWLRAP of the diary's default, measured alike

The first four could be a study's objective, the last two are what they are held against. To add or change one after
forests were opened is to choose by the result: the sealed tables are refused then (see `choice.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from study.objective import floor_at, score
from study.space_settings import Objective


@dataclass(frozen=True)
class Candidate:
    """A rule that makes a config's metrics one score, larger is better; and why it is in the list."""

    name: str
    objective: Objective
    reason: str
    moving: bool = False  # whether it takes the diary's metrics, whose truth moves with the trial's own labels

    def score(self, metrics: Mapping[str, float], default: Mapping[str, float]) -> float:
        """The score of a config, given the metrics of the diary's default for a rule with a floor."""
        prefix = "diary_" if self.moving else ""
        form = self.objective.precision_form
        seen = {"lwlrap": metrics[f"{prefix}lwlrap"], form: metrics[f"{prefix}{form}"]}
        return score(self.objective, seen, floor_at(self.objective, {0: default["lwlrap"]}, 0))


CANDIDATES: Final = (
    Candidate(
        "0.5 lwlrap + 0.5 precision",
        Objective(precision_form="precision"),
        "The default so far. Depends on the level of the outputs at 0.5, which focal gamma and mixup can move without "
        "changing any ranking.",
    ),
    Candidate(
        "0.5 lwlrap + 0.5 precision_avg",
        Objective(precision_form="precision_avg"),
        "The same weighing without the level: average precision of the boxes, priors equalised.",
    ),
    Candidate(
        "0.5 lwlrap + 0.5 tpfp_auc",
        Objective(precision_form="tpfp_auc"),
        "Asks only whether a TP box scores above an FP box of its own template, so nothing of a box's length and band "
        "helps; the refused boxes are the only negatives that an expert has heard.",
    ),
    Candidate(
        "precision_avg, floor on lwlrap",
        Objective(rule="floor", precision_form="precision_avg"),
        "LWLRAP of listed species is biased against who finds unlisted ones, so it may serve better as a floor (the "
        "default's less 0.01, the noise that studies assume) than as a part of the score.",
    ),
    Candidate(
        "lwlrap",
        Objective(lwlrap=1.0, precision=0.0),
        "Reference: the competition's metric on the listed labels, nothing else.",
    ),
    Candidate(
        "0.5 diary_lwlrap + 0.5 diary_precision",
        Objective(precision_form="precision"),
        "Reference: the diary's moving ruler, with listed and own pseudo-labels as truth. Refused as an objective.",
        moving=True,
    ),
)

PLAIN: Final = "lwlrap"
"""The candidate that all differences are taken to."""
