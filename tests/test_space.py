"""Space files: what they mean, and one clear message for each thing that can be wrong in them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import knobs
from study.knob import Knob
from study.space import Study, differs, distribution, load, short_name, suggest

SPACES = Path(__file__).parent.parent / "search_spaces"
SITE = '[scientific]\n"stage3.mixup_site" = { choices = ["none", "input", "stage4"] }\n'
ALPHA = '[nuisance]\n"stage3.mixup_alpha" = { low = 0.05, high = 2.0, log = true, when = { "stage3.mixup_site" = ["input", "stage4"] } }\n'


def space(folder: Path, text: str, overrides: dict[str, Any] | None = None) -> Study:
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, overrides)


def drawn(study: Study, count: int, seed: int = 0) -> list[dict[str, Any]]:
    asked = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [suggest(study, asked.ask()) for _ in range(count)]


@pytest.mark.parametrize("name", ["smoke", "mixup", "wide"])
def test_the_spaces_that_ship_are_sound(name: str) -> None:
    study = load(SPACES / f"{name}.toml")
    assert study.question
    assert study.name == name
    for params in [dict(study.baseline), *study.tries, *drawn(study, 30)]:
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
    assert pickle.loads(pickle.dumps(study)) == study
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
    study = space(tmp_path, SITE + alpha + '[search]\nsampler = "grid"\nreplicates = 3\n')
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
    "a seed in quotes": (SITE + "[search]\nseed = '1'\n", "[search] `seed` must be a valid integer, but got seed='1'."),
    "grace beyond the epochs": (SITE + "[search]\ngrace = 6\n", "grace <= the epochs of a trial must hold, but got grace=6, epochs=5"),
    "a factor of one": (SITE + "[search]\nfactor = 1\n", "`factor` must be greater than or equal to 2"),
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
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_gets_one_message_with_the_file_and_the_way_out(tmp_path: Path, case: str) -> None:
    text, expected = WRONG[case]
    with pytest.raises(InputError) as error:
        space(tmp_path, text)
    said = str(error.value)
    assert said.startswith(f"{tmp_path / 'space.toml'}: ")
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
    ],
)
def test_a_mistake_on_the_command_line_is_said_as_such(
    tmp_path: Path, overrides: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError) as error:
        space(tmp_path, SITE, overrides)
    assert expected in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml: no such file"):
        load(tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match="is a directory"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(InputError, match="must be UTF-8"):
        load(tmp_path / "latin.toml")
