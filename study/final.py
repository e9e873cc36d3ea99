"""From a bundle to a model folder: its stages are found in a store or trained, then written whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from rfcx_model import compute, network, priors
from rfcx_model.errors import InputError, RunError
from rfcx_model.hyperparameters import Hyperparameters
from rfcx_model.listening import listen, richest
from rfcx_model.metrics import OutOfFold
from rfcx_model.priors import Priors
from rfcx_model.recordings import load
from study import recipe
from study.bundle import CARD, CONFIG, Bundle, load_bundle
from study.display import Display
from study.facts import finite
from study.final_board import FinalBoard
from study.machine import cores
from study.model_card import Measured
from study.model_folder import Contents, write_model
from study.model_page import Trained, page_of
from study.page import HTML, MARKDOWN, render
from study.prepared import spectrograms
from study.setting import Alone, Setting, workshop
from study.stage_tasks import StageOrder, train_stages
from study.store import Stored, open_store
from study.study_folder import digests
from study.whole_folder import refuse_existing
from study.work import stored_request

CARD_PAGE: Final = "card.html"
PICTURES: Final = 3
"""Recordings that the card shows, those with most confirmed species."""


@dataclass(frozen=True)
class Places:
    """Folders of a final training: a stage store (None: the study's, else one beside the model), a cache, a board."""

    store: Path | None
    cache: Path
    board: Path | None = None  # of TensorBoard; None: beside the model


def train(bundle_folder: Path, data: Path, to: Path, places: Places, display: Display, whole: int = 0) -> Path:
    """Train all fold models of a bundle's config, and write them as a model folder.

    What the search has trained on the same data stands in its store and is taken from there. An interrupted training
    goes on from its last epoch. `whole` asks for so many models instead that each learn from all recordings.

    Raises:
        InputError: bundle or data are unsound, or the target exists.
        RunError: a stage failed, or its weights are no numbers.
    """
    refuse_existing(to)
    bundle = load_bundle(bundle_folder)
    recordings = load(data)
    hyperparameters = bundle.hyperparameters
    _check_network(bundle_folder / CONFIG, hyperparameters, len(recordings.species))
    setting = Setting(
        recordings=recordings,
        n_folds=bundle.folds or 5,
        cache=places.cache,
        store=_store_folder(bundle, to, places),
        threads=min(bundle.threads, cores()),
        pretrained=bundle.pretrained or digests([hyperparameters.network]),
    )
    setting.partition(bundle.seed)  # refuses what cannot be split
    spectrograms(recordings, hyperparameters.frontend, places.cache, display)
    torch.set_num_threads(setting.threads)  # part of what made a stored result, so before the store is asked
    to.absolute().parent.mkdir(parents=True, exist_ok=True)
    requests = _requests(setting, bundle, whole)
    results = _results(setting, bundle, requests, places.board or to.with_name(f"{to.name}-tensorboard"), display)
    weights = [
        result.state.weights(place)
        for request, result in zip(requests, results, strict=True)
        for place in range(len(request.held_out))
    ]
    metrics = dict(results[0].state.facts["metrics"])
    measured = None if whole else _measured(setting, bundle, requests[0], results[0])
    fitted = None if measured is None else _priors(measured)
    made = Trained(bundle, recordings, weights, metrics, setting.pretrained, whole > 0, fitted, measured)
    return write_model(to, _contents(made))


def _check_network(where: Path, h: Hyperparameters, n_species: int) -> None:
    try:
        network.check(h.network, h.windows, h.frontend.n_mels, n_species)
    except InputError as error:
        raise InputError(f"{where}: {error} Then export the bundle again.") from None


def _measured(setting: Setting, bundle: Bundle, request: recipe.Request, result: Stored) -> Measured | None:
    """What the fold models said out of fold, and what they hear in a few recordings; None where that is not kept."""
    if not {"recording_scores", "box_scores", "folds"} <= result.outputs.keys():
        return None
    h = bundle.hyperparameters
    place = workshop(setting, h, bundle.seed, lease=Alone(), tick=lambda _: None)
    said = OutOfFold(*(result.outputs[name] for name in ("recording_scores", "box_scores", "folds")))
    chosen = richest(place.corpus.listed, place.corpus.folds, PICTURES)
    heard = []
    for model, folds in enumerate(request.held_out):
        mine = [one for one in chosen if place.corpus.folds[one] in folds]
        heard += listen(result.state.weights(model), mine, h, place.corpus, place.compute) if mine else []
    return Measured(setting.recordings, place.corpus, h.frontend, said, sorted(heard, key=lambda one: one.recording))


def _priors(measured: Measured) -> Priors | None:
    """Class priors fitted on the models' out-of-fold scores; None where too little is listed."""
    said = measured.said
    try:
        return priors.fit(measured.corpus.listed.truth(len(said.folds)), said.recording_scores, said.folds)
    except ValueError:
        return None


def _requests(setting: Setting, bundle: Bundle, whole: int) -> list[recipe.Request]:
    """The last stages of a final training: of all folds abreast, or of so many models of all recordings."""
    h, folds = bundle.hyperparameters, range(setting.n_folds)
    if whole:
        return [recipe.whole_request(h, folds, bundle.seed, model) for model in range(whole)]
    store = open_store(setting.store, compute.best())
    known = stored_request(store, setting.partition(bundle.seed), h, bundle.seed)
    return [known or recipe.trial_request(h, folds, bundle.seed)]


def _results(
    setting: Setting, bundle: Bundle, requests: Sequence[recipe.Request], board: Path, display: Display
) -> list[Stored]:
    """The finished results of these stages, found or trained.

    Raises:
        RunError: a stage failed.
    """
    h, partition = bundle.hyperparameters, setting.partition(bundle.seed)
    store = open_store(setting.store, compute.best(), display.say)
    needed = list(dict.fromkeys(one for request in requests for one in (*recipe.earlier(request), request)))
    shown = FinalBoard(board, store, {_label(one): (one.name(h, partition), h) for one in needed})
    names = recipe.names(requests, h, partition)
    found = [store.load(name) for name in names]
    if any(one is None or one.epoch < asked.epochs(h) for one, asked in zip(found, requests, strict=True)):
        display.say(
            "what the store lacks is trained; it has nothing of a search with a lockbox, which saw fewer recordings"
        )
        orders = [StageOrder(h, one, bundle.seed) for one in needed]
        train_stages(setting, orders, display, shown.look)
        found = [store.load(name) for name in names]
    else:
        display.say("every stage stood in the store already, from a search or before: nothing was trained again")
    shown.close()
    lost = [name for name, one in zip(names, found, strict=True) if one is None]
    if lost:
        raise RunError(f"{', '.join(lost)} was trained but is not in {setting.store}")
    return [one for one in found if one is not None]


def _label(request: recipe.Request) -> str:
    """How a stage is called on TensorBoard."""
    folds = " ".join("+".join(map(str, one)) or "none" for one in request.held_out)
    cycle = f" cycle {request.cycle}" if request.cycle > 1 else ""
    return f"{request.stage}{cycle}, held out {folds}, seed {request.seed % 10_000:04d}"


def _store_folder(bundle: Bundle, to: Path, places: Places) -> Path:
    if places.store is not None:
        return places.store
    if bundle.store is not None and Path(bundle.store).is_dir():
        return Path(bundle.store)
    return to.absolute().with_name(f"{to.name}-stages")


def _contents(made: Trained) -> Contents:
    """The files of the model's folder, its card as a page and as text."""
    bundle, recordings = made.bundle, made.recordings
    page, shown_sections = page_of(made)
    return Contents(
        hyperparameters=bundle.hyperparameters,
        species=recordings.species,
        weights=made.weights,
        priors=made.priors,
        facts={
            "data_fingerprint": recordings.fingerprint,
            "study": bundle.study,
            "trial": bundle.trial,
            "pretrained": dict(made.pretrained),
            "trained_on": "all recordings" if made.whole else "all folds but one",
            "metrics": {name: finite(value) for name, value in made.metrics.items()},
        },
        pages={CARD: render(MARKDOWN, page, shown_sections), CARD_PAGE: render(HTML, page, shown_sections)},
    )
