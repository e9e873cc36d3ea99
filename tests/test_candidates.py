"""Who is confirmed, how often, and what of it is still to be run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rfcx_model.errors import InputError
from study.arms_to_confirm import best_of_arms, chances
from study.candidates import Wanted, best
from study.declaration import DECLARED, Candidate, declaration, declare, left
from study.ranked import ranking
from study.space import Study, load
from study.trials import EpochRecord, Origin, State, Trial

SPACE = """
[scientific]
"stage3.mixup_site" = { choices = ["none", "input", "stage4"] }
[nuisance]
"stage3.focal_gamma" = { low = 0.0, high = 4.0 }
[fixed]
"network.backbone" = "test_resnet"
[baseline]
"stage3.mixup_site" = "input"
"stage3.focal_gamma" = 2.0
[search]
folds = 2
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "space.toml").write_text(SPACE)
    return load(tmp_path / "space.toml")


def trial(
    study: Study,
    number: int,
    site: str,
    score: float | None,
    *,
    gamma: float | None = None,
    state: State = "COMPLETE",
    origin: Origin = "search",
    replicate: int = 0,
) -> Trial:
    gamma = number / 10 if gamma is None else gamma
    config = study.config({"stage3.mixup_site": site, "stage3.focal_gamma": gamma})
    return Trial(number, origin, replicate, 1, config, {}, 1, 0.0, state=state, score=score, name=f"{number:04d}-x")


@pytest.fixture
def trials(study: Study) -> list[Trial]:
    return [
        trial(study, 0, "input", 0.50, gamma=2.0, origin="baseline"),
        trial(study, 1, "none", 0.40),
        trial(study, 2, "none", 0.45),
        trial(study, 3, "input", 0.60),
        trial(study, 4, "stage4", 0.99, state="PRUNED"),
        trial(study, 5, "stage4", 0.55),
        trial(study, 6, "stage4", None, state="FAILED"),
        trial(study, 7, "input", 0.70, origin="confirm", replicate=1),
    ]


def test_the_best_and_the_baseline_are_chosen_and_never_a_pruned_or_a_confirmed_trial(
    study: Study, trials: list[Trial], tmp_path: Path
) -> None:
    chosen = best(tmp_path, study, trials, 2)
    assert [(one.trial, one.baseline) for one in chosen] == [(0, True), (3, False), (5, False)]
    assert chosen[1].label == "site=input gamma=0.3"


def test_more_than_there_are_is_all_there_are(study: Study, trials: list[Trial], tmp_path: Path) -> None:
    assert [one.trial for one in best(tmp_path, study, trials, 99)] == [0, 3, 5, 2, 1]


def test_each_arm_gives_its_best_and_the_baseline_stands_beside_them(
    study: Study, trials: list[Trial], tmp_path: Path
) -> None:
    chosen = best_of_arms(tmp_path, study, trials, "stage3.mixup_site")
    assert [(one.arm, one.trial, one.baseline) for one in chosen] == [
        (None, 0, True),
        ("none", 2, False),
        ("input", 3, False),
        ("stage4", 5, False),
    ]


TWO = SPACE.replace(
    "[nuisance]", '"windows.normalise" = { choices = ["recording", "band_median"] }\n[nuisance]'
).replace('"stage3.focal_gamma" = 2.0', '"stage3.focal_gamma" = 2.0\n"windows.normalise" = "recording"')


def of_two(study: Study, number: int, site: str, normalise: str, score: float = 0.5) -> Trial:
    params = {"stage3.mixup_site": site, "windows.normalise": normalise, "stage3.focal_gamma": number / 10}
    return replace(trial(study, number, site, score), config=study.config(params))


def test_arms_are_alike_in_the_other_scientific_knobs(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(TWO)
    study = load(tmp_path / "space.toml")

    one = partial(of_two, study)

    def chosen(*trials: Trial) -> list[int]:
        arms = best_of_arms(tmp_path, study, trials, "stage3.mixup_site")
        return [arm.trial for arm in arms if arm.by]

    input_ = one(0, "input", "recording", 0.5), one(1, "input", "band_median", 0.6)
    stage4 = one(2, "stage4", "recording", 0.4), one(3, "stage4", "band_median", 0.9)
    none = one(4, "none", "band_median", 0.1)
    assert chosen(*input_, *stage4) == [0, 2], "the baseline's, where as many arms have it"
    assert chosen(*input_, *stage4, none) == [4, 1, 3], "those that most arms have"
    assert chosen(input_[1], *stage4) == [1, 3]
    with pytest.raises(
        InputError, match=r"a finished trial that are alike in windows\.normalise are needed, but got 1"
    ):
        chosen(input_[0], stage4[1])


def test_a_baseline_that_is_the_best_of_its_arm_runs_once(study: Study, trials: list[Trial], tmp_path: Path) -> None:
    chosen = best_of_arms(tmp_path, study, [one for one in trials if one.number != 3], "stage3.mixup_site")
    assert [(one.arm, one.trial, one.baseline) for one in chosen] == [
        ("none", 2, False),
        ("input", 0, True),
        ("stage4", 5, False),
    ]


def test_a_setting_is_ranked_by_its_mean_over_replicates(study: Study) -> None:
    runs = [
        trial(study, 0, "none", 0.9, gamma=1.0),
        trial(study, 1, "input", 0.6, gamma=1.0),
        trial(study, 2, "none", 0.1, gamma=1.0, replicate=1),
        trial(study, 3, "input", 0.6, gamma=1.0, replicate=1),
        trial(study, 4, "stage4", 0.99, gamma=1.0),
    ]
    assert [one.number for one in ranking(runs)] == [1, 0, 4]


def test_chances_count_every_trial_of_the_search(study: Study, trials: list[Trial]) -> None:
    assert chances(study, trials, "stage3.mixup_site") == {"none": 2, "input": 2, "stage4": 3}


def test_what_was_declared_is_read_back(study: Study, trials: list[Trial], tmp_path: Path) -> None:
    told = declare(tmp_path, study, None, best(tmp_path, study, trials, 1), 3)
    assert told.replicates == (1, 2, 3)
    assert declaration(tmp_path) == told


def test_replicates_are_raised_and_never_lowered(study: Study, trials: list[Trial], tmp_path: Path) -> None:
    chosen = best(tmp_path, study, trials, 1)
    declare(tmp_path, study, None, chosen, 3)
    with pytest.raises(InputError, match="3 replicates were declared, so --replicates must be 3 or more, but got 2"):
        declare(tmp_path, study, None, chosen, 2)
    with pytest.raises(InputError, match="3 replicates were declared"):
        Wanted(2, top=1).check(tmp_path, study, trials)
    raised = declare(tmp_path, study, None, chosen, 5)
    assert (raised.replicates, raised.raised) == ((1, 2, 3, 4, 5), (3,))
    assert declare(tmp_path, study, None, chosen, 5).raised == (3,)


def test_settings_that_were_declared_before_stay(study: Study, trials: list[Trial], tmp_path: Path) -> None:
    declare(tmp_path, study, None, best(tmp_path, study, trials, 1), 2)
    told = declare(tmp_path, study, "stage3.mixup_site", best_of_arms(tmp_path, study, trials, "stage3.mixup_site"), 2)
    assert sorted(one.trial for one in told.arms) == [0, 2, 3, 5]
    assert next(one.arm for one in told.arms if one.trial == 3) == "input"


def test_the_newest_best_of_an_arm_stands_first_and_keeps_its_arm_when_it_is_named_again(
    study: Study, trials: list[Trial], tmp_path: Path
) -> None:
    by = "stage3.mixup_site"
    declare(tmp_path, study, by, best_of_arms(tmp_path, study, trials, by), 2)
    better = [*trials, trial(study, 9, "stage4", 0.9)]
    told = declare(tmp_path, study, by, best_of_arms(tmp_path, study, better, by), 2)
    assert [one.trial for one in told.arms if one.arm == "stage4"] == [9, 5]
    told = declare(tmp_path, study, None, best(tmp_path, study, better, 1), 2)
    assert next(one for one in told.arms if one.trial == 9).by == by


@pytest.fixture
def uneven(study: Study, trials: list[Trial]) -> list[Trial]:
    """`input` has had fewer trials than the others, and `none` a better one than when arms were declared."""
    return [*trials, trial(study, 9, "none", 0.9)]


def seen(study: Study, one: Candidate, number: int = 20) -> Trial:
    """A trial of a declared setting of which an epoch is on record."""
    known = trial(study, number, "none", None, state="RUNNING", origin="confirm", replicate=1)
    return replace(
        known, config=one.config, epochs=(EpochRecord(3, 1, 1, 1, reused=False, metrics={"score": 0.4}, time=1.0),)
    )


def test_arms_of_which_something_is_known_stay_whatever_the_search_finds(
    study: Study, trials: list[Trial], uneven: list[Trial], tmp_path: Path
) -> None:
    wanted = Wanted(2, by="stage3.mixup_site")
    told = wanted.declared(tmp_path, study, trials)
    assert [one.trial for one in wanted.chosen(tmp_path, study, uneven)] == [0, 9, 3, 5], "nothing is known yet"
    known = [*uneven, seen(study, told.arms[2])]
    assert [one.trial for one in wanted.chosen(tmp_path, study, known)] == [0, 2, 3, 5]
    again = Wanted(5, by="stage3.mixup_site").declared(tmp_path, study, known)
    assert [asdict(one) for one in again.arms] == [asdict(one) for one in told.arms]
    assert [one.among for one in again.arms] == [None, 2, 2, 3]


def test_the_baseline_alone_tells_nothing_of_an_arm(
    study: Study, trials: list[Trial], uneven: list[Trial], tmp_path: Path
) -> None:
    wanted = Wanted(2, by="stage3.mixup_site")
    told = wanted.declared(tmp_path, study, trials)
    known = [*uneven, seen(study, told.arms[0])]
    assert [one.trial for one in wanted.chosen(tmp_path, study, known)] == [0, 9, 3, 5]


def test_an_arm_that_had_no_finished_trial_may_join_those_that_stay(
    study: Study, trials: list[Trial], tmp_path: Path
) -> None:
    wanted = Wanted(2, by="stage3.mixup_site")
    without = [one for one in trials if one.config["stage3.mixup_site"] != "stage4"]
    told = wanted.declared(tmp_path, study, without)
    known = [*trials, trial(study, 9, "none", 0.9), seen(study, told.arms[1])]
    assert [one.trial for one in wanted.chosen(tmp_path, study, known)] == [0, 2, 3, 5]


def test_arms_that_stay_decide_what_those_that_join_must_be_alike_in(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(TWO)
    study = load(tmp_path / "space.toml")

    one = partial(of_two, study)

    wanted = Wanted(2, by="stage3.mixup_site")
    first = [one(0, "input", "recording", 0.5), one(1, "none", "recording", 0.6)]
    told = wanted.declared(tmp_path, study, first)
    others = [one(n, site, "band_median", 0.9) for n, site in enumerate(("none", "input", "stage4"), start=2)]
    known = [*first, *others, one(5, "stage4", "recording", 0.1), seen(study, told.arms[1])]
    arms = [arm for arm in wanted.chosen(tmp_path, study, known) if arm.by]
    assert [(arm.arm, arm.trial) for arm in arms] == [("none", 1), ("input", 0), ("stage4", 5)]


def test_filling_is_refused_where_something_is_known_of_the_arms(
    study: Study, trials: list[Trial], tmp_path: Path
) -> None:
    wanted = Wanted(2, by="stage3.mixup_site", fill=True)
    told = wanted.declared(tmp_path, study, trials)
    wanted.check(tmp_path, study, trials)
    known = [*trials, seen(study, told.arms[1])]
    with pytest.raises(
        InputError, match=r"--fill must come before anything is known of the arms of stage3\.mixup_site"
    ):
        wanted.check(tmp_path, study, known)
    even = [*known, trial(study, 9, "none", 0.1), trial(study, 10, "input", 0.1)]
    wanted.check(tmp_path, study, even)  # nothing is left to fill: the same call carries on


def test_a_declaration_that_is_gone_once_replicates_have_run_is_not_made_anew(
    study: Study, trials: list[Trial], tmp_path: Path
) -> None:
    wanted = Wanted(2, top=1)
    told = wanted.declared(tmp_path, study, trials)
    (tmp_path / DECLARED).unlink()
    untold = replace(seen(study, told.arms[1]), epochs=())
    wanted.check(tmp_path, study, [one for one in trials if one.origin != "confirm"] + [untold])
    with pytest.raises(InputError, match=r"confirm\.json: settings have been confirmed, so it must say which"):
        wanted.check(tmp_path, study, [*trials, seen(study, told.arms[1])])


def test_an_arm_is_the_best_of_those_that_are_alike_in_the_rest(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(TWO)
    study = load(tmp_path / "space.toml")

    one = partial(of_two, study)
    trials = [
        one(0, "input", "recording"),
        replace(one(1, "input", "recording"), state="PRUNED"),
        one(2, "input", "band_median"),
        one(3, "stage4", "recording"),
        replace(one(4, "stage4", "recording"), origin="confirm"),
    ]
    arms = [arm for arm in best_of_arms(tmp_path, study, trials, "stage3.mixup_site") if arm.by]
    assert [(arm.arm, arm.among) for arm in arms] == [("input", 2), ("stage4", 1)]


def test_a_grid_is_not_filled(study: Study, trials: list[Trial], tmp_path: Path) -> None:
    grid = replace(study, search=replace(study.search, sampler="grid"))
    with pytest.raises(InputError, match="--fill is for a search"):
        Wanted(2, by="stage3.mixup_site", fill=True).check(tmp_path, grid, trials)


def test_a_replicate_is_run_whole_before_the_next_one(study: Study, trials: list[Trial], tmp_path: Path) -> None:
    told = declare(tmp_path, study, None, best(tmp_path, study, trials, 1), 2)
    runs = left(told, trials)
    assert [(one.replicate, one.config["stage3.focal_gamma"]) for one in runs] == [
        (1, 2.0),
        (1, 0.3),
        (2, 2.0),
        (2, 0.3),
    ]


@pytest.mark.parametrize(("state", "again", "carried_on"), [("COMPLETE", 3, 0), ("RUNNING", 4, 1), ("FAILED", 4, 0)])
def test_what_has_run_is_not_run_again(
    study: Study, trials: list[Trial], tmp_path: Path, state: State, again: int, carried_on: int
) -> None:
    told = declare(tmp_path, study, None, best(tmp_path, study, trials, 1), 2)
    done = trial(study, 8, "input", 0.5, gamma=0.3, origin="confirm", replicate=2, state=state)
    runs = left(told, [*trials, done])
    assert len(runs) == again
    assert [one.trial.number for one in runs if one.trial is not None] == [8] * carried_on
    assert len(left(told, [*trials, replace(done, origin="search")])) == 4


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"top": None, "by": None}, "one of --top K and --by KNOB must be given"),
    ({"top": 1, "by": "stage3.mixup_site"}, "one of --top K and --by KNOB must be given"),
    ({"top": 1, "fill": True}, "--fill evens out the arms of a knob, so --by KNOB must be given"),
    ({"by": "stage3.mixup_sit"}, r"it must be a knob that the study searches.* Did you mean `stage3.mixup_site`\?"),
    ({"by": "stage3.focal_gamma"}, "it must be a knob with choices, but its domain is .* Use --top"),
]


@pytest.mark.parametrize(("asked", "message"), WRONG)
def test_what_cannot_be_confirmed_is_refused(
    study: Study, trials: list[Trial], tmp_path: Path, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Wanted(2, **asked).check(tmp_path, study, trials)


def test_a_study_without_anything_to_confirm_is_refused(study: Study, trials: list[Trial], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a finished trial other than the baseline is needed, but there is none"):
        best(tmp_path, study, trials[:1], 3)
    with pytest.raises(
        InputError, match=r"two values of `stage3\.mixup_site` with a finished trial are needed, but got"
    ):
        best_of_arms(tmp_path, study, [trials[0], trials[3]], "stage3.mixup_site")


def test_a_leaky_baseline_is_no_reference(study: Study, trials: list[Trial], tmp_path: Path) -> None:
    leaky = replace(study, fixed={**study.fixed, "stage3.teacher_scheme": "diary"})
    with pytest.raises(InputError, match="the baseline must not be leaky"):
        best(tmp_path, leaky, trials, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be JSON"),
        ("{}", "must be what `confirm` wrote"),
        ('{"v": 1, "by": null, "replicates": [1], "arms": [{"x": 1}], "raised": []}', "must be what `confirm` wrote"),
        ('{"v": 1, "by": null, "replicates": [1], "arms": [], "raised": []}', "must be what `confirm` wrote"),
    ],
)
def test_a_damaged_declaration_is_refused(study: Study, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / DECLARED).write_text(text)
    with pytest.raises(InputError, match=rf"confirm\.json: {said}"):
        declaration(tmp_path)


def test_a_declaration_is_json_that_others_can_read(study: Study, trials: list[Trial], tmp_path: Path) -> None:
    declare(tmp_path, study, None, best(tmp_path, study, trials, 1), 2)
    told = json.loads((tmp_path / DECLARED).read_text())
    assert told["replicates"] == [1, 2]
    assert told["arms"][1]["config"]["stage3.mixup_site"] == "input"


@pytest.mark.parametrize(("state", "fills"), [("PRUNED", False), (None, True)])
def test_filling_is_named_as_a_way_out_only_where_an_arm_has_had_fewer_trials(
    study: Study, tmp_path: Path, state: State | None, fills: bool
) -> None:
    had = [trial(study, 0, "input", 0.5), *([] if state is None else [trial(study, 1, "none", 0.4, state=state)])]
    others = [trial(study, 2 + n, site, 0.4, state="PRUNED") for n, site in enumerate(("stage3", "stage4"))]
    with pytest.raises(InputError, match=r"Carry on with `run` and a larger --trials") as told:
        best_of_arms(tmp_path, study, [*had, *others], "stage3.mixup_site")
    assert ("or give --fill" in str(told.value)) == fills
