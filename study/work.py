"""The work of a study: which stages its trials ask for, and how many fold-epochs they are, shared and not.

A fold-epoch is one epoch of one model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rfcx_model.hyperparameters import STAGES, Hyperparameters, StageName, build
from study import recipe
from study.recipe import Cost, Partition, Request
from study.setting import Setting, trial_seed
from study.space import Study
from study.store import Store
from study.trials import Trial

Run = tuple[Hyperparameters, int]
"""What one trial trains, and its replicate."""


def trial_request(study: Study, setting: Setting, hyperparameters: Hyperparameters, replicate: int) -> Request:
    """What a trial of the study asks for."""
    return recipe.trial_request(
        hyperparameters,
        range(setting.n_folds),
        trial_seed(study.search.seed, replicate),
        study.first_own(hyperparameters.last_stage),
    )


def stored_request(store: Store, partition: Partition, hyperparameters: Hyperparameters, seed: int) -> Request | None:
    """A trial's request as it was trained, or None where it is not in the store.

    Stages may have been shared or the trial's own, which names them differently; what has got furthest is taken.
    """
    folds = range(partition.n_folds)
    requests = [recipe.trial_request(hyperparameters, folds, seed, first_own) for first_own in reversed(STAGES)]
    furthest = max(requests, key=lambda one: store.epochs_done(one.name(hyperparameters, partition)))
    return furthest if store.epochs_done(furthest.name(hyperparameters, partition)) else None


def known_trials(study: Study, limit: int | None) -> Iterator[Run]:
    """Trials whose settings are known before the search, with their replicate: a whole grid, else the baseline."""
    if study.search.sampler == "grid":
        for replicate, params in study.points()[:limit]:
            yield study.hyperparameters(params), replicate
    else:
        for replicate in range(study.search.replicates):
            yield study.hyperparameters(study.baseline), replicate


def shared_stages(
    study: Study, setting: Setting, limit: int | None, listed: Sequence[Run] | None = None
) -> Iterator[tuple[Hyperparameters, Request, int]]:
    """Stages that are trained before any trial begins, with their replicate; one that several need comes again.

    `listed` are trials that run instead of the study's own.
    """
    for hyperparameters, replicate in known_trials(study, limit) if listed is None else listed:
        for one in recipe.earlier(trial_request(study, setting, hyperparameters, replicate)):
            if _is_shared(study, one, listed is not None):
                yield hyperparameters, one, replicate


def _is_shared(study: Study, request: Request, listed: bool) -> bool:
    """Whether no searched knob touches the stage: of a list, all that comes before a trial's own is known in advance.

    Teachers that follow a trial's own stage 1 are none of those, although they are not measured.
    """
    if request.measured or any(one.measured for one in recipe.earlier(request)):
        return False
    known = listed or study.search.sampler == "grid"
    return known or STAGES.index(request.stage) < STAGES.index(study.first_stage)


def planned_work(study: Study, setting: Setting, trials: int | None, listed: Sequence[Run] | None = None) -> Cost:
    """Fold-epochs of the study if no trial is pruned; a search counts every trial with the baseline's epochs.

    `listed` are trials that run instead of the study's own.
    """
    limit = trials or study.budget.trials
    known = list(known_trials(study, limit) if listed is None else listed)
    times = 1 if listed is not None or study.search.sampler == "grid" else limit
    shared: dict[str, tuple[StageName, int]] = {}
    own_crops = own = unshared = alone = measured = 0
    for hyperparameters, replicate in known:
        request = trial_request(study, setting, hyperparameters, replicate)
        one = recipe.cost(hyperparameters, request)
        own, unshared, alone = own + one.trials * times, unshared + one.unshared * times, alone + one.alone * times
        measured += one.measured * times
        mine = [stage for stage in recipe.own(request) if stage.stage == "stage1"]
        own_crops += sum(stage.fold_epochs(hyperparameters) for stage in mine) * times
        before = [stage for stage in recipe.earlier(request) if not stage.measured]
        called = recipe.names(before, hyperparameters, setting.partition(trial_seed(study.search.seed, replicate)))
        for name, stage in zip(called, before, strict=True):
            count = stage.fold_epochs(hyperparameters)
            if _is_shared(study, stage, listed is not None):
                shared[name] = stage.stage, count
            else:  # a searched knob changes it, so each trial trains its own
                own += count * times
                own_crops += count * times if stage.stage == "stage1" else 0
    return Cost(
        shared=sum(count for _, count in shared.values()),
        trials=own,
        unshared=unshared,
        alone=alone,
        bound=not any(_counts(name) for name in study.searched()) or times == 1,
        crops=own_crops + sum(count for stage, count in shared.values() if stage == "stage1"),
        measured=measured,
    )


def _counts(name: str) -> bool:
    """Whether a knob changes how many fold-epochs a trial is."""
    return name.endswith(".epochs") or name in ("stage3.cycles", "stage3.teachers", "stage3.teacher_scheme")


@dataclass(frozen=True)
class Done:
    """Fold-epochs behind a study's ledger: what stands in the store once, and what it is without sharing."""

    trained: int
    alone: int

    def __str__(self) -> str:
        times = f", {self.alone / self.trained:.1f} times as many" if self.trained else ""
        return f"{self.trained} fold-epochs trained; {self.alone} if each trial had trained all it needs{times}"


def done_work(study: Study, setting: Setting, store: Store, trials: Iterable[Trial]) -> Done:
    """Count what has been trained for these trials, finished or not."""
    trained: dict[str, int] = {}
    alone = 0
    for trial in trials:
        hyperparameters = build(dict(trial.config))
        request = trial_request(study, setting, hyperparameters, trial.replicate)
        needed = [*recipe.earlier(request), request]
        called = recipe.names(needed, hyperparameters, setting.partition(trial.seed))
        counts = [store.epochs_done(name) * len(one.held_out) for name, one in zip(called, needed, strict=True)]
        trained |= dict(zip(called, counts, strict=True))
        alone += sum(counts)
    return Done(sum(trained.values()), alone)
