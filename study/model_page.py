"""What a final training has made, and the page that tells of it: card.html and card.md of a model's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from rfcx_model.hyperparameters import flatten
from rfcx_model.priors import Priors
from rfcx_model.recordings import Recordings
from study.bundle import Bundle
from study.facts import shown
from study.model_card import Measured, sections
from study.page import Page
from study.section import Exhibit, Section
from study.study_folder import versions
from study.tables import Table


@dataclass(frozen=True, eq=False)
class Trained:
    """What a final training has made. `metrics` are out of fold, and empty for models of all recordings."""

    bundle: Bundle
    recordings: Recordings
    weights: Sequence[dict[str, torch.Tensor]]  # of each model
    metrics: Mapping[str, float | None]
    pretrained: Mapping[str, str]
    whole: bool  # whether each model has learnt from all recordings
    priors: Priors | None  # fitted out of fold
    measured: Measured | None


def page_of(made: Trained) -> tuple[Page, list[Section]]:
    """The card: what the models are and where they come from, then what they are worth."""
    bundle, recordings = made.bundle, made.recordings
    same = bundle.data_fingerprint == recordings.fingerprint
    page = Page(
        name=f"Model of {bundle.study}, trial {bundle.trial}",
        title=f"{bundle.study}: model card",
        lead=f"{_models(made)}; a prediction is the mean of theirs.",
        foot="Made by rfcx-study as it wrote the model; its hash stands in config.json.",
    )
    rows = {
        "trained on": f"{len(recordings.train)} recordings, {len(recordings.species)} species, "
        + ("the data of the search" if same else "other data than the search"),
        "data fingerprint": recordings.fingerprint,
        "folds": f"{bundle.folds or len(made.weights)}, seed {bundle.seed}, replicate {bundle.replicate}",
        "study": f"{bundle.study}, signature {bundle.signature}, commit {bundle.commit}",
        **{f"pretrained weights {name}": f"SHA-256 {digest}" for name, digest in made.pretrained.items()},
        **({} if made.pretrained else {"pretrained weights": "none"}),
        "class priors": _on_priors(made.priors),
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
    use = [
        "`rfcx-study predict MODEL --data DATA --to submission.csv` writes a submission.",
        "`rfcx-study predict MODEL --recordings FOLDER --to CALLS` finds calls in recordings of any length.",
    ]
    config = flatten(bundle.hyperparameters)
    knobs = Table(("knob", "value"), tuple((name, shown(value)) for name, value in config.items()), 2)
    measured = sections(made.measured, optimistic=same)
    return page, [
        Section("Use", use),
        *measured,
        Section("Where it comes from", [], [Exhibit("Where it comes from", _facts(rows))]),
        Section("Settings", [], [Exhibit("Settings", knobs)]),
    ]


def _models(made: Trained) -> str:
    count = len(made.weights)
    if made.whole:
        return f"{count} models of different seeds, each trained on all recordings"
    return f"{count} fold models"


def _on_priors(told: Priors | None) -> str:
    if told is None:
        return "none fitted"
    source = "how often a species is listed" if told.source == "listed" else "what the models hear on the whole"
    if told.weight == 0:
        return f"do not pay: out-of-fold LWLRAP {told.cross_fitted:.4f} with them, {told.plain:.4f} without"
    return (
        f"by {source}, weight {told.weight:g} (predict --priors): out-of-fold LWLRAP {told.cross_fitted:.4f} instead "
        f"of {told.plain:.4f}, fitted on the other folds each time"
    )


def _facts(rows: Mapping[str, str]) -> Table:
    return Table(("what", "value"), tuple(rows.items()), 2)
