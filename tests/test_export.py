from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_scores import leave_scores
from made_study import STUDY, ended, epoch, make_study, started, write

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import build, flatten
from rfcx_model.metrics import OutOfFold, balanced_precision
from study.bundle import CONFIG, Bundle, load_bundle, to_json
from study.export import export
from study.floor import of_trial
from study.recording_intervals import of_figure, weights
from study.scored import Ruler, out_of_fold, read_ruler
from study.trials import read_trials

SITE = "stage3.mixup_site"


def _study(folder: Path, *ends: tuple[str, float | None]) -> Path:
    events: list[dict[str, Any]] = []
    for number, (state, score) in enumerate(ends):
        params = {SITE: "stage4" if number else "input", "stage3.focal_gamma": 0.1 + number}
        events += [started(number, 1.0 * number, params, "search" if number else "baseline")]
        events += [epoch(number, 1, number + 0.1, {"lwlrap": score, "precision": 0.3, "score": score})]
        events += [ended(number, number + 0.2, state, score)]
    write(folder, STUDY, events)
    return folder


def _leak(study: Path, trial: int, **params: Any) -> None:
    """Have a trial's teachers been trained on its held-out folds."""
    path = study / "trials.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        if event["trial"] == trial and event["event"] == "started":
            event["config"] |= {"stage3.teacher_scheme": "diary", **params}
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def _change(folder: Path, **facts: Any) -> None:
    path = folder / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_the_best_finished_trial_is_exported_and_loads_back_into_its_hyperparameters(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    loaded = load_bundle(export(study, tmp_path / "bundle"))
    trials = [trial for trial in read_trials(study / "trials.jsonl") if trial.state == "COMPLETE"]
    best = max(trials, key=lambda trial: trial.score or 0.0)
    assert (loaded.trial, loaded.score, loaded.metrics) == (best.number, best.score, dict(best.metrics))
    assert flatten(loaded.hyperparameters) == dict(best.config)
    assert (loaded.folds, loaded.seed, loaded.replicate) == (3, 7, 0)
    assert (loaded.data_fingerprint, loaded.folds_hash) == (STUDY["data"]["fingerprint"], STUDY["folds_hash"])
    assert (loaded.study, loaded.commit, loaded.versions) == ("mixup", STUDY["commit"], STUDY["versions"])


def test_of_settings_in_several_replicates_the_mean_decides_and_not_the_luckiest(tmp_path: Path) -> None:
    scores = {0: {0: 0.60, 1: 0.62, 2: 0.61}, 1: {0: 0.50, 1: 0.90, 2: 0.30}, 2: {0: 0.99}}
    events: list[dict[str, Any]] = []
    for arm, replicates in scores.items():
        for replicate, score in replicates.items():
            number = 3 * arm + replicate
            begin = started(number, 1.0 * number, {"stage3.focal_gamma": 0.5 + arm}, "search" if number else "baseline")
            events += [begin | {"replicate": replicate}]
            events += [epoch(number, 1, number + 0.1, {"lwlrap": score, "precision": 0.3, "score": score})]
            events += [ended(number, number + 0.2, "COMPLETE", score)]
    write(tmp_path / "study", {**STUDY, "folds_hashes": ["aa", "bb", "cc"]}, events)
    loaded = load_bundle(export(tmp_path / "study", tmp_path / "bundle"))
    assert (loaded.trial, loaded.folds_hash) == (0, "aa")
    assert "the highest mean score over 3 replicates" in (tmp_path / "bundle" / "card.md").read_text()
    assert load_bundle(export(tmp_path / "study", tmp_path / "asked", trial=4)).folds_hash == "bb"


def test_a_pruned_trial_is_never_exported_however_high_its_score(tmp_path: Path) -> None:
    study = _study(tmp_path / "study", ("COMPLETE", 0.5), ("PRUNED", 0.9), ("STOPPED", 0.8), ("COMPLETE", 0.4))
    assert load_bundle(export(study, tmp_path / "bundle")).trial == 0


def test_the_card_says_how_it_was_chosen_what_differs_and_what_comes_next(tmp_path: Path) -> None:
    study = _study(tmp_path / "study", ("COMPLETE", 0.5), ("COMPLETE", 0.75), ("FAILED", None))
    card = (export(study, tmp_path / "bundle") / "card.md").read_text()
    assert "Chosen: the highest score, out of 2 finished trials of 3." in card
    assert "Confirmed: no." in card
    assert "| stage3.mixup_site | stage4 | input |" in card
    assert "| score | 0.7500 |  | 0.5000 |  |" in card
    assert "Intervals: none, the trial's out-of-fold scores are not on file." in card
    assert "Difference of the score: +0.2500." in card
    bundle = tmp_path / "bundle"
    assert f"rfcx-study train {bundle} --data DATA --to {bundle}-model\n" in card
    assert f"rfcx-study predict {bundle}-model --data DATA --to {bundle}-submission.csv\n" in card
    for fact in (STUDY["data"]["fingerprint"], STUDY["folds_hash"], STUDY["commit"], "torch 2.15.0", "Seed: 7"):
        assert fact in card


def test_the_card_has_intervals_over_recordings_where_the_scores_are_on_file(tmp_path: Path) -> None:
    study = _study(tmp_path / "study", ("COMPLETE", 0.5), ("COMPLETE", 0.75))
    leave_scores(study, {0: 1.0, 1: 1.5})
    card = (export(study, tmp_path / "bundle") / "card.md").read_text()
    assert "Intervals: the middle 95 % of 1000 draws of the recordings" in card
    ruler, trial = read_ruler(study), read_trials(study / "trials.jsonl")[1]
    said = out_of_fold(study, trial)
    assert said is not None
    told = of_figure("precision", ruler.listed, said, weights(ruler.listed, said, ruler.groups))
    assert told.value == pytest.approx(balanced_precision_of(ruler, said))
    assert told.value is not None
    assert told.low is not None
    assert told.high is not None
    assert told.low < told.value < told.high
    assert f"| precision | 0.3000 | {told.low:.4f} to {told.high:.4f} | 0.3000 | " in card
    floor = of_trial(study, trial, read_trials(study / "trials.jsonl"))
    assert floor is not None
    assert f"\n{floor.sentence('This trial')}\n" in card
    assert not re.search(r"^\| (train_loss|seconds) ", card, re.MULTILINE)


def balanced_precision_of(ruler: Ruler, said: OutOfFold) -> float:
    return balanced_precision(ruler.listed.positive, said.box_scores, ruler.listed.species)[0]


def test_scores_of_other_data_give_no_interval(tmp_path: Path) -> None:
    study = _study(tmp_path / "study", ("COMPLETE", 0.5), ("COMPLETE", 0.75))
    leave_scores(study, {0: 1.0, 1: 1.5})
    np.savez(study / "trials" / "0001" / "scores.npz", recording_scores=[[0.5]], box_scores=[0.5], folds=[0])
    assert "Intervals: none" in (export(study, tmp_path / "bundle") / "card.md").read_text()


def test_a_trial_can_be_asked_for_by_number(tmp_path: Path) -> None:
    study = _study(tmp_path / "study", ("COMPLETE", 0.5), ("COMPLETE", 0.75), ("PRUNED", 0.9))
    assert load_bundle(export(study, tmp_path / "bundle", trial=0)).trial == 0
    with pytest.raises(InputError, match=r"trial 2 must be COMPLETE with a score, but it is PRUNED.*Finished: 0, 1\."):
        export(study, tmp_path / "other", trial=2)
    with pytest.raises(InputError, match="there is none of this number"):
        export(study, tmp_path / "other", trial=9)


@pytest.mark.parametrize("ends", [[], [("PRUNED", 0.9), ("FAILED", None)], [("COMPLETE", None)]])
def test_a_study_without_a_finished_trial_is_refused_and_leaves_nothing(tmp_path: Path, ends: list[Any]) -> None:
    study = _study(tmp_path / "study", *ends)
    with pytest.raises(InputError, match=r"a finished \(COMPLETE\) trial is needed"):
        export(study, tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_a_leaky_trial_is_neither_chosen_nor_given_nor_compared_with(tmp_path: Path) -> None:
    study = _study(tmp_path / "study", ("COMPLETE", 0.9), ("COMPLETE", 0.5), ("COMPLETE", 0.4))
    _leak(study, 0)
    bundle = export(study, tmp_path / "bundle")
    assert load_bundle(bundle).trial == 1
    card = (bundle / "card.md").read_text()
    assert "out of 2 finished trials of 3." in card
    assert "The baseline has no finished trial to compare with" in card
    assert "0.9000" not in card
    with pytest.raises(InputError, match=r"trial 0 must not be leaky, but got .*diary.* Finished: 1, 2\."):
        export(study, tmp_path / "other", trial=0)
    _leak(study, 1)
    _leak(study, 2)
    with pytest.raises(InputError, match=r"got 3 trials \(COMPLETE\), of which 3 leaky .* are never exported"):
        export(study, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "study"]


def test_a_diary_scheme_that_teaches_nobody_does_not_leak(tmp_path: Path) -> None:
    study = _study(tmp_path / "study", ("COMPLETE", 0.5))
    _leak(study, 0, **{"stage3.pseudo_threshold": 1.0})
    assert load_bundle(export(study, tmp_path / "bundle")).trial == 0


def test_an_existing_target_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    study = _study(tmp_path / "study", ("COMPLETE", 0.5))
    target = tmp_path / "bundle"
    target.mkdir()
    with pytest.raises(InputError, match="exists already"):
        export(study, target)
    assert list(target.iterdir()) == []


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    study = _study(tmp_path / "study", ("COMPLETE", 0.5))
    (study / "study.json").write_text('{"name": "\\ud800"}')  # JSON can hold half a character, the card cannot
    with pytest.raises(UnicodeEncodeError):
        export(study, tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_a_study_json_with_only_a_name_is_exported_too(tmp_path: Path) -> None:
    study = _study(tmp_path / "study", ("COMPLETE", 0.5))
    (study / "study.json").write_text('{"name": "bare"}')
    loaded = load_bundle(export(study, tmp_path / "bundle"))
    assert (loaded.study, loaded.folds, loaded.commit, loaded.versions) == ("bare", None, None, {})


def test_a_bundle_of_another_format_is_refused_with_a_reason(tmp_path: Path) -> None:
    folder = export(_study(tmp_path / "study", ("COMPLETE", 0.5)), tmp_path / "bundle")
    _change(folder, format=2)
    with pytest.raises(InputError, match=r"reads bundles of format 1, but got format=2\. Export the study again"):
        load_bundle(folder)


def test_unknown_missing_and_impossible_knobs_are_named(tmp_path: Path) -> None:
    folder = export(_study(tmp_path / "study", ("COMPLETE", 0.5)), tmp_path / "bundle")
    values = json.loads((folder / CONFIG).read_text())["hyperparameters"]
    _change(folder, hyperparameters={**values, "stage3.focal_gama": 1.0})
    with pytest.raises(InputError, match=r"`stage3\.focal_gama` is not a knob.*Did you mean `stage3\.focal_gamma`"):
        load_bundle(folder)
    _change(folder, hyperparameters={k: v for k, v in values.items() if k != SITE})
    with pytest.raises(InputError, match=r"but stage3\.mixup_site is not"):
        load_bundle(folder)
    _change(folder, hyperparameters={**values, "stage3.focal_gamma": -1})
    with pytest.raises(InputError, match=r"`stage3\.focal_gamma`: .*but got -1"):
        load_bundle(folder)
    _change(folder, hyperparameters=values, seed="seven")
    with pytest.raises(InputError, match="`seed`: "):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "must be JSON"), ("[]", "must be a JSON object"), ("{}", "format=None")]
)
def test_a_config_that_is_not_a_bundle_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(InputError, match=words):
        load_bundle(tmp_path)
    with pytest.raises(InputError, match="not a bundle"):
        load_bundle(tmp_path / "nothing")


positive = st.floats(1e-9, 1e3, allow_nan=False)


@given(alpha=positive, gamma=st.floats(0, 100), score=st.floats(-10, 10), seed=st.integers(0, 2**63))
@settings(max_examples=40, deadline=None)
def test_a_bundle_loads_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, alpha: float, gamma: float, score: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    knobs = build({"stage3.mixup_alpha": alpha, "stage3.focal_gamma": gamma, "stage1.jitter_frames": [0, 7]})
    made = Bundle(knobs, 5, seed, 0, "ab", None, "s", 3, None, score, {"lwlrap": None}, {"torch": "2"}, None)
    (folder / CONFIG).write_text(to_json(made))
    assert load_bundle(folder) == made
