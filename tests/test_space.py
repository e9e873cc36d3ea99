"""Space files: what they mean, and one clear message for each thing that can be wrong in them."""

from __future__ import annotations

import copy
import json
import pickle
import re
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import flatten, knobs
from study.knob import Knob
from study.machine import parse_settings
from study.space import Study, differs, distribution, load, short_name, suggest

SPACES = Path(__file__).parent.parent / "search_spaces"
GRID = '[search]\nsampler = "grid"\nscheduler = "none"\n'
AT_INPUT = '[[arm]]\nregime = "plain"\nstage3.mixup_site = "input"\n'
AT_LAST = '[[arm]]\nregime = "plain"\nstage3.mixup_site = "stage4"\n'
NO_PSEUDO = '"stage3.pseudo_threshold" = { choices = [0.5, 0.9, 1.0] }\n'
SITE = '[scientific]\n"stage3.mixup_site" = { choices = ["none", "input", "stage4"] }\n'
ALPHA = '[nuisance]\n"stage3.mixup_alpha" = { low = 0.05, high = 2.0, log = true, when = { "stage3.mixup_site" = ["input", "stage4"] } }\n'


def space(folder: Path, text: str, overrides: dict[str, Any] | None = None) -> Study:
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, overrides)


def drawn(study: Study, count: int, seed: int = 0) -> list[dict[str, Any]]:
    asked = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [suggest(study, asked.ask()) for _ in range(count)]


@pytest.mark.parametrize("name", ["smoke", "mixup", "wide", "diary"])
def test_the_spaces_that_ship_are_sound(name: str) -> None:
    study = load(SPACES / f"{name}.toml")
    assert study.question
    assert study.name == name
    for params in [dict(study.baseline), *study.tries, *(study.grid() if study.arms else drawn(study, 30))]:
        config = study.config(params)
        assert list(config) == list(knobs())
        assert study.params_of(json.loads(json.dumps(config))) == params
        assert study.planned_epochs(params) >= study.search.grace


def test_the_mission_starts_from_the_diarys_settings() -> None:
    study = load(SPACES / "mixup.toml")
    assert study.baseline == {
        "stage3.mixup_site": "input",
        "stage3.mixup_alpha": 0.1,
        "stage3.pseudo_threshold": 0.9,
        "stage3.focal_gamma": 2.0,
    }
    assert (study.budget.trials, study.search.folds, study.first_stage, study.planned_epochs({})) == (
        50,
        5,
        "stage3",
        5,
    )
    assert study.question.startswith("At which depth")
    assert study.question.endswith("?")


def test_a_gpu_run_of_the_mission_needs_no_other_file() -> None:
    study = load(
        SPACES / "mixup.toml", {"network.backbone": "resnet18", "network.pretrained": "hub", "search.folds": 3}
    )
    assert study.hyperparameters(study.baseline).network.backbone == "resnet18"
    assert study.search.folds == 3


def test_domains_become_optunas_distributions(tmp_path: Path) -> None:
    text = (
        '[nuisance]\n"stage3.learning_rate" = { low = 1e-4, high = 1e-2, log = true }\n'
        '"stage3.epochs" = { low = 2, high = 8, step = 2 }\n"stage3.batch_recordings" = { low = 4, high = 64, log = true }\n'
        '"stage3.focal_gamma" = { low = 0, high = 4, step = 0.5 }\n"stage3.positive_weight_decay" = { choices = [false, true] }\n'
        "[baseline]\nstage3.epochs = 4\n"
    )
    study = space(tmp_path, text)
    assert [distribution(knob) for knob in study.knobs] == [
        optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True),
        optuna.distributions.IntDistribution(2, 8, step=2),
        optuna.distributions.IntDistribution(4, 64, log=True),
        optuna.distributions.FloatDistribution(0.0, 4.0, step=0.5),
        optuna.distributions.CategoricalDistribution([False, True]),
    ]
    for params in drawn(study, 40):
        for knob in study.knobs:
            assert knob.contains(params[knob.name])
            assert type(params[knob.name]) is type(knobs()[knob.name])


def test_a_knob_is_asked_for_only_where_its_when_holds(tmp_path: Path) -> None:
    study = space(tmp_path, ALPHA + SITE)
    assert study.searched() == ("stage3.mixup_site", "stage3.mixup_alpha")
    points = drawn(study, 40)
    assert {point["stage3.mixup_site"] for point in points} == {"none", "input", "stage4"}
    for point in points:
        assert ("stage3.mixup_alpha" in point) == (point["stage3.mixup_site"] != "none")
        assert study.config(point)["stage3.mixup_alpha"] == point.get("stage3.mixup_alpha", 0.1)


def test_a_condition_on_a_knob_that_is_not_asked_for_does_not_hold(tmp_path: Path) -> None:
    chain = '"stage3.label_rule" = { choices = ["diary", "union"], when = { "stage3.mixup_site" = "input" } }\n'
    last = '"stage3.focal_gamma" = { low = 0.0, high = 1.0, when = { "stage3.label_rule" = ["diary"] } }\n'
    study = space(tmp_path, SITE + chain + last + '[baseline]\n"stage3.focal_gamma" = 0.5\n')
    for point in drawn(study, 40):
        assert ("stage3.focal_gamma" in point) == (point.get("stage3.label_rule") == "diary")


def test_a_bare_value_is_fixed_wherever_it_stands_and_quotes_do_not_matter(tmp_path: Path) -> None:
    study = space(tmp_path, SITE + '[nuisance]\nstage3.epochs = 3\n[fixed]\nstage1.epochs = 7\n"stage2.epochs" = 2\n')
    assert study.fixed == {"stage3.epochs": 3, "stage1.epochs": 7, "stage2.epochs": 2}


def test_the_baseline_is_what_is_said_else_the_default(tmp_path: Path) -> None:
    assert space(tmp_path, SITE + ALPHA).baseline == {"stage3.mixup_site": "input", "stage3.mixup_alpha": 0.1}
    said = space(tmp_path, SITE + ALPHA + '[baseline]\n"stage3.mixup_site" = "none"\n')
    assert said.baseline == {"stage3.mixup_site": "none"}


def test_points_to_try_are_filled_up_from_the_baseline(tmp_path: Path) -> None:
    text = (
        SITE
        + ALPHA
        + '[baseline]\n"stage3.mixup_alpha" = 0.3\n[[try]]\n"stage3.mixup_site" = "stage4"\n[[try]]\n"stage3.mixup_site" = "none"\n'
    )
    assert space(tmp_path, text).tries == (
        {"stage3.mixup_site": "stage4", "stage3.mixup_alpha": 0.3},
        {"stage3.mixup_site": "none"},
    )


def test_the_signature_is_that_of_the_question_and_the_data(tmp_path: Path) -> None:
    one = space(tmp_path, SITE)
    other = tmp_path / "other"
    other.mkdir()
    same = space(
        other, "# QUESTION another wording\n# ANSWER none\n" + SITE + "[budget]\ntrials = 9\n[resources]\ncpus = 1\n"
    )
    assert one.signature("d") == same.signature("d")
    assert one.signature("d") != one.signature("e")
    for change in ("[search]\nseed = 1\n", "[objective]\nlwlrap = 0.6\n", '[fixed]\n"stage1.epochs" = 3\n', ALPHA):
        assert space(tmp_path, SITE + change).signature("d") != one.signature("d")
    assert space(tmp_path, SITE + '[fixed]\n"stage1.epochs" = 50\n').signature("d") == one.signature("d")


def test_a_study_is_plain_data(tmp_path: Path) -> None:
    study = space(tmp_path, SITE + ALPHA)
    assert pickle.dumps(study)
    assert copy.deepcopy(study) == study
    facts = json.loads(json.dumps(study.resolved()))
    assert facts["nuisance"]["stage3.mixup_alpha"]["when"] == {"stage3.mixup_site": ["input", "stage4"]}
    assert facts["fixed"]["stage1.epochs"] == 50


def test_a_trial_is_shown_by_its_searched_knobs(tmp_path: Path) -> None:
    study = load(SPACES / "mixup.toml")
    assert differs(study, study.baseline) == "site=input alpha=0.1 threshold=0.9 gamma=2"
    both = '"stage3.weight_decay" = { low = 0.0, high = 1.0 }\n"stage3.positive_weight_decay" = { choices = [true, false] }\n'
    wide = space(tmp_path, SITE + both + '"network.pretrained" = { choices = ["hub", "a b/../c"] }\n')
    assert short_name(wide, "stage3.weight_decay") == "stage3.weight_decay"
    assert short_name(wide, "stage3.positive_weight_decay") == "positive_weight_decay"
    assert (
        differs(wide, {"network.pretrained": "a b/../c", "stage3.positive_weight_decay": True})
        == "pretrained=a-b-..-c positive_weight_decay=true"
    )
    long = load(SPACES / "wide.toml")
    assert len(differs(long, long.baseline)) <= 160


def test_the_first_stage_is_the_first_that_a_searched_knob_changes(tmp_path: Path) -> None:
    assert space(tmp_path, SITE).first_stage == "stage3"
    rate = '"stage2.learning_rate" = { low = 1e-4, high = 1e-3 }\n'
    assert space(tmp_path, SITE + rate).first_stage == "stage2"
    assert space(tmp_path, SITE + rate).planned_epochs({}) == 5
    assert space(tmp_path, SITE + '"network.dropout" = { low = 0.0, high = 0.5 }\n').first_stage == "stage1"


def test_the_epoch_range_is_that_of_the_shortest_and_the_longest_trial(tmp_path: Path) -> None:
    assert space(tmp_path, SITE).epoch_range() == (5, 5)
    epochs = '"stage3.epochs" = { low = 3, high = 9 }\n"stage2.epochs" = { choices = [1, 5] }\n'
    assert space(tmp_path, SITE + epochs).epoch_range() == (3, 9)


def test_the_grid_is_every_combination_that_the_conditions_allow(tmp_path: Path) -> None:
    alpha = '"stage3.mixup_alpha" = { choices = [0.1, 1.0], when = { "stage3.mixup_site" = ["input", "stage4"] } }\n'
    study = space(tmp_path, SITE + alpha + '[search]\nsampler = "grid"\nscheduler = "none"\nreplicates = 3\n')
    points = list(study.grid())
    assert len(points) == 5 == len({json.dumps(point) for point in points})
    assert study.budget.trials == 15
    assert space(tmp_path, SITE + alpha + '[search]\nsampler = "grid"\n[budget]\ntrials = 4\n').budget.trials == 4


@settings(deadline=None)
@given(low=st.integers(-50, 50), count=st.integers(1, 30), step=st.sampled_from([0.1, 0.25, 0.5, 1.0, 3.0, 0.05]))
def test_every_value_of_a_stepped_domain_lies_in_it(low: int, count: int, step: float) -> None:
    knob = Knob("x", "nuisance", low=float(low), high=low + count * step, step=step)
    values = knob.values()
    assert len(values) == count + 1
    assert all(knob.contains(value) for value in values)
    assert not knob.contains(low + step / 2)


# ruff: noqa: E501 -- a table of a file and its message, one case a line
WRONG = {
    "an unknown knob": ('[nuisance]\n"stage3.focal_gama" = { low = 0, high = 1 }\n', "`focal_gama` is not a knob of stage 3. Did you mean `focal_gamma`?"),
    "an unknown group": ('[nuisance]\n"stag3.focal_gamma" = 1.0\n', "`stag3.focal_gamma` is not a knob; * Did you mean `stage3.focal_gamma`?"),
    "no group": ('[nuisance]\nfocal_gamma = 1.0\n', "`focal_gamma` is not a knob; * Did you mean `stage3.focal_gamma`?"),
    "swapped bounds": ('[nuisance]\n"stage3.mixup_alpha" = { low = 0.4, high = 0.1 }\n', "`stage3.mixup_alpha`: low < high must hold, but got low=0.4, high=0.1."),
    "equal bounds": ('[nuisance]\n"stage3.mixup_alpha" = { low = 0.4, high = 0.4 }\n', "low < high must hold"),
    "a bound below the limit": ('[nuisance]\n"stage3.mixup_alpha" = { low = 0, high = 1 }\n', "`stage3.mixup_alpha` must be greater than 0, but got low=0."),
    "a bound above the limit": ('[nuisance]\n"stage3.pseudo_threshold" = { low = 0.5, high = 1.5 }\n', "must be less than or equal to 1, but got high=1.5."),
    "a bound of the wrong type": ('[nuisance]\n"stage3.epochs" = { low = 1.5, high = 3 }\n', "`stage3.epochs` must be a whole number, but got low=1.5."),
    "a bound that is a string": ('[nuisance]\n"stage3.mixup_alpha" = { low = "0.1", high = 1 }\n', "must be a number, but got low='0.1'."),
    "a bound that is infinite": ('[nuisance]\n"stage3.mixup_alpha" = { low = 0.1, high = inf }\n', "must be a finite number, but got high=inf."),
    "a missing bound": ('[nuisance]\n"stage3.mixup_alpha" = { low = 0.1 }\n', "high is missing"),
    "a wrong choice": ('[scientific]\n"stage3.mixup_site" = { choices = ["input", "stage5"] }\n', "must be 'none', 'input', 'stage3' or 'stage4', but got choice='stage5'."),
    "a choice of the wrong type": ('[scientific]\n"stage3.epochs" = { choices = [1, true] }\n', "must be a whole number, but got choice=True."),
    "no choices": ('[scientific]\n"stage3.mixup_site" = { choices = [] }\n', "at least one value, but got []"),
    "a choice twice": ('[scientific]\n"stage3.mixup_site" = { choices = ["none", "none"] }\n', "choices must differ"),
    "choices and bounds": ('[scientific]\n"stage3.epochs" = { choices = [1], low = 2 }\n', "has both choices and low"),
    "bounds for words": ('[scientific]\n"stage3.mixup_site" = { low = 1, high = 2 }\n', "its domain is written choices"),
    "log from zero": ('[nuisance]\n"stage3.focal_gamma" = { low = 0.0, high = 4, log = true }\n', "with log = true, low > 0 must hold, but got low=0.0."),
    "log and step": ('[nuisance]\n"stage3.focal_gamma" = { low = 1, high = 4, log = true, step = 1 }\n', "has both log and step"),
    "log of another type": ('[nuisance]\n"stage3.focal_gamma" = { low = 1, high = 4, log = "yes" }\n', "log must be true or false"),
    "a step that does not fit": ('[nuisance]\n"stage3.focal_gamma" = { low = 0, high = 1, step = 0.3 }\n', "step must divide high - low"),
    "a step of nothing": ('[nuisance]\n"stage3.focal_gamma" = { low = 0, high = 1, step = 0 }\n', "step must be a number above 0"),
    "an unknown key of a domain": ('[nuisance]\n"stage3.focal_gamma" = { low = 0, hihg = 1 }\n', "`hihg` says nothing about a domain. Did you mean `high`?"),
    "the ruler searched": ('[nuisance]\n"ruler.hop_s" = { low = 1, high = 4 }\n', "belongs to the ruler"),
    "an array searched": ('[nuisance]\n"stage1.jitter_frames" = { choices = [[0], [1]] }\n', "it can be fixed, not searched"),
    "an unknown table": (SITE + "[serach]\nseed = 1\n", "[serach] is not a table of a space file. Did you mean `search`?"),
    "a value for a table": ("search = 3\n" + SITE, "`search` must be a table"),
    "an unknown setting": (SITE + "[search]\nsamplr = 'tpe'\n", "`samplr` is not a key of [search]. Did you mean `sampler`?"),
    "an unknown sampler": (SITE + "[search]\nsampler = 'tpee'\n", "[search] `sampler` must be 'tpe', *, but got sampler='tpee'."),
    "no trials": (SITE + "[budget]\ntrials = 0\n", "[budget] `trials` must be greater than or equal to 1, but got trials=0."),
    "no hours": (SITE + "[budget]\nhours = -1\n", "[budget] `hours` must be greater than 0"),
    "one fold": (SITE + "[search]\nfolds = 1\n", "`folds` must be greater than or equal to 2"),
    "a seed in quotes": (SITE + "[search]\nseed = '1'\n", "[search] `seed` must be a whole number, but got seed='1'."),
    "grace beyond the epochs": (SITE + "[search]\ngrace = 6\n", "grace <= the measured epochs of a trial must hold, but got grace=6, epochs=5"),
    "a factor of one": (SITE + "[search]\nfactor = 1\n", "`factor` must be greater than or equal to 2"),
    "replicates beside a scheduler": (
        SITE + '[search]\nsampler = "grid"\nreplicates = 2\n',
        "replicates=2 needs scheduler = 'none', but got 'asha'",
    ),
    "replicates without a grid": (SITE + "[search]\nreplicates = 2\n", "needs sampler = 'grid'"),
    "a grid over a range": (SITE + ALPHA + "[search]\nsampler = 'grid'\n", "`stage3.mixup_alpha` is continuous"),
    "the diary's ruler": (SITE + "[objective]\nprecision_form = 'diary_precision'\n", "move with the trial's pseudo-labels"),
    "no weight": (SITE + "[objective]\nlwlrap = 0\nprecision = 0\n", "lwlrap + precision > 0 must hold"),
    "fixed and searched": (SITE + '[fixed]\n"stage3.mixup_site" = "none"\n', "stands in [scientific] and in [fixed]"),
    "scientific and nuisance": (SITE + '[nuisance]\n"stage3.mixup_site" = { choices = ["none"] }\n', "stands in [nuisance] and in [scientific]"),
    "a table in fixed": (SITE + '[fixed]\n"stage3.epochs" = { low = 1, high = 2 }\n', "Move it to [scientific] or [nuisance]"),
    "a fixed value of the wrong type": (SITE + '[fixed]\n"stage3.epochs" = "5"\n', "`stage3.epochs` must be a whole number, but got epochs='5'."),
    "fixed values that contradict": (SITE + '[fixed]\n"frontend.f_max_hz" = 99000.0\n', "[fixed]: 0 <= f_min_hz < f_max_hz <= sample_rate_hz / 2 must hold"),
    "bounds that contradict each other": ('[nuisance]\n"frontend.f_min_hz" = { low = 0.0, high = 900.0 }\n"frontend.f_max_hz" = { low = 800.0, high = 16000.0 }\n', "`frontend.f_max_hz` (low=800.0): 0 <= f_min_hz < f_max_hz"),
    "nothing searched": ('[fixed]\n"stage3.epochs" = 5\n', "nothing is searched"),
    "an empty file": ("", "nothing is searched"),
    "a knob twice": (SITE + '[fixed]\n"stage1.epochs" = 1\n"stage1.epochs" = 2\n', "not valid TOML: *(at line 5, column"),
    "a knob twice, once quoted": (SITE + '[fixed]\n"stage1.epochs" = 1\nstage1.epochs = 2\n', "`stage1.epochs` stands twice in [fixed]"),
    "broken TOML": (SITE + "[search\n", "not valid TOML: *(at line 3, column 8)"),
    "when on an unknown knob": (SITE + '"stage3.focal_gamma" = { low = 0, high = 3, when = { "stage3.mixup_sit" = ["none"] } }\n', "`mixup_sit` is not a knob of stage 3"),
    "when on an unknown value": (SITE + '"stage3.focal_gamma" = { low = 0, high = 3, when = { "stage3.mixup_site" = ["stage3"] } }\n', "`stage3.focal_gamma` is asked for when `stage3.mixup_site` is 'stage3', which is not one of its values"),
    "when that never holds": (SITE + '"stage3.focal_gamma" = { low = 0, high = 3, when = { "network.pooling" = ["mean"] } }\n', "but that is fixed at 'attention'"),
    "when on a range": (SITE + ALPHA + '"stage3.focal_gamma" = { low = 0, high = 3, when = { "stage3.mixup_alpha" = [0.1] } }\n', "`stage3.mixup_alpha` is continuous"),
    "when without values": (SITE + '"stage3.focal_gamma" = { low = 0, high = 3, when = { "stage3.mixup_site" = [] } }\n', "has no value"),
    "when that is no table": (SITE + '"stage3.focal_gamma" = { low = 0, high = 3, when = "none" }\n', "when must be a table"),
    "when in a circle": ('[nuisance]\n"stage3.mixup_site" = { choices = ["none", "input"], when = { "stage3.label_rule" = ["convex"] } }\n"stage3.label_rule" = { choices = ["convex", "union"], when = { "stage3.mixup_site" = ["input"] } }\n', "go round in a circle"),
    "a baseline outside": (SITE + '[baseline]\n"stage3.mixup_site" = "stage3"\n', "[baseline] `stage3.mixup_site` is 'stage3', outside its domain"),
    "a default outside": ('[nuisance]\n"stage3.mixup_alpha" = { low = 0.5, high = 1.0 }\n', "[baseline] `stage3.mixup_alpha` would be its default, 0.1, outside its domain"),
    "a baseline that is not searched": (SITE + '[baseline]\n"stage3.epochs" = 3\n', "[baseline] `stage3.epochs` is not searched"),
    "a baseline that is not asked for": (SITE + ALPHA + '[baseline]\n"stage3.mixup_site" = "none"\n"stage3.mixup_alpha" = 0.1\n', "its when does not hold there"),
    "a point outside": (SITE + '[[try]]\n"stage3.mixup_site" = "stage3"\n', "[[try]] 1 `stage3.mixup_site` is 'stage3'"),
    "try as a table": (SITE + '[try]\n"stage3.mixup_site" = "none"\n', "must be written as [[try]]"),
    "alpha without mixup": ('[nuisance]\n"stage3.mixup_alpha" = { low = 0.1, high = 1.0 }\n[fixed]\n"stage3.mixup_site" = "none"\n', "does nothing while `stage3.mixup_site` is 'none'"),
    "a threshold without stage 2": ('[nuisance]\n"stage3.pseudo_threshold" = { low = 0.3, high = 0.9 }\n[fixed]\n"stage2.epochs" = 0\n', "does nothing while `stage2.epochs` is 0"),
    "pseudo-labels without stage 2": (SITE + "[fixed]\nstage2.epochs = 0\n", "[fixed]: stage3.pseudo_threshold < 1 needs teachers, which stage 2 trains, but got stage3.pseudo_threshold=0.9, stage2.epochs=0; * set stage3.pseudo_threshold = 1."),
    "no stage at all": (SITE + "[fixed]\nstage1.epochs = 0\nstage2.epochs = 0\nstage3.epochs = 0\n", "one of stage1.epochs, stage2.epochs and stage3.epochs > 0 must hold, but all are 0."),
    "a search without its stage": (SITE + "[fixed]\nstage3.epochs = 0\n", "`stage3.mixup_site` is searched, but does nothing while `stage3.epochs` is 0. Remove it, or change"),
    "a site that no backbone has": (SITE + '[fixed]\nstage1.mixup_site = "stage9"\n', "`stage1.mixup_site` must be 'none', 'input', 'stage3' or 'stage4', but got mixup_site='stage9'."),
    "alpha fixed at no site": (SITE + "[fixed]\nstage1.mixup_alpha = 0.3\n", "[fixed]: `stage1.mixup_alpha` does nothing while `stage1.mixup_site` is 'none'. Remove it"),
    "jitter without event crops": (SITE + '[fixed]\nstage1.crop = "random"\nstage1.jitter_frames = [0, 8]\n', "`stage1.jitter_frames` does nothing while `stage1.crop` is 'random'"),
    "votes of a mean": (SITE + '[fixed]\nstage3.pseudo_rule = "mean"\nstage3.votes = 0.5\n', "`stage3.votes` does nothing while `stage3.pseudo_rule` is 'mean'"),
    "masks of no width": (SITE + "[fixed]\naugment.mask_probability = 0.0\naugment.mel_mask_mels = 9\n", "`augment.mel_mask_mels` does nothing while `augment.mask_probability` is 0.0"),
    "cycles that label nothing": (SITE + "[fixed]\nstage3.cycles = 2\nstage3.pseudo_threshold = 1\n", "[fixed]: stage3.cycles > 1 labels again, but got stage3.cycles=2, stage3.pseudo_threshold=1"),
    "teachers of nobody": ('[nuisance]\n"stage2.learning_rate" = { low = 1e-4, high = 1e-2 }\n[fixed]\nstage3.pseudo_threshold = 1.0\n', "`stage2.learning_rate` is searched, but does nothing while `stage3.pseudo_threshold` is 1.0"),
    "nested teachers with two folds": (SITE + '[fixed]\nstage3.teacher_scheme = "nested"\n[search]\nfolds = 2\n', "= 'nested' needs a third fold * but got [search] folds=2. Ask for 3 folds or more"),
    "nested teachers, counted": (SITE + '[fixed]\nstage3.teacher_scheme = "nested"\nstage3.teachers = 3\n', "`stage3.teachers` does nothing while `stage3.teacher_scheme` is 'nested'"),
    "a leak that leads a search": (SITE + '[fixed]\nstage3.teacher_scheme = "diary"\n', "= 'diary' lets teachers see the fold that their student is scored on, so its scores cannot lead a search. Reproduce it with"),
    "a leak that is searched": ('[scientific]\nstage3.teacher_scheme = { choices = ["own", "diary"] }\n', "so its scores cannot lead a search"),
    "a leak that prunes": (SITE + '[fixed]\nstage3.teacher_scheme = "diary"\n[search]\nsampler = "grid"\n', "so its scores cannot lead a search"),
    "a floor that leaks": (SITE + '[fixed]\nstage3.teacher_scheme = "diary"\n[objective]\nrule = "floor"\n' + GRID, "it is the baseline's, so [objective] rule = 'floor' has no honest floor. Give [objective] a floor"),
    "alpha searched at no site too": (SITE + '[nuisance]\n"stage3.mixup_alpha" = { low = 0.1, high = 1.0 }\n', '`stage3.mixup_alpha` is searched where `stage3.mixup_site` is \'none\' too, but does nothing there. Give it when = { "stage3.mixup_site" = ["input", "stage4"] }, or change'),
    "alpha searched at no site alone": (SITE + '[nuisance]\n"stage3.mixup_alpha" = { low = 0.1, high = 1.0, when = { "stage3.mixup_site" = ["none"] } }\n', "does nothing there"),
    "teachers searched for all schemes": ('[scientific]\nstage3.teacher_scheme = { choices = ["own", "nested"] }\n[nuisance]\nstage3.teachers = { low = 1, high = 5 }\n', 'Give it when = { "stage3.teacher_scheme" = ["own"] }'),
    "a corner of two groups": ('[nuisance]\nstage2.epochs = { choices = [0, 5] }\n' + NO_PSEUDO + "[baseline]\nstage3.pseudo_threshold = 1.0\n", "`stage2.epochs` (choice=0) with `stage3.pseudo_threshold` (choice=0.5): stage3.pseudo_threshold < 1 needs teachers"),
    "a corner of three": ('[nuisance]\nstage1.epochs = { choices = [0, 50] }\nstage2.epochs = { choices = [0, 5] }\nstage3.epochs = { choices = [0, 5] }\n[fixed]\nstage3.pseudo_threshold = 1.0\n', "(choice=0) with * (choice=0) with * (choice=0): one of stage1.epochs"),
    "cycles searched with no labels": ("[nuisance]\n" + NO_PSEUDO + "stage3.cycles = { choices = [1, 2] }\n", "`stage3.pseudo_threshold` (choice=1.0) with `stage3.cycles` (choice=2): stage3.cycles > 1 labels again"),
    "a baseline that contradicts itself": ("[nuisance]\n" + NO_PSEUDO + "stage3.cycles = { choices = [1, 2] }\n[baseline]\nstage3.pseudo_threshold = 1.0\nstage3.cycles = 2\n", "[baseline]: stage3.cycles > 1 labels again"),
    "a point that contradicts itself": ('[nuisance]\nstage3.pseudo_threshold = { low = 0.5, high = 1.0 }\nstage3.cycles = { choices = [1, 2] }\n[[try]]\nstage3.focal_gamma = 1.0\n', "[[try]] 1 `stage3.focal_gamma` is not searched"),
    "a point of two cycles and no label": ('[nuisance]\nstage3.pseudo_threshold = { low = 0.5, high = 1.0 }\nstage3.cycles = { choices = [1, 2] }\n[[try]]\nstage3.pseudo_threshold = 1.0\nstage3.cycles = 2\n', "[[try]] 1: stage3.cycles > 1 labels again"),
    "a knob of a point misspelt": (SITE + '[[try]]\nstage3.mixup_sit = "none"\n', "[[try]] 1: `mixup_sit` is not a knob of stage 3. Did you mean `mixup_site`?"),
    "a baseline of another type": (SITE + "[baseline]\nstage3.mixup_site = 3\n", "[baseline]: `stage3.mixup_site` must be a string, but got mixup_site=3."),
    "a group for a knob": (SITE + "[fixed]\nstage3 = 3\n", "`stage3` is a group of knobs, not a knob; a knob is written stage3.NAME."),
    "a regime outside of an arm": (SITE + '[[try]]\nregime = "a"\n', "[[try]] 1: `regime` says something of an arm. Move it to [[arm]]"),
    "an arm without a regime": (AT_INPUT + "[[arm]]\nstage3.mixup_site = 'none'\n" + GRID, "[[arm]] 2: regime must be a name such as * but got none. Name it."),
    "an arm of an empty regime": ("[[arm]]\nregime = ' '\nstage3.mixup_site = 'none'\n" + GRID, "[[arm]] 1: regime must be a name"),
    "an arm of a long regime": (f"[[arm]]\nregime = '{'x' * 101}'\nstage3.mixup_site = 'none'\n" + GRID, "at most 100 characters, but got 101. Shorten it."),
    "an unknown knob of an arm": (AT_INPUT + "[[arm]]\nregime = 'b'\nstage3.mixup_sit = 'none'\n" + GRID, "[[arm]] 2: `mixup_sit` is not a knob of stage 3. Did you mean `mixup_site`?"),
    "an unknown key of an arm": (AT_INPUT + "publishd = { cv = 0.8 }\n" + GRID, "[[arm]] 1: `publishd` is not a key of [[arm]]. Did you mean `published`?"),
    "a setting in an arm": (AT_INPUT + "search = { folds = 3 }\n" + GRID, "[[arm]] 1: [search] holds for all arms alike. Write it once"),
    "an arm's knob of another type": ("[[arm]]\nregime = 'a'\nstage3.mixup_site = 3\n" + GRID, "[[arm]] 1: `stage3.mixup_site` must be a string, but got mixup_site=3."),
    "an arm that searches": ("[[arm]]\nregime = 'a'\nstage3.focal_gamma.low = 0.0\n" + GRID, "[[arm]] 1: `stage3.focal_gamma` must be a number, but got focal_gamma={'low': 0.0}."),
    "an array in an arm": ("[[arm]]\nregime = 'a'\nstage1.jitter_frames = [0, 1]\n" + GRID, "[[arm]] 1: `stage1.jitter_frames` is an array, which cannot differ between arms. Give it one value in [fixed]."),
    "the ruler in an arm": ("[[arm]]\nregime = 'a'\nruler.every_epochs = 2\n" + GRID, "[[arm]] 1: `ruler.every_epochs` belongs to the ruler, which must not move between arms."),
    "two equal arms": (AT_INPUT + AT_LAST + AT_INPUT + GRID, "[[arm]] 3 has the same knobs as [[arm]] 1. Remove one"),
    "an arm that equals another by default": (AT_LAST + AT_INPUT + "[[arm]]\nregime = 'b'\n" + GRID, "[[arm]] 3 has the same knobs as [[arm]] 2."),
    "two arms of one label": (AT_INPUT + AT_INPUT + "stage3.focal_gamma = 1.0\n" + GRID, "[[arm]] 2 has the regime and the mixup site of [[arm]] 1 (plain, input) * Give it another regime."),
    "arms of nothing": ("[[arm]]\nregime = 'a'\n" + GRID, "no [[arm]] names a knob, so there is nothing to compare."),
    "arms as a table": ("[arm]\nregime = 'a'\n" + GRID, "`arm` must be written as [[arm]], once for each."),
    "arms beside a search": (SITE + AT_INPUT + GRID, "[[arm]] lists all that is tried, but [scientific] is there too. Keep one of them."),
    "arms beside points to try": (AT_INPUT + '[[try]]\nstage3.mixup_site = "none"\n' + GRID, "but [[try]] is there too"),
    "arms without a grid": (AT_INPUT + AT_LAST, "[[arm]] needs [search] sampler = 'grid', since every arm is tried, but got none. Set it."),
    "arms of a sampler": (AT_INPUT + AT_LAST + "[search]\nsampler = 'tpe'\n", "but got sampler='tpe'. Set it."),
    "arms that are pruned": (AT_INPUT + AT_LAST + "[search]\nsampler = 'grid'\n", "[[arm]] needs [search] scheduler = 'none', * but got scheduler='asha'. Set it."),
    "published as a number": (AT_INPUT + "published = 0.8\n" + GRID, "[[arm]] 1: published must be a table of figures such as * but got 0.8. Give numbers"),
    "published in words": (AT_INPUT + "published = { cv = '0.8' }\n" + GRID, "but got {'cv': '0.8'}."),
    "published, not a number": (AT_INPUT + "published = { cv = nan }\n" + GRID, "but got {'cv': nan}."),
    "an arm's idle knob": (AT_INPUT + "[[arm]]\nregime = 'b'\nstage3 = { mixup_site = 'none', mixup_alpha = 0.3 }\n" + GRID, "[[arm]] 2 (b): `stage3.mixup_alpha` does nothing while `stage3.mixup_site` is 'none'. Remove it"),
    "an arm's knob of a stage that is off": (AT_INPUT + "[[arm]]\nregime = 'b'\nstage3 = { mixup_site = 'none', epochs = 0 }\n" + GRID, "[[arm]] 2 (b): `stage3.mixup_site` does nothing while `stage3.epochs` is 0."),
    "an arm's threshold without stage 2": (AT_INPUT + "[[arm]]\nregime = 'b'\nstage2.epochs = 0\n" + GRID, "[[arm]] 2 (b): stage3.pseudo_threshold < 1 needs teachers"),
    "an arm's nested teachers": (AT_INPUT + "[[arm]]\nregime = 'b'\nstage3.teacher_scheme = 'nested'\n" + GRID + "folds = 2\n", "needs a third fold"),
    "fixed for no arm": (AT_INPUT + AT_LAST + '[fixed]\nstage3.mixup_site = "none"\n' + GRID, "[fixed] `stage3.mixup_site` holds for no arm, since every [[arm]] gives it too. Remove it there."),
    "fixed to the wrong type beside arms": (AT_INPUT + "[[arm]]\nregime = 'b'\nstage3.focal_gamma = 1.0\n[fixed]\nstage3.mixup_site = 3\n" + GRID, "[fixed]: `stage3.mixup_site` must be a string"),
    "fixed and idle in every arm": ("[[arm]]\nregime = 'a'\nstage3.mixup_site = 'none'\n[[arm]]\nregime = 'b'\nstage3 = { mixup_site = 'none', focal_gamma = 1.0 }\n[fixed]\nstage3.mixup_alpha = 0.3\n" + GRID, "[fixed]: `stage3.mixup_alpha` does nothing while `stage3.mixup_site` is 'none'."),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_gets_one_message_with_the_file_and_the_way_out(tmp_path: Path, case: str) -> None:
    text, expected = WRONG[case]
    with pytest.raises(InputError) as error:
        space(tmp_path, text)
    said = str(error.value)
    assert said.startswith(f"{tmp_path / 'space.toml'}: ")
    assert_says(said, expected)


def assert_says(said: str, expected: str) -> None:
    """One line that ends as a sentence and holds the parts of `expected`, which stars keep apart, in their order."""
    place = 0
    for part in expected.split("*"):
        place = said.find(part.strip(), place)
        assert place >= 0, said
    assert "\n" not in said
    assert said.endswith((".", "?"))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            {"network.backbon": "x"},
            "--set network.backbon: `backbon` is not a knob of `network`. Did you mean `backbone`?",
        ),
        ({"stage3.mixup_site": "none"}, "--set stage3.mixup_site: "),
        ({"stage1.epochs": "many"}, "`stage1.epochs` must be a whole number, but got epochs='many'."),
        ({"search.fold": 3}, "`fold` is not a key of [search]. Did you mean `folds`?"),
        ({"serach.folds": 3}, "--set serach.folds: `serach` is neither a group of knobs * Did you mean `search`?"),
        ({"search": 3}, "--set search: `search` is a table of settings. Name one of its keys, search.KEY=VALUE."),
        ({"stage3": 3}, "--set stage3: `stage3` is a group of knobs"),
        ({"": 3}, "--set =3: KNOB=VALUE must be given"),
        ({"stage2.epochs": 0}, "--set stage2.epochs=0: * stage3.pseudo_threshold < 1 needs teachers"),
        ({"stage3.cycles": 2, "stage3.pseudo_threshold": 1}, "--set stage3.cycles=2 --set stage3.pseudo_threshold=1: "),
        (
            {"stage1.mixup_alpha": 0.3},
            "--set stage1.mixup_alpha=0.3: * does nothing while `stage1.mixup_site` is 'none'",
        ),
        ({"stage3.epochs": 0}, "`stage3.mixup_site` is searched, but does nothing while `stage3.epochs` is 0."),
        ({"stage3.teacher_scheme": "nested", "search.folds": 2}, "needs a third fold"),
        ({"stage3.teacher_scheme": "diary"}, "so its scores cannot lead a search"),
    ],
)
def test_a_mistake_on_the_command_line_is_said_as_such(
    tmp_path: Path, overrides: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError) as error:
        space(tmp_path, SITE, overrides)
    assert_says(str(error.value), expected)


def test_a_knob_of_the_arms_cannot_be_set_for_all(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"--set stage3\.mixup_site: .* gives this knob in all its \[\[arm\]\] tables\. Change"
    ):
        space(tmp_path, AT_INPUT + AT_LAST + GRID, {"stage3.mixup_site": "none"})
    with pytest.raises(
        InputError, match=r"\[\[arm\]\] 1 \(plain\): `stage3\.mixup_site` does nothing while `stage3\.epochs`"
    ):
        space(tmp_path, AT_INPUT + AT_LAST + GRID, {"stage3.epochs": 0})
    assert space(tmp_path, AT_INPUT + AT_LAST + GRID, {"search.replicates": 3}).budget.trials == 6


def test_a_when_that_keeps_a_contradiction_away_is_enough(tmp_path: Path) -> None:
    cycles = 'stage3.cycles = { choices = [1, 2], when = { "stage3.pseudo_threshold" = [0.5, 0.9] } }\n'
    assert len(list(space(tmp_path, "[nuisance]\n" + NO_PSEUDO + cycles + GRID).grid())) == 5
    rule = 'stage3.pseudo_rule = { choices = ["votes", "mean"], when = { "stage3.pseudo_threshold" = [0.5, 0.9] } }\n'
    votes = 'stage3.votes = { choices = [0.5, 0.6], when = { "stage3.pseudo_rule" = "votes" } }\n'
    assert len(list(space(tmp_path, "[nuisance]\n" + NO_PSEUDO + rule + votes + GRID).grid())) == 7


def test_what_is_not_reached_does_not_leak_and_needs_no_third_fold(tmp_path: Path) -> None:
    rate = '[nuisance]\n"stage1.learning_rate" = { low = 1e-4, high = 1e-2 }\n[fixed]\nstage2.epochs = 0\nstage3.epochs = 0\n'
    for scheme in ("diary", "nested"):
        study = space(tmp_path, rate + f'stage3.teacher_scheme = "{scheme}"\n[search]\nfolds = 2\n')
        assert not study.hyperparameters(study.baseline).taught


def test_arms_are_a_grid_in_the_order_of_the_file_and_the_first_is_the_baseline(tmp_path: Path) -> None:
    other = "[[arm]]\nregime = ' stage  1 '\npublished = { cv = 0.8, leaderboard = 1 }\n"
    other += "stage1.crop = 'random'\nstage2.epochs = 0\nstage3.epochs = 0\n"
    fixed = "[fixed]\nstage2.epochs = 2\nstage3.focal_gamma = 1.0\n"
    study = space(tmp_path, AT_LAST + other + AT_INPUT + fixed + GRID + "replicates = 3\n")
    assert {knob.name: (knob.role, knob.choices) for knob in study.knobs} == {
        "stage3.mixup_site": ("scientific", ("stage4", "input")),
        "stage1.crop": ("scientific", ("event", "random")),
        "stage2.epochs": ("scientific", (2, 0)),
        "stage3.epochs": ("scientific", (5, 0)),
    }
    assert [point["stage3.mixup_site"] for point in study.grid()] == ["stage4", "input", "input"]
    assert study.fixed == {"stage3.focal_gamma": 1.0}
    assert study.baseline == study.arms[0].params
    assert [replicate for replicate, _ in study.points()] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [point for _, point in study.points()][:3] == list(study.grid())
    assert study.budget.trials == 9
    assert [(arm.regime, dict(arm.published)) for arm in study.arms] == [
        ("plain", {}),
        ("stage 1", {"cv": 0.8, "leaderboard": 1.0}),
        ("plain", {}),
    ]
    assert [differs(study, arm.params) for arm in study.arms] == [
        "plain site=stage4",
        "stage-1 site=none",
        "plain site=input",
    ]
    told = json.loads(json.dumps(study.resolved(), allow_nan=False))
    assert [arm["regime"] for arm in told["arms"]] == ["plain", "stage 1", "plain"]
    assert told["arms"][1]["params"] == study.arms[1].params
    assert study.planned_epochs(study.arms[1].params) == 50
    assert study.epoch_range() == (5, 50)


def test_arms_are_part_of_the_question_and_leave_other_questions_alone(tmp_path: Path) -> None:
    plain = space(tmp_path, SITE + GRID)
    assert "arms" not in plain.resolved()
    arms = space(tmp_path, AT_INPUT + AT_LAST + GRID)
    turned = space(tmp_path, AT_LAST + AT_INPUT + GRID)
    said = space(tmp_path, AT_INPUT + "published = { cv = 0.8 }\n" + AT_LAST + GRID)
    assert len({one.signature("d") for one in (plain, arms, turned)}) == 3
    assert said.signature("d") == arms.signature("d")  # to mend a published figure asks nothing new


def test_a_knob_that_some_arms_name_can_be_set_for_the_others(tmp_path: Path) -> None:
    early = '[[arm]]\nregime = "early"\nstage1 = { mixup_site = "input" }\nstage2 = { epochs = 0 }\n'
    text = early + "stage3 = { epochs = 0 }\n" + AT_INPUT + AT_LAST + GRID
    study = space(tmp_path, text, {"stage3.epochs": 7, "stage2.epochs": 6})
    assert [arm.params["stage3.epochs"] for arm in study.arms] == [0, 7, 7]
    assert [arm.params["stage2.epochs"] for arm in study.arms] == [0, 6, 6]
    with pytest.raises(InputError, match=r"--set stage3\.epochs: .*must be"):
        space(tmp_path, text, {"stage3.epochs": -1})


def test_the_diary_s_own_size_can_be_set_as_its_file_says() -> None:
    path = Path(__file__).parents[1] / "search_spaces" / "diary.toml"
    words = re.findall(r"--set (\S+)=(\S+)", path.read_text(encoding="utf-8"))
    assert ("stage3.epochs", "5") in words
    assert load(path, parse_settings([f"{name}={value}" for name, value in words])).search.folds == 5


def test_a_published_figure_that_nobody_shows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[\[arm\]\] 1: `leaderbord` is not a published figure.*leaderboard"):
        space(tmp_path, AT_INPUT + "published = { leaderbord = 0.8 }\n" + AT_LAST + GRID)


def test_epochs_are_counted_as_they_are_reported(tmp_path: Path) -> None:
    every = "[fixed]\nruler.every_epochs = 3\nstage3.cycles = 2\n"
    study = space(tmp_path, SITE + every)
    assert study.planned_epochs({}) == 4
    assert study.epoch_range() == (4, 4)
    rate = '[nuisance]\n"stage1.learning_rate" = { low = 1e-4, high = 1e-2 }\n'
    assert space(tmp_path, rate + every).planned_epochs({}) == 17 + 4
    one = space(tmp_path, rate + "[fixed]\nstage2.epochs = 0\nstage3.epochs = 0\nruler.every_epochs = 4\n")
    assert one.planned_epochs({}) == 13
    ends = "[nuisance]\nstage3.epochs = { choices = [0, 5] }\n"
    assert space(tmp_path, ends).epoch_range() == (5, 5)  # without stage 3, the five epochs of stage 2 are the trial's


def test_a_trial_of_leaky_teachers_is_named_so(tmp_path: Path) -> None:
    scheme = '[scientific]\nstage3.teacher_scheme = { choices = ["own", "nested", "diary"] }\n'
    study = space(tmp_path, scheme + GRID)
    assert [differs(study, point) for point in study.grid()] == [
        "scheme=own",
        "scheme=nested",
        "scheme=diary leaky",
    ]
    leak = "[[arm]]\nregime = 'as then'\nstage3.teacher_scheme = 'diary'\n"
    arms = space(tmp_path, AT_LAST + leak + GRID)
    assert [differs(arms, arm.params) for arm in arms.arms] == ["plain site=stage4", "as-then site=input leaky"]


def test_the_diarys_arms_are_its_recipes_with_its_figures_and_the_control() -> None:
    study = load(SPACES / "diary.toml")
    recipes = [study.hyperparameters(arm.params) for arm in study.arms]
    figures = [
        (arm.regime, recipe.site, *(arm.published.get(name) for name in ("cv", "precision", "leaderboard")))
        for arm, recipe in zip(study.arms, recipes, strict=True)
    ]
    assert figures == [
        ("stage 1, pseudo-labels in training", "input", 0.8399, None, 0.831),
        ("stage 1, pseudo-labels in training", "stage4", 0.8391, None, 0.805),
        ("stage 1, sampled negatives", "input", 0.8352, None, 0.833),
        ("stage 1, sampled negatives", "stage4", 0.8287, None, 0.828),
        ("stage 1, event-centred cut", "input", 0.8347, None, 0.792),
        ("stage 1, event-centred cut", "stage4", 0.8368, None, 0.792),
        ("pseudo 0.9 + focal", "input", 0.9392, 0.4406, 0.912),
        ("pseudo 0.9 + focal", "stage4", 0.9434, 0.4375, 0.907),
        ("pseudo 0.5 + focal", "input", 0.9663, 0.3636, 0.914),
        ("pseudo 0.5 + focal", "stage4", None, None, None),
        ("pseudo 0.5 + focal + positive decay", "input", 0.9590, 0.5667, 0.937),
        ("pseudo 0.5 + focal + positive decay", "stage4", 0.9589, 0.657, 0.942),
    ]
    for one, other in zip(recipes[::2], recipes[1::2], strict=True):
        differing = {name for name, value in flatten(one).items() if flatten(other)[name] != value}
        assert differing == {f"{one.last_stage}.mixup_site"}
    assert not any(recipe.leaky for recipe in recipes)
    assert [recipe.stage3.positive_weight_decay for recipe in recipes] == [False] * 10 + [True] * 2


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml: no such file"):
        load(tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match="is a directory"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(InputError, match="must be UTF-8"):
        load(tmp_path / "latin.toml")


def test_all_names_that_are_wrong_are_told_at_once_and_then_all_values(tmp_path: Path) -> None:
    text = """
[scientific]
"stage3.mixup_sit" = { choices = ["none", "input"] }
[nuisance]
"stage3.focal_gamma" = { low = 4.0, high = 1.0 }
[fixed]
"stage3.epochs" = "ten"
"stage3.epoch" = 2
[[try]]
"stage3.vote" = 1
"""
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(InputError) as told:
        load(path)
    assert str(told.value).splitlines() == [
        f"{path}: `mixup_sit` is not a knob of stage 3. Did you mean `mixup_site`?",
        f"{path}: `epoch` is not a knob of stage 3. Did you mean `epochs`?",
        f"{path}: [[try]] 1: `vote` is not a knob of stage 3. Did you mean `votes`?",
    ]
    path.write_text(text.replace("mixup_sit", "mixup_site").replace('"stage3.epoch" = 2', "").replace("vote", "votes"))
    with pytest.raises(InputError) as told:
        load(path)
    assert str(told.value).splitlines() == [
        f"{path}: `stage3.epochs` must be a whole number, but got epochs='ten'.",
        f"{path}: `stage3.focal_gamma`: low < high must hold, but got low=4.0, high=1.0.",
    ]
