"""What can be wrong between the parts of a space file, once each part is sound by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations, product
from typing import Any, Final

from rfcx_model.errors import InputError
from study.knob import Knob, problem_of
from study.space import Study
from study.space_idle import check_searched, idle, off, point_near

_RECIPE: Final = ("stage1.epochs", "stage2.epochs", "stage3.epochs", "stage3.pseudo_threshold", "stage3.cycles")
"""Knobs of which more than two can contradict each other at once; all others do so in pairs of one group."""


def check_constants(where: str, study: Study, overrides: Mapping[str, Any]) -> None:
    """Contradictions among what does not vary, and knobs that cannot matter. `overrides` are those of `--set`.

    Raises:
        InputError: with the way out.
    """
    problem = problem_of(study.fixed)
    if problem and not any(_speaks_of(problem, name) for name in study.searched()):
        told = [name for name in overrides if _speaks_of(problem, name)]
        raise InputError(f"{_place(where, told, overrides)}: {problem}.")
    for knob in study.knobs if not study.arms else ():
        why = idle(knob.name, study.constants)
        if why:
            raise InputError(
                f"{where}: `{knob.name}` is searched, but does nothing while `{why[0]}` is {why[1]!r}. "
                f"Remove it, or change `{why[0]}`."
            )
    recipes = [{**study.constants, **arm.params} for arm in study.arms] or [dict(study.constants)]
    for name in study.fixed:
        whys = [idle(name, recipe) for recipe in recipes]
        why = next((why for why in whys if why and not off(name, why)), None)
        if why and all(whys):
            told = [one for one in (name, why[0]) if one in overrides]
            raise InputError(f"{_place(where, told, overrides)}: {_does_nothing(name, why)}")


def check_points(where: str, study: Study) -> None:
    """The baseline, the points to try, and the corners of the domains, as far as a trial can have them.

    Raises:
        InputError: the values that contradict each other.
    """
    if study.arms:
        return  # no product: the arms are judged one by one
    tries = ((f"[[try]] {number}", point) for number, point in enumerate(study.tries, start=1))
    for place, point in (("[baseline]", study.baseline), *tries):
        problem = problem_of({**study.fixed, **point})
        if problem:
            raise InputError(f"{where}: {place}: {problem}.")
    for together in _neighbours(study):
        for corner in product(*(knob.extremes() for knob in together)):
            told = [(knob.name, word, value) for knob, (word, value) in zip(together, corner, strict=True)]
            problem = problem_of({**study.fixed, **point_near(study, {name: value for name, _, value in told})})
            if problem:
                values = " with ".join(f"`{name}` ({word}={value!r})" for name, word, value in told)
                raise InputError(f"{where}: {values}: {problem}.")
    check_searched(where, study)


def _neighbours(study: Study) -> Iterator[tuple[Knob, ...]]:
    """Each knob alone, each two of one group, and those of the recipe: what is judged corner by corner."""
    yield from ((knob,) for knob in study.knobs)
    for one, two in combinations(study.knobs, 2):
        if one.name.partition(".")[0] == two.name.partition(".")[0]:
            yield one, two
    yield tuple(knob for knob in study.knobs if knob.name in _RECIPE)


def check_recipes(where: str, study: Study) -> None:
    """Recipes that contradict themselves: what an arm asks for and would not get, and teachers that cannot be.

    Raises:
        InputError: with the arm, where there is one.
    """
    for number, arm in enumerate(study.arms, start=1):
        place = f"{where}: [[arm]] {number} ({arm.regime})"
        problem = problem_of({**study.fixed, **arm.params})
        if problem:
            raise InputError(f"{place}: {problem}.")
        for name in arm.named:
            why = idle(name, {**study.constants, **arm.params})
            if why:
                raise InputError(f"{place}: {_does_nothing(name, why)}")
    _check_labels(where, study)
    schemes = _schemes(study)
    if "nested" in schemes and study.search.folds < 3:
        raise InputError(
            f"{where}: `stage3.teacher_scheme` = 'nested' needs a third fold to train a teacher that saw neither of "
            f"two, but got [search] folds={study.search.folds}. Ask for 3 folds or more, or for 'own' teachers."
        )
    if "diary" in schemes:
        _check_leak(where, study)


def _check_labels(where: str, study: Study) -> None:
    """Arms are told apart, and paired, by regime and site."""
    known: dict[tuple[str, str], int] = {}
    for number, arm in enumerate(study.arms, start=1):
        site = study.hyperparameters(arm.params).site
        twin = known.setdefault((arm.regime, site), number)
        if twin != number:
            raise InputError(
                f"{where}: [[arm]] {number} has the regime and the mixup site of [[arm]] {twin} ({arm.regime}, "
                f"{site}), by which arms are told apart. Give it another regime."
            )


def _schemes(study: Study) -> set[str]:
    """Who teaches in some trial of the study."""
    if study.arms:
        recipes = [study.hyperparameters(arm.params) for arm in study.arms]
        return {recipe.stage3.teacher_scheme for recipe in recipes if recipe.taught}
    untaught = study.constants.get("stage3.epochs") == 0 or study.constants.get("stage3.pseudo_threshold") == 1
    return set() if untaught else set(study.values_of("stage3.teacher_scheme"))


def _check_leak(where: str, study: Study) -> None:
    leak = f"{where}: `stage3.teacher_scheme` = 'diary' lets teachers see the fold that their student is scored on"
    if study.search.sampler != "grid" or study.search.scheduler != "none":
        raise InputError(
            f"{leak}, so its scores cannot lead a search. "
            "Reproduce it with [search] sampler = 'grid' and scheduler = 'none'."
        )
    objective = study.objective
    if objective.rule == "floor" and objective.floor is None and study.hyperparameters(study.baseline).leaky:
        raise InputError(
            f"{leak}, and it is the baseline's, so [objective] rule = 'floor' has no honest floor. "
            "Give [objective] a floor, or the baseline another scheme."
        )


def _speaks_of(problem: str, name: str) -> bool:
    """Whether a knob is named, in full or, beside others of its group, in short."""
    return name in problem or f" {name.partition('.')[2]}=" in problem


def _place(where: str, told: list[str], overrides: Mapping[str, Any]) -> str:
    """[fixed], or the words of `--set` that a mistake comes from."""
    words = " ".join(f"--set {name}={overrides[name]}" for name in told)
    return f"{words}: {where}" if words else f"{where}: [fixed]"


def _does_nothing(name: str, why: tuple[str, Any]) -> str:
    return f"`{name}` does nothing while `{why[0]}` is {why[1]!r}. Remove it, or change `{why[0]}`."


def check_search(where: str, study: Study, trials_given: bool) -> Study:
    """Settings that do not go together. A grid without a number of trials gets that of its combinations."""
    search, objective = study.search, study.objective
    if objective.rule != "floor" and objective.lwlrap + objective.precision <= 0:
        raise InputError(f"{where}: [objective] lwlrap + precision > 0 must hold, but both are 0.")
    shortest, _ = study.epoch_range()
    if search.scheduler != "none" and search.grace > shortest:
        raise InputError(
            f"{where}: [search] grace <= the measured epochs of a trial must hold, but got grace={search.grace}, "
            f"epochs={shortest}. Lower grace, or set scheduler = 'none'."
        )
    if search.sampler != "grid":
        if search.replicates > 1:
            raise InputError(
                f"{where}: [search] replicates={search.replicates} needs sampler = 'grid'; "
                "a search proposes each setting once."
            )
        return study
    if search.replicates > 1 and search.scheduler != "none":
        raise InputError(
            f"{where}: [search] replicates={search.replicates} needs scheduler = 'none', but got "
            f"'{search.scheduler}': it would hold one partition's scores against another's, and leave replicates of an "
            "arm out for being low. Give scheduler = 'none'."
        )
    for knob in study.knobs:
        if not knob.values():
            raise InputError(
                f"{where}: `{knob.name}` is continuous, but [search] sampler = 'grid' tries every value. "
                "Give it choices or a step."
            )
    return study if trials_given else replace(study, budget=replace(study.budget, trials=_grid_size(study)))


def _grid_size(study: Study) -> int:
    return sum(1 for _ in study.grid()) * study.search.replicates
