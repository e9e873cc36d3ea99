"""reproduce: one trial again, outside Ray and with an empty store, held against what the ledger says of it.

Notations
    gap     |again − ledger| of one metric at one epoch; 0 where both are NaN, infinite where one is

A stage is a pure function of what names it, so on the same machine with the same versions every gap is exactly 0.0.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rfcx_model import compute
from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import Hyperparameters
from study import outcome
from study.display import Display
from study.facts import finite
from study.machine import cores
from study.objective import ScoreError
from study.prepared import spectrograms
from study.recipe import Request, cost
from study.restored import order_of, restored, same_data
from study.setting import Alone, Lockbox, Setting, trial_seed, workshop
from study.space import Study
from study.stages import trial_epochs
from study.store import maker_of, open_store
from study.study_folder import commit, versions
from study.study_json import read_study, recipe_of, stages_of
from study.tables import number
from study.trials import Trial, read_trials
from study.work import trial_request

UNTOLD: Final = ("seconds",)
"""Metrics that are no result."""


@dataclass(frozen=True)
class Gap:
    """One metric of the trial's last epoch on record."""

    metric: str
    ledger: float | None
    again: float | None
    gap: float


@dataclass(frozen=True)
class Reproduced:
    """A trial held against the ledger. `largest` is the largest gap of any metric at any epoch."""

    trial: int
    name: str
    state: str
    epochs: int
    seconds: float
    gaps: tuple[Gap, ...]
    largest: float
    where: str  # of the largest gap
    differs: tuple[str, ...]  # what is known to be other than it was

    @property
    def explained(self) -> bool:
        """Whether there is no gap, or something is known that makes one."""
        return self.largest == 0 or bool(self.differs)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; an infinite gap is null."""
        told = asdict(self) | {"explained": self.explained}
        told["gaps"] = [one | {"gap": finite(one["gap"])} for one in told["gaps"]]
        return told | {"largest": finite(self.largest)}

    def __str__(self) -> str:
        head = f"trial {self.name} ({self.state}): {self.epochs} measured epochs trained again in {self.seconds:.0f} s"
        width = max(len(one.metric) for one in self.gaps)
        rows = [f"{'metric':<{width}}  {'ledger':>10}  {'again':>10}  gap"]
        rows += [
            f"{one.metric:<{width}}  {number(one.ledger):>10}  {number(one.again):>10}  {one.gap!r}"
            for one in self.gaps
        ]
        return "\n".join([head, *rows, self._verdict()])

    def _verdict(self) -> str:
        if self.largest == 0:
            return "gap: 0.0, in every metric of every epoch"
        told = f"gap: {self.largest!r} at most, {self.where}"
        if self.differs:
            return f"{told}; what differs from then: {'; '.join(self.differs)}"
        return f"{told}; nothing is known to differ from then, so this is not explained"


@dataclass(frozen=True, eq=False)
class _Again:
    """A trial of the ledger and all that it takes to train it again."""

    study: Study
    folder: Path
    trial: Trial
    hyperparameters: Hyperparameters
    request: Request
    setting: Setting

    @property
    def ledger(self) -> Path:
        return self.folder / "trials.jsonl"


def reproduce(
    folder: Path,
    number: int,
    display: Display,
    *,
    data: Path | None = None,
    cache: Path | None = None,
    store: Path | None = None,
) -> Reproduced:
    """Train a trial again as far as the ledger has it, and measure the gap.

    Args:
        folder: a study's folder
        number: the trial's
        display: where progress is shown
        data: the study's data, where they have moved
        cache: another place of the spectrograms
        store: where what is trained is kept, so that an interrupted call goes on; None: nowhere

    Raises:
        InputError: no such study or trial, the trial has no epoch on record, the data are others, the study is of
            another version, or `store` is where the study keeps its own.
    """
    study, order = restored(folder), order_of(folder, data, cache, None, None)
    trial = _on_record(folder, number)
    if store is not None and store.resolve() == stages_of(folder, read_study(folder)).resolve():
        raise InputError(f"{store}: it must not be the study's own store, where the trial stands. Give another folder.")
    with TemporaryDirectory(prefix="rfcx-reproduce-") as temporary:
        setting = Setting(
            recordings=same_data(folder, order.data),
            n_folds=study.search.folds,
            cache=order.cache,
            store=store or Path(temporary),
            threads=min(int(read_study(folder).get("threads") or 1), cores()),
            lockbox=Lockbox(study.search.lockbox, study.search.seed),
            pretrained=dict(read_study(folder).get("pretrained") or {}),
        )
        h = recipe_of(trial.config, f"{folder / 'trials.jsonl'}, trial {number}")
        asked = _Again(study, folder, trial, h, trial_request(study, setting, h, trial.replicate), setting)
        spectrograms(setting.recordings, h.frontend, order.cache, display)
        begun = time.monotonic()
        return _held_against(asked, _trained(asked, display), time.monotonic() - begun)


def _on_record(folder: Path, number: int) -> Trial:
    ledger = folder / "trials.jsonl"
    trials = read_trials(ledger)
    found = next((trial for trial in trials if trial.number == number), None)
    if found is None or not found.epochs:
        got = "there is none of this number" if found is None else f"it has none ({found.state})"
        able = ", ".join(str(trial.number) for trial in trials if trial.epochs) or "none"
        raise InputError(f"{ledger}: trial {number} must have an epoch on record, but {got}. Such are: {able}.")
    return found


def _trained(asked: _Again, display: Display) -> list[dict[str, float]]:
    """Metrics of the epochs that are on record, made again."""
    h, trial, done = asked.hyperparameters, asked.trial, 0
    found: list[dict[str, float]] = []

    def tick(models: int) -> None:
        nonlocal done
        done += models
        display.at(done)

    with display.phase(f"trial {trial.number}", cost(h, asked.request).total, "fold-epochs"):
        seed = trial_seed(asked.study.search.seed, trial.replicate)
        place = workshop(asked.setting, h, seed, lease=Alone(), tick=tick, say=display.say)
        for record, (epoch, _) in zip(trial.epochs, trial_epochs(place, h, asked.request), strict=False):  # no further
            metrics = {**epoch.metrics, "train_loss": epoch.train_loss}
            if any(name.startswith("lockbox_") for name in record.metrics):
                metrics |= outcome.on_lockbox(asked.study, place, h, epoch)[0]
            found.append(metrics)
    return found


def _held_against(asked: _Again, again: list[dict[str, float]], seconds: float) -> Reproduced:
    trial = asked.trial
    each = [_gaps(record.metrics, metrics) for record, metrics in zip(trial.epochs, again, strict=True)]
    last = [*_score(asked, again[-1]), *each[-1]]
    found = [
        (gap.gap, f"in {gap.metric} at epoch {record.epoch} of stage {record.stage}")
        for record, gaps in zip(trial.epochs, [*each[:-1], last], strict=True)
        for gap in gaps
    ]
    largest, where = max(found, key=lambda one: one[0])
    return Reproduced(
        trial=trial.number,
        name=trial.name,
        state=trial.state,
        epochs=len(again),
        seconds=seconds,
        gaps=tuple(last),
        largest=largest,
        where=where,
        differs=_differs(asked),
    )


def _gaps(ledger: Mapping[str, float], again: Mapping[str, float]) -> list[Gap]:
    """Of every metric on record but times."""
    return [_gap(name, value, again.get(name, math.nan)) for name, value in ledger.items() if name not in UNTOLD]


def _score(asked: _Again, metrics: Mapping[str, float]) -> list[Gap]:
    """Of the score, where the trial has one."""
    trial = asked.trial
    if trial.score is None:
        return []
    try:
        again = outcome.score(asked.study, asked.ledger, trial.number, trial.step, metrics)
    except ScoreError:
        again = math.nan
    return [_gap("score", trial.score, again)]


def _gap(name: str, ledger: float, again: float) -> Gap:
    both = math.isnan(ledger) and math.isnan(again)
    gap = 0.0 if both else abs(again - ledger)
    return Gap(name, finite(ledger), finite(again), math.inf if math.isnan(gap) else gap)


def _differs(asked: _Again) -> tuple[str, ...]:
    """What is known to be other than it was when the trial was trained."""
    told = read_study(asked.folder)
    then = {str(key): str(value) for key, value in (told.get("versions") or {}).items()}
    then |= {"threads": str(told.get("threads") or 1)}
    now = versions() | {"threads": str(asked.setting.threads)}
    name = asked.request.name(asked.hyperparameters, asked.setting.partition(asked.trial.seed))
    maker = maker_of(stages_of(asked.folder, told), name)
    if maker:  # more exact than the commit, which may have changed what no trial depends on
        then |= maker
        now |= dict(open_store(asked.setting.store, compute.best()).maker)
    else:
        then["commit"], now["commit"] = str(told.get("commit")), commit()
    return tuple(
        f"{name} {then[name]} → {now.get(name, 'none')}" for name in sorted(then) if then[name] != now.get(name)
    )
