"""What can be wrong between the parts of a space file, once each part is sound by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from rfcx_model.errors import InputError
from study.knob import problem_of
from study.space import Study

_IDLE: Final[dict[str, tuple[str, Any]]] = {
    "stage1.mixup_alpha": ("stage1.mixup_site", "none"),
    "stage2.mixup_alpha": ("stage2.mixup_site", "none"),
    "stage3.mixup_alpha": ("stage3.mixup_site", "none"),
    "stage3.pseudo_weight": ("stage3.pseudo_threshold", 1.0),
    "stage3.votes": ("stage3.pseudo_threshold", 1.0),
    "stage3.teachers": ("stage3.pseudo_threshold", 1.0),
    "stage3.pseudo_threshold": ("stage2.epochs", 0),  # nobody to make the labels
    "augment.time_mask_frames": ("augment.mask_probability", 0.0),
    "augment.mel_mask_mels": ("augment.mask_probability", 0.0),
}
"""Knobs that do nothing while another knob has this value; searching them there is a contradiction."""


def check_constants(where: str, study: Study) -> None:
    """Contradictions among what does not vary, and knobs that cannot matter."""
    problem = problem_of(study.fixed)
    if problem and not any(name.partition(".")[2] in problem for name in study.searched()):
        raise InputError(f"{where}: [fixed]: {problem}.")
    for knob in study.knobs:
        other, value = _IDLE.get(knob.name, ("", None))
        group = knob.name.partition(".")[0]
        if study.constants.get(f"{group}.epochs") == 0:
            other, value = f"{group}.epochs", 0
        if other and study.constants.get(other) == value:
            raise InputError(
                f"{where}: `{knob.name}` is searched, but does nothing while `{other}` is {value!r}. "
                f"Remove it, or change `{other}`."
            )


def check_pairs(where: str, study: Study) -> None:
    """Each bound and choice with the baseline, then each two of one group: the corners must all be valid."""
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
