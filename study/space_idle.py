"""Knobs that do nothing while another knob has some value: asking for them there is a contradiction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from rfcx_model.errors import InputError
from study.space import Params, Study

Why = tuple[str, tuple[Any, ...]]
"""Another knob, and its values with which a knob does nothing."""

_IDLE: Final[dict[str, tuple[Why, ...]]] = {
    "stage1.mixup_alpha": (("stage1.mixup_site", ("none",)),),
    "stage1.label_rule": (("stage1.mixup_site", ("none",)),),
    "stage1.jitter_frames": (("stage1.crop", ("random",)),),
    "stage2.mixup_alpha": (("stage2.mixup_site", ("none",)),),
    "stage2.label_rule": (("stage2.mixup_site", ("none",)),),
    "stage3.mixup_alpha": (("stage3.mixup_site", ("none",)),),
    "stage3.label_rule": (("stage3.mixup_site", ("none",)),),
    "stage3.pseudo_rule": (("stage3.pseudo_threshold", (1.0,)),),
    "stage3.pseudo_weight": (("stage3.pseudo_threshold", (1.0,)),),
    "stage3.votes": (("stage3.pseudo_threshold", (1.0,)), ("stage3.pseudo_rule", ("mean",))),
    "stage3.teachers": (("stage3.pseudo_threshold", (1.0,)), ("stage3.teacher_scheme", ("nested", "diary"))),
    "stage3.teacher_scheme": (("stage3.pseudo_threshold", (1.0,)),),
    "augment.time_mask_frames": (("augment.mask_probability", (0.0,)),),
    "augment.mel_mask_mels": (("augment.mask_probability", (0.0,)),),
}


def idle(name: str, values: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The knob, with its value, that makes the knob `name` do nothing; `values` may hold some knobs only."""
    return next(((other, values[other]) for other, at in _whys(name, values) if values.get(other) in at), None)


def off(name: str, why: tuple[str, Any]) -> bool:
    """Whether the knob's whole stage is switched off. A stage that is off may keep its settings in [fixed]."""
    untaught = name.startswith("stage2.") and why[0] == "stage3.pseudo_threshold"
    return untaught or why[0].endswith(".epochs")


def check_searched(where: str, study: Study) -> None:
    """Refuse searched knobs that would be drawn in trials in which they do nothing.

    Raises:
        InputError: with the `when` that is missing.
    """
    for knob in study.knobs:
        for other, at in _whys(knob.name, {**study.constants, **study.baseline}):
            for value in study.values_of(other):
                point = point_near(study, {other: value, knob.name: knob.extremes()[0][1]})
                if value not in at or point.get(other) != value or knob.name not in point:
                    continue
                if idle(knob.name, {**study.constants, **point}) is None:
                    continue
                rest = [one for one in study.values_of(other) if one not in at]
                way = f"Give it when = {{ {json.dumps(other)} = {json.dumps(rest)} }}" if rest else "Remove it"
                raise InputError(
                    f"{where}: `{knob.name}` is searched where `{other}` is {value!r} too, but does nothing there. "
                    f"{way}, or change `{other}`."
                )


def point_near(study: Study, wanted: Mapping[str, Any]) -> Params:
    """The trial nearest to the baseline that has the wanted values, of the knobs that are asked for there.

    Where a wanted knob is asked for only with another value of a knob that is not wanted, that value is taken.
    """
    told = dict(wanted)
    for knob in reversed(study.knobs):  # each comes after those that its `when` asks about
        if knob.name in told:
            for name, allowed in knob.when:
                if name in study.searched() and study.baseline.get(name) not in allowed:
                    told.setdefault(name, allowed[0])
    params: Params = {}
    for knob in study.knobs:
        if study.active(knob, params):
            first = study.baseline.get(knob.name, knob.extremes()[0][1])
            params[knob.name] = told.get(knob.name, first)
    return params


def _whys(name: str, values: Mapping[str, Any]) -> tuple[Why, ...]:
    group, _, short = name.partition(".")
    whys = _IDLE.get(name, ())
    if name == "stage3.pseudo_threshold" and values.get(name) != 1:  # a threshold of 1 asks for no teachers
        whys = (("stage2.epochs", (0,)), *whys)
    if group == "stage2" and values.get("stage3.epochs") and not (short == "epochs" and name in values):
        whys = (("stage3.pseudo_threshold", (1.0,)), *whys)  # stage 2 trains teachers, and there are no pupils
    if group in ("stage1", "stage2", "stage3") and short != "epochs":
        whys = ((f"{group}.epochs", (0,)), *whys)
    return whys
