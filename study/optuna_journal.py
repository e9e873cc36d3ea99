"""The study as Optuna's own tools see it: `optuna.journal`, rewritten from the ledger at each start, then kept up.

`optuna-dashboard STUDY/optuna.journal` looks on while the study runs. Nothing is ever read back from it. Trials have
Optuna's numbers there, which count them as they began; the user attribute `trial` is the ledger's number.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from study.searcher import directions, frozen_trial
from study.space import Study
from study.trials import EpochRecord, Trial

NAME: Final = "optuna.journal"


class OptunaJournal:
    """What the recorder tells goes to the journal too. A disk that takes no more ends the journal, not the study."""

    def __init__(self, folder: Path, study: Study, trials: Sequence[Trial], say: Callable[[str], None]) -> None:
        self._path = folder / NAME
        self._study = study
        self._say = say
        self._ids: dict[int, int] = {}
        self._storage: Any = None
        self._over = False
        self._try(lambda: self._begin(trials))

    def started(self, trial: Trial) -> None:
        """A trial begins; one that begins again is there already."""
        self._try(lambda: self._add(trial))

    def epoch(self, trial: Trial, record: EpochRecord) -> None:
        """The last epoch of a trial that was told as started."""
        scores = frozen_trial(self._study, trial).intermediate_values
        if record.step in scores and trial.number in self._ids:
            at, score = self._ids[trial.number], scores[record.step]
            self._try(lambda: self._storage.set_trial_intermediate_value(at, record.step, score))

    def ended(self, trial: Trial) -> None:
        """A trial's end. One that was stopped may be carried on: Optuna sees it running, now and after a restart."""
        if trial.state == "STOPPED" or trial.number not in self._ids:
            return
        at, told = self._ids[trial.number], frozen_trial(self._study, trial)
        self._try(lambda: self._storage.set_trial_state_values(at, told.state, told.values))

    def _begin(self, trials: Sequence[Trial]) -> None:
        for old in (self._path, self._path.with_name(f"{NAME}.lock")):
            old.unlink(missing_ok=True)
        self._storage = JournalStorage(JournalFileBackend(str(self._path)))
        asked = directions(self._study)
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it tells on stderr that a study was made
        made = optuna.create_study(storage=self._storage, study_name=self._study.name, directions=asked)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # names of metrics are called so
            made.set_metric_names(["score"] if len(asked) == 1 else ["lwlrap", "precision"])
        for trial in trials:
            self._add(trial)

    def _add(self, trial: Trial) -> None:
        if trial.origin == "confirm" or trial.number in self._ids:
            return
        frozen = frozen_trial(self._study, trial)
        frozen.set_user_attr("trial", trial.number)
        frozen.set_user_attr("name", trial.name)
        frozen.datetime_start = datetime.fromtimestamp(trial.started)
        if trial.ended is not None and frozen.state.is_finished():
            frozen.datetime_complete = datetime.fromtimestamp(trial.ended)
        study_id = self._storage.get_study_id_from_name(self._study.name)
        self._ids[trial.number] = self._storage.create_new_trial(study_id, frozen)

    def _try(self, work: Callable[[], Any]) -> None:
        if self._over:
            return
        try:
            work()
        except OSError as error:
            self._end(error)
        except RuntimeError as error:  # Optuna's word for a lock that went with its folder
            if not isinstance(error.__context__, OSError):
                raise
            self._end(error.__context__)

    def _end(self, error: OSError) -> None:
        self._over = True
        self._say(f"{self._path}: {error.strerror or error}; the study goes on without it")
