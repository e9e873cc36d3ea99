"""Run a study or carry it on: Ray comes up while what takes seconds is imported; then shared stages, then a Tuner.

When Ray is down again, the report is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rfcx_model.recordings import Recordings, load
from study import other_questions
from study.display import Display
from study.machine import trains_on_all_cores
from study.meanwhile import SLOW, import_meanwhile
from study.order import Order
from study.ray_session import session
from study.space import Study
from study.trials import Trial, read_trials

if TYPE_CHECKING:
    from study.place import Place


def run(study: Study, order: Order, display: Display) -> Path:
    """Run the study, or carry it on, and write its report; return its folder.

    Raises:
        InputError: something that the user can mend, before any training.
        RunError: a shared stage failed.
    """
    recordings = load(order.data)
    folder = order.out / f"{study.name}-{study.signature(recordings.fingerprint)[:8]}"
    if told := other_questions.difference(study, recordings.fingerprint, folder):
        display.say(told)
    with ready(study, recordings, folder, order, display) as place:
        from study.place import tell_work, train_early
        from study.study_folder import write_study
        from study.tuning import search
        from study.work import planned_work

        write_study(study, place.job.setting, folder, order)
        display.say(f"{folder}: {planned_work(study, place.job.setting, order.trials)}")
        limit = order.trials or study.budget.trials
        if is_left(study, limit, read_trials(place.ledger.path)):
            train_early(place, limit, None, display)
        search(place, order, display)
        tell_work(place, display)
    return folder


def is_left(study: Study, limit: int, trials: Sequence[Trial]) -> bool:
    """Whether a trial of the study's own is still to be run or carried on."""
    asked = [trial for trial in trials if trial.origin != "confirm"]
    most = min(limit, len(study.points())) if study.search.sampler == "grid" else limit
    return len(asked) < most or any(trial.state in ("RUNNING", "STOPPED") for trial in asked)


@contextmanager
def ready(study: Study, recordings: Recordings, folder: Path, order: Order, display: Display) -> Iterator[Place]:
    """Start or join Ray, find out what can be trained there, and take the study's lease; at the end, write the report.

    Raises:
        InputError: something that the user can mend.
    """
    import_meanwhile(SLOW, "study.report")
    alone = order.address is None and trains_on_all_cores(study.resources)
    with session(order.address, warm=alone):
        from study.place import held

        with held(study, recordings, folder, order, display) as place:
            yield place
    from study.report import write

    write(folder)  # not beside Ray's end: garbage of Ray's that another thread then collects ends the process
