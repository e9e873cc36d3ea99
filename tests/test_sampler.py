"""What a sampler sees of a long study: bounded, and the same whatever else the study holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from study import sampler as sampler_module
from study.sampler import Bound, drawn, sampler
from study.space import Study, load

BOTH = (TrialState.COMPLETE, TrialState.PRUNED)
DOMAINS: dict[str, BaseDistribution] = {
    "stage3.mixup_site": CategoricalDistribution(["none", "input", "stage3", "stage4"]),
    "stage3.focal_gamma": FloatDistribution(0.0, 4.0),
}


@pytest.fixture
def study() -> Study:
    return load(Path(__file__).parent.parent / "search_spaces" / "mixup.toml")


def told(states: str, seed: int = 0, directions: int = 1) -> optuna.Study:
    """An Optuna study with a trial a letter: Complete, Pruned, Failed or Running."""
    generator = np.random.default_rng(seed)
    asked = optuna.create_study(directions=["maximize"] * directions)
    kinds = {"C": TrialState.COMPLETE, "P": TrialState.PRUNED, "F": TrialState.FAIL, "R": TrialState.RUNNING}
    for letter in states:
        site, gamma = str(generator.choice(["none", "input", "stage4"])), float(generator.uniform(0.0, 4.0))
        values = [float(value) for value in generator.uniform(size=directions)]
        asked.add_trial(
            create_trial(
                state=kinds[letter],
                params={"stage3.mixup_site": site, "stage3.focal_gamma": gamma},
                distributions=DOMAINS,
                values=values if letter == "C" else None,
                intermediate_values={1: values[0]} if letter in "CP" else None,
            )
        )
    return asked


def asked_after(study: Study, trials: Sequence[FrozenTrial], number: int = 500) -> dict[str, Any]:
    """What the sampler of a trial proposes after these trials."""
    after = optuna.create_study(direction="maximize", sampler=sampler(study, number, index=number))
    after.add_trials(trials)
    return after.ask(DOMAINS).params


def test_nothing_is_hidden_up_to_the_bound() -> None:
    trials = told("CPCFRCPCRF").trials
    assert Bound(6, BOTH, (1.0,)).seen(trials) == trials


def test_the_best_quarter_is_seen_and_of_the_others_the_latest() -> None:
    asked = told("C" * 40)
    kept = {trial.number for trial in Bound(16, BOTH, (1.0,)).seen(asked.trials)}
    best = sorted(range(40), key=lambda number: -asked.trials[number].value)[:4]  # type: ignore[operator]
    assert len(kept) == 16
    assert set(best) <= kept
    assert kept - set(best) == set([number for number in range(40) if number not in best][-12:])


def test_pruned_trials_are_seen_for_being_late_and_running_ones_always() -> None:
    seen = Bound(8, BOTH, (1.0,)).seen(told("RCPPPPPPPPPPPFPPPP").trials)
    kept = "".join(trial.state.name[0] for trial in seen)
    assert kept == "RC" + "P" * 3 + "F" + "P" * 4


def test_states_that_a_sampler_does_not_look_at_take_no_place() -> None:
    trials = told("CPPPCPPPCPPP").trials
    assert Bound(3, (TrialState.COMPLETE,), (1.0,)).seen(trials) == trials


def test_the_best_of_two_values_are_those_of_the_weighted_sum() -> None:
    asked = told("C" * 20, directions=2)
    kept = {trial.number for trial in Bound(4, BOTH, (0.2, 0.8)).seen(asked.trials)}
    assert kept >= {max(range(20), key=lambda n: 0.2 * asked.trials[n].values[0] + 0.8 * asked.trials[n].values[1])}


@pytest.mark.parametrize(("name", "bound"), [("tpe", "_TPE_SEES"), ("gp", "_GP_SEES")])
def test_a_proposal_depends_on_the_trials_that_are_seen_and_on_no_other(
    study: Study, monkeypatch: pytest.MonkeyPatch, name: str, bound: str
) -> None:
    monkeypatch.setattr(sampler_module, bound, 16)
    bounded = load(study.path, {"search.sampler": name})
    trials = told("CPCCF" * 12 + "RR").trials
    states = (TrialState.COMPLETE,) if name == "gp" else BOTH
    kept = Bound(16, states, (1.0,)).seen(trials)
    assert len(kept) < len(trials) - 10
    assert asked_after(bounded, trials) == asked_after(bounded, kept)
    monkeypatch.setattr(sampler_module, bound, 1000)
    assert asked_after(bounded, trials) != asked_after(bounded, kept)


def test_the_gaussian_process_tries_fewer_points_where_many_trials_run(study: Study) -> None:
    gp = load(study.path, {"search.sampler": "gp"})
    points = []
    for running in (3, 50):
        asked = told("C" * 12 + "R" * running)
        asked.sampler = sampler(gp, 500, 500)
        asked.ask(DOMAINS)
        points.append(asked.sampler._sampler._n_preliminary_samples)  # type: ignore[attr-defined]
    assert points == [2048, 1024]


def test_a_drawn_setting_has_the_value_and_a_knob_that_acts(study: Study) -> None:
    for number in range(20):
        assert drawn(study, number, "stage3.mixup_site", "none")["stage3.mixup_site"] == "none"
        assert drawn(study, number, "stage3.mixup_alpha", 0.5)["stage3.mixup_alpha"] == 0.5
    assert drawn(study, 7, "stage3.mixup_site", "none") == drawn(study, 7, "stage3.mixup_site", "none")
    assert drawn(study, 7, "stage3.mixup_site", "none") != drawn(study, 8, "stage3.mixup_site", "none")


def test_parents_of_a_generation_stand_with_the_trial_that_asked_for_them(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler_module, "POPULATION", 4)
    genetic = load(study.path, {"search.sampler": "nsga2"})
    asked = optuna.create_study(direction="maximize")
    for number in range(12):
        asked.sampler = sampler(genetic, number, number)
        trial = asked.ask(DOMAINS)
        asked.tell(trial, trial.params["stage3.focal_gamma"])
    records = [sorted(key for key in trial.system_attrs if key.startswith("parents")) for trial in asked.trials]
    assert records == [[], [], [], [], ["parents:1"], [], [], [], ["parents:2"], [], [], []]
    best = sorted(asked.trials[:4], key=lambda trial: -(trial.value or 0.0))
    assert sorted(asked.trials[4].system_attrs["parents:1"]) == sorted(trial.number for trial in best)
