"""The lockbox: recordings that a search neither trains on nor scores; only confirmed models are asked about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_corpus import CPU, Size, knobs, make_corpus
from tiny import Sound, write_folder

from rfcx_model import network, predict
from rfcx_model.corpus import Corpus
from rfcx_model.errors import InputError
from rfcx_model.folds import LOCKED, assign_folds, lockbox
from rfcx_model.hyperparameters import StageName
from rfcx_model.lockbox import scored
from rfcx_model.metrics import measure
from rfcx_model.recordings import Recordings, load
from rfcx_model.train import Task, stage
from study.setting import Lockbox, Setting


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    return load(write_folder(tmp_path_factory.mktemp("lockbox") / "data", Sound(recordings=24, sites=12)))


def test_the_lockbox_is_about_the_share_and_holds_whole_sites(recordings: Recordings) -> None:
    locked = lockbox(recordings, 0.25, seed=3)
    assert 0.15 < locked.mean() < 0.35
    sites = recordings.train["site"].to_numpy()
    assert not set(sites[locked]) & set(sites[~locked])
    assert (locked == lockbox(recordings, 0.25, seed=3)).all()
    assert any((locked != lockbox(recordings, 0.25, seed=seed)).any() for seed in (4, 5))


def test_a_share_of_nothing_locks_nothing_away(recordings: Recordings) -> None:
    assert not lockbox(recordings, 0.0, seed=3).any()
    folds = assign_folds(recordings, 3, 1)
    assert (assign_folds(recordings, 3, 1, lockbox(recordings, 0.0, seed=3)) == folds).all()


def test_folds_are_dealt_from_what_is_left(recordings: Recordings) -> None:
    locked = lockbox(recordings, 0.25, seed=3)
    for seed in (1, 2):
        folds = assign_folds(recordings, 3, seed, locked)
        assert ((folds == LOCKED) == locked).all()
        assert set(folds[~locked]) == {0, 1, 2}


def test_too_few_recordings_for_a_lockbox_or_for_folds_beside_one_are_refused(recordings: Recordings) -> None:
    few = replace(recordings, train=recordings.train.assign(site=["one", "two"] * 12))
    with pytest.raises(InputError, match=r"a lockbox of 0\.25 needs 4 sites or more, but got 2"):
        lockbox(few, 0.25, seed=3)
    locked = lockbox(recordings, 0.25, seed=3)
    with pytest.raises(InputError, match=r"but got 9 sites for 10 folds, 3 more are in the lockbox"):
        assign_folds(recordings, 10, 0, locked)


def test_all_replicates_have_one_lockbox_and_stages_are_named_by_it(recordings: Recordings) -> None:
    plain = Setting(recordings, 3, Path(), Path(), threads=1)
    boxed = Setting(recordings, 3, Path(), Path(), threads=1, lockbox=Lockbox(0.25, 7))
    first, second = boxed.folds(1), boxed.folds(2)
    assert ((first == LOCKED) == (second == LOCKED)).all()
    assert (first != second).any()
    assert plain.partition(1).locked == ""
    assert boxed.partition(1).locked != ""


def boxed_corpus() -> Corpus:
    corpus = make_corpus(Size())
    return replace(corpus, folds=np.where(np.arange(10) >= 8, LOCKED, corpus.folds))


def task(corpus: Corpus, name: StageName) -> Task:
    del name
    h = knobs(stage1__epochs=1, stage2__epochs=1)
    return Task(h, corpus, CPU, ((0,), (1,)), seed=3, starts=(None, None))


@pytest.mark.parametrize("name", ["stage1", "stage2"])
def test_recordings_in_the_lockbox_are_neither_trained_on_nor_scored(name: StageName) -> None:
    torch.set_num_threads(1)
    corpus = boxed_corpus()
    epoch = list(stage(name, task(corpus, name)))[-1]
    cells = corpus.sounds.cells.clone()
    cells[int(corpus.sounds.offsets[8]) :] = 255
    other = replace(corpus, sounds=replace(corpus.sounds, cells=cells))
    again = list(stage(name, task(other, name)))[-1]
    assert all(torch.equal(epoch.state.weights(0)[key], value) for key, value in again.state.weights(0).items())
    assert epoch.metrics == again.metrics
    assert (epoch.outputs["folds"] == corpus.folds).all()
    assert (epoch.outputs["recording_scores"][8:] == -1).all()


def test_without_a_lockbox_the_same_recordings_are_trained_on() -> None:
    torch.set_num_threads(1)
    corpus = make_corpus(Size())
    cells = corpus.sounds.cells.clone()
    cells[int(corpus.sounds.offsets[8]) :] = 255
    other = replace(corpus, sounds=replace(corpus.sounds, cells=cells))
    first, second = (list(stage("stage2", task(one, "stage2")))[-1] for one in (corpus, other))
    assert any(not torch.equal(first.state.weights(1)[k], v) for k, v in second.state.weights(1).items())


def test_the_lockbox_is_scored_by_the_mean_of_all_fold_models() -> None:
    torch.set_num_threads(1)
    corpus, h = boxed_corpus(), knobs()
    models = [network.build(h.network, 3, seed=seed).state_dict() for seed in (1, 2)]
    said = scored(models, h, corpus, CPU)
    assert (said.folds == np.where(np.arange(10) >= 8, 0, -1)).all()
    grid = predict.ruler_grid(corpus.frames, np.arange(10), h.ruler, corpus.frames_per_s)
    each = []
    for weights in models:
        net = network.restored(h.network, 3, weights, CPU)
        each.append(predict.recording_scores(predict.framewise(net, corpus.sounds, grid, CPU), grid, 10))
    np.testing.assert_allclose(said.recording_scores[8:], np.mean(each, axis=0)[8:], rtol=1e-5)
    assert 0 <= measure(corpus.listed, said)["lwlrap"] <= 1
