"""Run the best settings of a search again, on replicates that it has never used, to learn what they are worth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rfcx_model.hyperparameters import build
from study.arms_to_confirm import chances
from study.candidates import Wanted
from study.declaration import Declaration, left
from study.display import Display
from study.launch import ready
from study.listed_searcher import Listed
from study.order import Order
from study.place import Place, tell_work, train_early
from study.recipe import Cost
from study.restored import same_data
from study.sampler import drawn
from study.space import Study
from study.study_folder import write_folds
from study.trials import Trial, read_trials
from study.tuning import listed_trials
from study.work import planned_work

_FILL: Final = (
    "; the best of fewer is worse by chance alone. --fill evens them out first. Interrupt this call if that is wanted: "
    "once something is known of the arms on fresh replicates, they stay as they are"
)
SHORTEST_S: Final = 1.0  # where filling the arms took all the time: what is declared is left for the next call


def confirm(folder: Path, study: Study, order: Order, wanted: Wanted, display: Display) -> None:
    """Declare settings and replicates, and run what of them has not run yet; what was begun is carried on.

    What has run is in the report at the end.

    Raises:
        InputError: something that the user can mend, before any training.
        RunError: a shared stage or every trial failed.
    """
    folder = folder.absolute()
    recordings = same_data(folder, order.data)
    wanted.check(folder, study, read_trials(folder / "trials.jsonl"))  # before Ray is started
    until = None if order.hours is None else time.monotonic() + 3600 * order.hours
    with ready(study, recordings, folder, order, display) as place:
        if wanted.by is not None and not _level(place, wanted, order.hours, display):
            display.say("the arms are not filled yet, so nothing is declared; call `confirm` again")
            return
        trials = read_trials(place.ledger.path)
        declared = wanted.declared(folder, study, trials)
        write_folds(study, place.job.setting, folder, declared.replicates[-1] + 1)
        repeats = left(declared, trials)
        runs = [(build(dict(one.config)), one.replicate) for one in repeats]
        if not repeats:
            display.say(f"{_declared(declared)}, and all have run")
            return
        cost = planned_work(study, place.job.setting, None, runs)
        display.say(f"{_declared(declared)}; {len(repeats)} trials are left: {_cost(cost)}")
        train_early(place, None, runs, display)
        listed = [Listed("confirm", one.replicate, study.params_of(one.config), trial=one.trial) for one in repeats]
        left_h = None if until is None else max(until - time.monotonic(), SHORTEST_S) / 3600
        listed_trials(place, listed, left_h, display)
        tell_work(place, display)


def _declared(declared: Declaration) -> str:
    return f"{len(declared.arms)} settings on {len(declared.replicates)} fresh replicates are declared"


def _cost(cost: Cost) -> str:
    return f"{cost.total} fold-epochs, {cost.shared} shared and {cost.trials} in the trials"


def _level(place: Place, wanted: Wanted, hours: float | None, display: Display) -> bool:
    """Say which arms have had fewer trials than others, and give them as many where that is asked for.

    False where the time was over before all of these had ended.
    """
    study, by = place.job.study, wanted.by or ""
    trials = read_trials(place.ledger.path)
    if wanted.settled(place.job.folder, trials):
        display.say(f"the arms of {by} stay as they were declared: on fresh replicates something is known of them")
        return True
    had = chances(study, trials, by)
    open_ = [one for one in trials if one.origin != "confirm" and one.state in ("RUNNING", "STOPPED")]
    if len(set(had.values())) > 1:
        told = ", ".join(f"{value} {count}" for value, count in had.items())
        display.say(f"the arms of {by} have not had the same number of trials ({told}){'' if wanted.fill else _FILL}")
    if not wanted.fill:
        return True
    listed = [*_carried_on(study, open_), *_further(study, trials, by, had)]
    if listed:
        train_early(place, 1, None, display)
        listed_trials(place, listed, hours, display)
    ended = [one for one in read_trials(place.ledger.path) if one.origin != "confirm"]
    return not any(one.state in ("RUNNING", "STOPPED") for one in ended)


def _carried_on(study: Study, open_: Sequence[Trial]) -> list[Listed]:
    return [
        Listed(one.origin, one.replicate, study.params_of(one.config), dict(one.proposal), trial=one) for one in open_
    ]


def _further(study: Study, trials: Sequence[Trial], by: str, had: dict[Any, int]) -> list[Listed]:
    """Drawn at random within their arms, in turns."""
    number = max((trial.number for trial in trials), default=-1) + 1
    most = max(had.values())
    missing = [value for turn in range(most) for value, count in had.items() if count + turn < most]
    return [
        Listed("search", 0, drawn(study, number + index, by, value), {"sampler": "fill"})
        for index, value in enumerate(missing)
    ]
