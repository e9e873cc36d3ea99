from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from made_corpus import CPU, FRAMES_PER_S, Size, knobs, make_corpus, planted
from torch import Tensor

from rfcx_model import network, predict
from rfcx_model.batches import derive, recordings, streams
from rfcx_model.corpus import Corpus
from rfcx_model.hyperparameters import Hyperparameters, StageName
from rfcx_model.labels import Floats, Lessons, pseudo_positives, with_pseudo
from rfcx_model.learner import State
from rfcx_model.metrics import OutOfFold, measure
from rfcx_model.mixup import draw
from rfcx_model.predict import Grid
from rfcx_model.train import Epoch, Task, cosine, said, stage, taught

CORPUS = make_corpus(Size())
STAGES: tuple[StageName, ...] = ("stage1", "stage2", "stage3")
STILL = {"augment__mask_probability": 0.0}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@cache
def start_weights() -> dict[str, Tensor]:
    return network.build(knobs().network, 3, seed=11).state_dict()


def teachers(corpus: Corpus, fold: int) -> Floats:
    """What two teachers say, drawn; NaN in the held-out fold."""
    said = np.random.default_rng(derive(5, fold)).random((2, *corpus.windows.positive.shape)).astype(np.float32)
    said[:, corpus.folds[corpus.windows.recording] == fold] = np.nan
    return said


def task(h: Hyperparameters, folds: tuple[int, ...] = (0,), corpus: Corpus = CORPUS, **changed: Any) -> Task:
    whole = Task(
        hyperparameters=h,
        corpus=corpus,
        compute=CPU,
        held_out=tuple((fold,) if fold >= 0 else () for fold in folds),
        seed=3,
        starts=tuple(start_weights() for _ in folds),
        lessons=tuple(Lessons(teachers(corpus, fold)) for fold in folds),
        measured=False,
    )
    return replace(whole, **changed)


def weights(name: StageName, h: Hyperparameters, **changed: Any) -> dict[str, Tensor]:
    """The first model's weights after all epochs."""
    return list(stage(name, task(h, **changed)))[-1].state.weights(0)


@cache
def after_one(name: StageName, **changed: Any) -> dict[str, Tensor]:
    """The weights after one epoch under the tiny knobs, changed as told."""
    return weights(name, knobs(**({f"{name}__epochs": 1} | changed)))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# The four knobs of the mission


def test_every_site_trains_other_weights() -> None:
    trained = [
        after_one("stage3", stage3__mixup_site=site, stage3__mixup_alpha=1.0)
        for site in ("none", "input", "stage3", "stage4")
    ]
    assert not any(same(trained[i], trained[j]) for i in range(4) for j in range(i))


@pytest.mark.parametrize("site", ["none", "input", "stage3", "stage4"])
def test_alpha_acts_at_every_site_and_nowhere_without_one(site: str) -> None:
    small, large = (after_one("stage3", stage3__mixup_site=site, stage3__mixup_alpha=a) for a in (0.4, 1.0))
    assert same(small, large) == (site == "none")


def test_the_pseudo_label_threshold_decides_which_cells_are_taken() -> None:
    low, high, off = (after_one("stage3", stage3__pseudo_threshold=threshold) for threshold in (0.3, 0.6, 1.0))
    assert not same(low, high)
    assert not same(high, off)
    untaught = weights("stage3", knobs(stage3__epochs=1), lessons=())
    assert same(off, untaught)
    deaf = (Lessons(np.minimum(teachers(CORPUS, 0), 0.6)),)
    between = [weights("stage3", knobs(stage3__epochs=1, stage3__pseudo_threshold=t), lessons=deaf) for t in (0.7, 0.8)]
    assert same(*between)  # no teacher says anything between the two
    assert same(between[0], untaught)


def test_gamma_acts_where_there_are_positives_and_nowhere_else() -> None:
    plain, focal = (after_one("stage3", stage3__focal_gamma=gamma) for gamma in (0.0, 2.0))
    assert not same(plain, focal)
    refused = replace(CORPUS, windows=replace(CORPUS.windows, positive=np.zeros_like(CORPUS.windows.positive)))
    trained = [
        weights("stage3", knobs(stage3__epochs=1, stage3__focal_gamma=g), corpus=refused, lessons=())
        for g in (0.0, 2.0)
    ]
    assert same(*trained)


def mixed_by_hand(h: Hyperparameters, fold: int) -> float:
    """The loss a unit of label weight of one stage-3 batch, written from the rules for mixup of the input."""
    corpus, knobs3 = CORPUS, h.stage3
    pseudo = pseudo_positives(Lessons(teachers(corpus, fold)), threshold=knobs3.pseudo_threshold, votes=knobs3.votes)
    labels = with_pseudo(corpus.windows, pseudo, knobs3.pseudo_weight)
    draws = streams(derive(3, "stage3", fold, 1))
    (part,) = recordings(labels, corpus.folds != fold, knobs3.batch_recordings, draws.order)
    mix = draw("input", knobs3.mixup_alpha, len(part.start), draws.mix)
    x = corpus.sounds.inputs(torch.from_numpy(part.recording), torch.from_numpy(part.start), 64)
    x = torch.stack([mix.lam * x[k] + (1 - mix.lam) * x[int(mix.partner[k])] for k in range(len(x))])
    net = network.build(h.network, 3, seed=0)
    net.load_state_dict(start_weights())
    with torch.no_grad():
        logits = net.train()(x.contiguous(memory_format=torch.channels_last)).clipwise.double()
    loss = weight = 0.0
    for a, species in product(range(len(x)), range(3)):
        p = 1 / (1 + math.exp(-float(logits[a, species])))
        for share, side in ((mix.lam, a), (1 - mix.lam, int(mix.partner[a]))):
            loss -= share * float(part.positive[side, species]) * (1 - p) ** knobs3.focal_gamma * math.log(p)
            loss -= share * float(part.negative[side, species]) * math.log(1 - p)
            weight += share * float(part.positive[side, species] + part.negative[side, species])
    return loss / weight


@pytest.mark.parametrize("fold", [0, 1])
def test_the_loss_of_a_batch_equals_the_recipe_written_out(fold: int) -> None:
    h = knobs(
        **STILL,
        stage3__epochs=1,
        stage3__batch_recordings=9,
        stage3__mixup_alpha=0.7,
        stage3__label_rule="convex",
        stage3__focal_gamma=1.5,
        stage3__pseudo_threshold=0.4,
        stage3__pseudo_weight=0.5,
    )
    (epoch,) = stage("stage3", task(h, (fold,)))
    assert epoch.train_loss == pytest.approx(mixed_by_hand(h, fold), rel=1e-4)


OTHERS: list[tuple[str, str, Any]] = [
    ("stage3", "label_rule", "union"),
    ("stage3", "label_rule", "convex"),
    ("stage3", "positive_weight_decay", True),
    ("stage3", "weight_decay", 0.1),
    ("stage3", "pseudo_weight", 0.5),
    ("stage3", "votes", 0.3),
    ("stage3", "pseudo_rule", "mean"),
    ("stage3", "ema_decay", 0.5),
    ("stage3", "placebo", 1),
    ("stage3", "learning_rate", 1e-4),
    ("stage3", "batch_recordings", 1),
    ("stage3", "accumulate", 2),
    ("stage2", "mixup_site", "input"),
    ("stage2", "focal_gamma", 2.0),
    ("stage2", "positive_weight_decay", True),
    ("stage2", "accumulate", 2),
    ("stage1", "crop", "random"),
    ("stage1", "jitter_frames", (0,)),
    ("stage1", "fp_recordings", 1),
    ("stage1", "pseudo_threshold", 0.4),
    ("stage1", "mixup_site", "stage4"),
    ("stage1", "batch_crops", 2),
    ("stage1", "learning_rate", 1e-4),
    ("stage2", "learning_rate", 1e-4),
    ("stage2", "weight_decay", 0.1),
    ("stage2", "batch_recordings", 1),
    ("stage1", "weight_decay", 0.1),
    ("network", "pooling", "mean"),
    ("network", "dropout", 0.3),
    ("augment", "time_mask_frames", 3),
    ("augment", "mel_mask_mels", 2),
    ("augment", "mask_probability", 1.0),
    ("augment", "gain_db", 3.0),
]


@pytest.mark.parametrize(("group", "name", "value"), OTHERS)
def test_the_other_knobs_act_too(group: str, name: str, value: Any) -> None:
    in_stage: StageName = "stage1" if group == "stage1" else "stage2" if group == "stage2" else "stage3"
    assert not same(after_one(in_stage), after_one(in_stage, **{f"{group}__{name}": value}))


@pytest.mark.parametrize("name", STAGES)
def test_the_label_rule_acts_where_windows_are_mixed(name: StageName) -> None:
    site = {f"{name}__mixup_site": "input", f"{name}__mixup_alpha": 1.0}
    convex, union = (after_one(name, **site, **{f"{name}__label_rule": rule}) for rule in ("convex", "union"))
    assert not same(convex, union)


def test_the_schedule_by_hand() -> None:
    assert cosine(1e-3, 0, 10) == 1e-3
    assert cosine(1e-3, 5, 10) == pytest.approx(5e-4)
    assert cosine(1e-3, 2.5, 10) == pytest.approx(1e-3 * (2 + math.sqrt(2)) / 4)
    assert cosine(1e-3, 10, 10) == pytest.approx(0)
    assert cosine(1e-3, 15, 10) == pytest.approx(5e-4)
    assert cosine(1e-3, 20, 10) == pytest.approx(1e-3)


def test_the_schedule_is_stepped_by_batch_and_stands_still_at_its_foot() -> None:
    h = knobs(stage2__epochs=2, stage2__cosine_epochs=1, stage2__batch_recordings=9)
    first, second = (epoch.state.weights(0) for epoch in stage("stage2", task(h)))
    learned = {name for name, _ in network.build(h.network, 3, seed=0).named_parameters()}
    assert all(torch.equal(first[name], second[name]) for name in learned)
    assert not same(first, second)  # batch norm's statistics go on


@pytest.mark.parametrize(("batch", "accumulate", "steps"), [(1, 1, 4), (1, 2, 2), (1, 3, 2), (1, 9, 1), (2, 1, 2)])
def test_the_optimiser_steps_once_in_so_many_batches_and_at_the_end(batch: int, accumulate: int, steps: int) -> None:
    h = knobs(stage2__epochs=1, stage2__batch_recordings=batch, stage2__accumulate=accumulate)
    (epoch,) = stage("stage2", task(h))  # fold 0 leaves five recordings: batches of 1, 1, 1 and 2, or 2 and 3
    taken = {int(value) for name, value in epoch.state.tensors.items() if name.endswith(".step")}
    assert taken == {steps}


def test_averaged_weights_are_the_running_mean_and_are_what_counts() -> None:
    h = knobs(stage3__epochs=3, stage3__batch_recordings=9, stage3__ema_decay=0.75)
    epochs = list(stage("stage3", task(h)))
    name = "backbone.layer3.0.conv1.weight"
    average = epochs[0].state.tensors[f"0.net.{name}"]
    for epoch in epochs[1:]:
        average = 0.75 * average + 0.25 * epoch.state.tensors[f"0.net.{name}"]
    torch.testing.assert_close(epochs[-1].state.tensors[f"0.average.{name}"], average)
    assert torch.equal(epochs[-1].state.weights(0)[name], epochs[-1].state.tensors[f"0.average.{name}"])
    plain = list(stage("stage3", task(knobs(stage3__epochs=3, stage3__batch_recordings=9))))
    assert torch.equal(plain[-1].state.tensors[f"0.net.{name}"], epochs[-1].state.tensors[f"0.net.{name}"])


def test_a_pseudo_label_counts_by_its_weight_and_by_the_rule_of_the_teachers() -> None:
    """Two teachers say 0.8 and 0.4 of everything: a mean of 0.6, one vote of two."""
    shape = CORPUS.windows.positive.shape
    lessons = Lessons(np.stack([np.full(shape, 0.8, np.float32), np.full(shape, 0.4, np.float32)]))
    known = (CORPUS.windows.positive > 0) | (CORPUS.windows.negative > 0)
    cases: list[tuple[dict[str, Any], float]] = [
        ({"pseudo_rule": "mean", "pseudo_threshold": 0.5, "pseudo_weight": 0.5}, 0.5),
        ({"pseudo_rule": "mean", "pseudo_threshold": 0.7, "pseudo_weight": 0.5}, 0.0),
        ({"pseudo_rule": "votes", "pseudo_threshold": 0.7, "votes": 0.5, "pseudo_weight": 0.25}, 0.25),
        ({"pseudo_rule": "votes", "pseudo_threshold": 0.7, "votes": 0.6}, 0.0),
        ({"pseudo_rule": "votes", "pseudo_threshold": 0.3, "votes": 1.0}, 1.0),
    ]
    for changed, weight in cases:
        h = knobs(**{f"stage3__{name}": value for name, value in changed.items()})
        labels = taught(CORPUS.windows, lessons, h.stage3)
        assert (labels.positive[~known] == np.float32(weight)).all(), changed
        np.testing.assert_array_equal(labels.positive[known], CORPUS.windows.positive[known])
        np.testing.assert_array_equal(labels.negative, CORPUS.windows.negative)


def test_every_cycle_draws_anew() -> None:
    h = knobs(stage3__epochs=1)
    first, second = (weights("stage3", h, cycle=cycle) for cycle in (1, 2))
    assert same(first, after_one("stage3"))
    assert not same(first, second)
    (epoch,) = stage("stage3", task(h, cycle=2))
    assert (epoch.cycle, epoch.state.facts["cycle"]) == (2, 2)


# Held-out folds


def whole_recipe(corpus: Corpus) -> dict[str, dict[str, Tensor]]:
    """Stage 1, two teachers and stage 3 of fold 0 and 1 abreast; all weights by stage and fold."""
    h = knobs(stage3__pseudo_threshold=0.4, stage3__votes=0.5, stage1__epochs=1, stage2__epochs=1, stage3__epochs=1)
    found: dict[str, dict[str, Tensor]] = {}

    def last(name: StageName, told: Task) -> Epoch:
        epoch = list(stage(name, replace(told, measured=True)))[-1]
        found.update({f"{name} {told.seed} {fold}": epoch.state.weights(fold) for fold in (0, 1)})
        return epoch

    first = last("stage1", task(h, (0, 1), corpus, starts=(None, None), lessons=()))
    starts = tuple(first.state.weights(fold) for fold in (0, 1))
    heard_by = [
        last("stage2", task(h, (0, 1), corpus, starts=starts, lessons=(), seed=seed)).outputs["probabilities"]
        for seed in (4, 5)
    ]
    lessons = []
    for fold in (0, 1):
        heard = np.stack([both[fold] for both in heard_by])
        heard[:, corpus.folds[corpus.windows.recording] == fold] = np.nan
        lessons.append(Lessons(heard))
    last("stage3", task(h, (0, 1), corpus, starts=starts, lessons=tuple(lessons)))
    return found


def test_nothing_of_a_held_out_fold_reaches_its_models_in_any_stage() -> None:
    plain = whole_recipe(CORPUS)
    marked = whole_recipe(planted(CORPUS, CORPUS.folds == 0, knobs()))
    assert len(plain) == 8
    for name in plain:
        assert same(plain[name], marked[name]) == name.endswith(" 0"), name


def test_a_model_that_holds_two_folds_out_sees_neither() -> None:
    corpus = make_corpus(Size(recordings=9, folds=3))
    plain = task(knobs(stage1__epochs=1), corpus=corpus, held_out=((0, 1), (1, 2)), starts=(None, None), lessons=())
    marked = replace(plain, corpus=planted(corpus, corpus.folds < 1, knobs()))
    ends = [list(stage("stage1", one))[-1].state for one in (plain, marked)]
    assert same(ends[0].weights(0), ends[1].weights(0))
    assert not same(ends[0].weights(1), ends[1].weights(1))
    marked = replace(plain, corpus=planted(corpus, corpus.folds == 1, knobs()))
    (last,) = list(stage("stage1", marked))
    assert all(same(ends[0].weights(place), last.state.weights(place)) for place in (0, 1))


def test_pseudo_labels_of_the_held_out_fold_are_nobody_s() -> None:
    pseudo = pseudo_positives(Lessons(teachers(CORPUS, 0)), threshold=0.0, votes=0.5)
    assert not pseudo[CORPUS.folds[CORPUS.windows.recording] == 0].any()


def test_teachers_say_what_their_network_hears() -> None:
    h = knobs(stage2__epochs=2)
    first, last = stage("stage2", task(h, (0, 1)))
    assert "probabilities" not in first.outputs
    for place in (0, 1):
        net = network.build(h.network, 3, seed=0)
        net.load_state_dict(last.state.weights(place))
        windows = CORPUS.windows
        heard = predict.clipwise(net, CORPUS.sounds, Grid(windows.recording, windows.start, 64), CPU)
        np.testing.assert_allclose(last.outputs["probabilities"][place], heard, atol=1e-6)
        again = said(last.state.weights(place), h, CORPUS, CPU)
        np.testing.assert_allclose(again, heard, atol=1e-6)


def test_every_recording_is_measured_by_the_model_that_did_not_see_it() -> None:
    h = knobs(stage3__epochs=1, stage3__ema_decay=0.5)
    (epoch,) = stage("stage3", task(h, (0, 1), measured=True))
    assert epoch.outputs["folds"].tolist() == CORPUS.folds.tolist()
    for fold in (0, 1):
        net = network.build(h.network, 3, seed=0)
        net.load_state_dict(epoch.state.weights(fold))
        held_out = np.flatnonzero(CORPUS.folds == fold)
        windows = predict.ruler_grid(CORPUS.frames, held_out, h.ruler, FRAMES_PER_S)
        said = predict.framewise(net, CORPUS.sounds, windows, CPU)
        scores = predict.recording_scores(said, windows, 10)[held_out]
        np.testing.assert_allclose(epoch.outputs["recording_scores"][held_out], scores, atol=1e-6)
        mine = CORPUS.folds[CORPUS.boxes.recording] == fold
        boxes = predict.box_scores(said, windows, CORPUS.boxes, 20.0)
        np.testing.assert_allclose(epoch.outputs["box_scores"][mine], boxes[mine], atol=1e-6)
    outputs = OutOfFold(*(epoch.outputs[name] for name in ("recording_scores", "box_scores", "folds")))
    measured = measure(CORPUS.listed, outputs)
    ruler = [name for name in measured if not name.startswith("diary")]
    assert {name: epoch.metrics[name] for name in ruler} == {name: measured[name] for name in ruler}


@pytest.mark.parametrize(("every", "measured"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (3, [3, 5]), (9, [5])])
def test_only_every_so_many_epochs_and_the_last_are_measured(every: int, measured: list[int]) -> None:
    h = knobs(stage2__epochs=5, ruler__every_epochs=every)
    epochs = list(stage("stage2", task(h, (0, 1), measured=True)))
    assert [epoch.epoch for epoch in epochs if epoch.metrics] == measured
    assert [epoch.epoch for epoch in epochs if "recording_scores" in epoch.outputs] == measured
    assert [epoch.epoch for epoch in epochs if "probabilities" in epoch.outputs] == [5]


def test_measuring_less_often_trains_and_scores_no_differently() -> None:
    often, seldom = (
        list(stage("stage3", task(knobs(stage3__epochs=3, ruler__every_epochs=every), (0, 1), measured=True)))
        for every in (1, 3)
    )
    assert same(dict(often[-1].state.tensors), dict(seldom[-1].state.tensors))
    assert often[-1].metrics == seldom[-1].metrics
    assert not any(epoch.metrics for epoch in list(stage("stage3", task(knobs(stage3__epochs=1), (0, 1)))))


def test_pseudo_labels_move_no_score_but_the_diary_s() -> None:
    told = []
    for hears in (True, False):
        lessons = tuple(Lessons(teachers(CORPUS, fold) * hears) for fold in (0, 1))
        h = knobs(stage3__epochs=1, stage3__learning_rate=1e-30, stage3__pseudo_threshold=0.4)
        (epoch,) = stage("stage3", task(h, (0, 1), measured=True, lessons=lessons))
        told.append(epoch.metrics)
    changed = {name for name in told[0] if told[0][name] != told[1][name]}
    assert changed
    assert changed <= {"diary_lwlrap", "diary_precision"}


def test_nothing_held_out_trains_on_every_recording() -> None:
    h = knobs(stage2__epochs=1, stage2__batch_recordings=1)
    (all_of_them,) = stage("stage2", task(h, (-1,)))
    taken = {int(value) for name, value in all_of_them.state.tensors.items() if name.endswith(".step")}
    assert taken == {9}  # ten recordings, of which the last two share a batch
    assert not np.isnan(all_of_them.outputs["probabilities"]).any()


# Going on


def copied(state: State) -> State:
    """A state as a store gives it back: plain tensors and JSON."""
    return State({name: value.clone() for name, value in state.tensors.items()}, json.loads(json.dumps(state.facts)))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_goes_on_from_any_epoch_ends_as_the_unbroken_one_to_the_bit(name: StageName) -> None:
    chosen = {
        f"{name}__epochs": 3,
        f"{name}__mixup_site": "stage3",
        "network__dropout": 0.2,
        "stage3__ema_decay": 0.6,
    }
    told = task(knobs(**chosen), (0, 1), measured=True)
    unbroken = list(stage(name, told))
    assert [epoch.epoch for epoch in unbroken] == [1, 2, 3]
    for done in (1, 2, 3):
        rest = list(stage(name, told, copied(unbroken[done - 1].state)))
        assert len(rest) == 3 - done
        for first, again in zip(unbroken[done:], rest, strict=True):
            assert same(dict(first.state.tensors), dict(again.state.tensors))
            assert (first.epoch, first.train_loss, first.metrics) == (again.epoch, again.train_loss, again.metrics)
            assert first.outputs.keys() == again.outputs.keys()
            for output in first.outputs:
                np.testing.assert_array_equal(first.outputs[output], again.outputs[output])


@pytest.mark.parametrize("name", STAGES)
def test_folds_abreast_end_as_folds_one_by_one(name: StageName) -> None:
    h = knobs()
    abreast = list(stage(name, task(h, (0, 1))))[-1]
    for place, fold in enumerate((0, 1)):
        alone = list(stage(name, task(h, (fold,))))[-1]
        assert same(abreast.state.weights(place), alone.state.weights(0))
    assert not same(abreast.state.weights(0), abreast.state.weights(1))


def test_global_draws_do_not_matter_and_seeds_do() -> None:
    h = knobs(stage3__epochs=1, network__dropout=0.2)
    torch.manual_seed(0)
    first = weights("stage3", h)
    torch.manual_seed(1)
    assert same(weights("stage3", h), first)
    assert not same(weights("stage3", h, seed=4), first)


def test_a_finished_state_keeps_the_weights_and_nothing_for_training() -> None:
    state = list(stage("stage3", task(knobs(stage3__epochs=1, stage3__ema_decay=0.5))))[-1].state
    assert same(state.finished().weights(0), state.weights(0))
    assert not any("adam" in name for name in state.finished().tensors)
    assert any("adam" in name for name in state.tensors)
    with pytest.raises(KeyError, match="no model 1"):
        state.weights(1)


def test_a_stage_without_epochs_yields_nothing() -> None:
    assert list(stage("stage1", task(knobs(stage1__epochs=0)))) == []


def test_a_tiny_network_learns_the_tiny_corpus() -> None:
    h = knobs(stage1__epochs=12, stage1__learning_rate=3e-3, stage1__cosine_epochs=12, **STILL)
    losses = [epoch.train_loss for epoch in stage("stage1", task(h))]
    assert losses[-1] < 0.6 * losses[0]
