"""What can be wrong between the parts of a space file, once each part is sound by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from rfcx_model.errors import InputError
from study.knob import problem_of
from study.space import Study

_IDLE: Final[dict[str, tuple[tuple[str, tuple[Any, ...]], ...]]] = {
    "stage1.mixup_alpha": (("stage1.mixup_site", ("none",)),),
    "stage1.label_rule": (("stage1.mixup_site", ("none",)),),
    "stage2.mixup_alpha": (("stage2.mixup_site", ("none",)),),
    "stage2.label_rule": (("stage2.mixup_site", ("none",)),),
    "stage3.mixup_alpha": (("stage3.mixup_site", ("none",)),),
    "stage3.label_rule": (("stage3.mixup_site", ("none",)),),
    "stage3.pseudo_threshold": (("stage2.epochs", (0,)),),  # nobody to make the labels
    "stage3.pseudo_rule": (("stage3.pseudo_threshold", (1.0,)),),
    "stage3.pseudo_weight": (("stage3.pseudo_threshold", (1.0,)),),
    "stage3.votes": (("stage3.pseudo_threshold", (1.0,)), ("stage3.pseudo_rule", ("mean",))),
    "stage3.teachers": (("stage3.pseudo_threshold", (1.0,)), ("stage3.teacher_scheme", ("nested", "diary"))),
    "stage3.teacher_scheme": (("stage3.pseudo_threshold", (1.0,)),),
    "stage3.cycles": (("stage3.pseudo_threshold", (1.0,)),),
    "augment.time_mask_frames": (("augment.mask_probability", (0.0,)),),
    "augment.mel_mask_mels": (("augment.mask_probability", (0.0,)),),
}
"""Knobs that do nothing while another knob has one of these values; asking for them there is a contradiction."""


def idle(name: str, values: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The knob, with its value, that makes the knob `name` do nothing; `values` may hold some knobs only."""
    group = name.partition(".")[0]
    whys = _IDLE.get(name, ())
    if group.startswith("stage") and name != f"{group}.epochs":
        whys = ((f"{group}.epochs", (0,)), *whys)
    return next(((other, values[other]) for other, at in whys if other in values and values[other] in at), None)


def check_constants(where: str, study: Study) -> None:
    """Contradictions among what does not vary, and knobs that cannot matter."""
    problem = problem_of(study.fixed)
    if problem and not any(name.partition(".")[2] in problem for name in study.searched()):
        raise InputError(f"{where}: [fixed]: {problem}.")
    for knob in study.knobs:
        why = idle(knob.name, study.constants)
        if why:
            raise InputError(
                f"{where}: `{knob.name}` is searched, but does nothing while `{why[0]}` is {why[1]!r}. "
                f"Remove it, or change `{why[0]}`."
            )
    for name in study.fixed:
        why = idle(name, study.constants)
        if why and not why[0].endswith(".epochs"):  # a stage that is switched off keeps its settings
            raise InputError(
                f"{where}: [fixed] `{name}` does nothing while `{why[0]}` is {why[1]!r}. "
                f"Remove it, or change `{why[0]}`."
            )


def check_pairs(where: str, study: Study) -> None:
    """Each bound and choice with the baseline, then each two of one group: the corners must all be valid."""
    if study.arms:
        return  # no product: the arms are judged one by one
    problem = problem_of({**study.fixed, **study.baseline})
    if problem:
        raise InputError(f"{where}: [baseline]: {problem}.")
    for index, first in enumerate(study.knobs):
        partners = [k for k in study.knobs[:index] if k.name.partition(".")[0] == first.name.partition(".")[0]]
        for second in partners or [first]:
            for one in first.extremes():
                for two in second.extremes() if partners else (one,):
                    values = {**study.fixed, **study.baseline, second.name: two[1], first.name: one[1]}
                    problem = problem_of(values)
                    if problem:
                        raise InputError(f"{where}: `{first.name}` ({one[0]}={one[1]!r}): {problem}.")


def check_recipes(where: str, study: Study) -> None:
    """Recipes that contradict themselves: what an arm asks for and would not get, and teachers that cannot be."""
    for number, arm in enumerate(study.arms, start=1):
        place = f"{where}: [[arm]] {number} ({arm.regime})"
        values = {**study.constants, **arm.params}
        problem = problem_of({**study.fixed, **arm.params})
        if problem:
            raise InputError(f"{place}: {problem}.")
        for name in arm.named:
            why = idle(name, values)
            if why:
                raise InputError(
                    f"{place}: `{name}` does nothing while `{why[0]}` is {why[1]!r}. Remove it, or change `{why[0]}`."
                )
    schemes = study.values_of("stage3.teacher_scheme")
    if "nested" in schemes and study.search.folds < 3:
        raise InputError(
            f"{where}: `stage3.teacher_scheme` = 'nested' needs a third fold to train a teacher that saw neither of "
            f"two, but got [search] folds={study.search.folds}. Ask for 3 folds or more, or for 'own' teachers."
        )
    if "diary" in schemes and (study.search.sampler != "grid" or study.search.scheduler != "none"):
        raise InputError(
            f"{where}: `stage3.teacher_scheme` = 'diary' lets teachers see the fold that their student is scored on, "
            "so its scores cannot lead a search. Reproduce it with [search] sampler = 'grid' and scheduler = 'none'."
        )


def check_search(where: str, study: Study, trials_given: bool) -> Study:
    """Settings that do not go together. A grid without a number of trials gets that of its combinations."""
    search, objective = study.search, study.objective
    if objective.rule != "floor" and objective.lwlrap + objective.precision <= 0:
        raise InputError(f"{where}: [objective] lwlrap + precision > 0 must hold, but both are 0.")
    shortest, _ = study.epoch_range()
    if search.scheduler != "none" and search.grace > shortest:
        raise InputError(
            f"{where}: [search] grace <= the epochs of a trial must hold, but got grace={search.grace}, "
            f"epochs={shortest}. Lower grace, or set scheduler = 'none'."
        )
    if search.sampler != "grid":
        if search.replicates > 1:
            raise InputError(
                f"{where}: [search] replicates={search.replicates} needs sampler = 'grid'; "
                "a search proposes each setting once."
            )
        return study
    for knob in study.knobs:
        if not knob.values():
            raise InputError(
                f"{where}: `{knob.name}` is continuous, but [search] sampler = 'grid' tries every value. "
                "Give it choices or a step."
            )
    return study if trials_given else replace(study, budget=replace(study.budget, trials=_grid_size(study)))


def _grid_size(study: Study) -> int:
    return sum(1 for _ in study.grid()) * study.search.replicates
