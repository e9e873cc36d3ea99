"""The list of knobs holds all of them, as they are declared, and nothing that is not."""

from __future__ import annotations

import json
import tomllib

import pytest

from rfcx_model.errors import InputError
from rfcx_model.hyperparameters import knobs, words
from study.knob_list import Listed, as_text, listed


def every() -> dict[str, Listed]:
    return {one.name: one for group in listed() for one in group.knobs}


def test_every_knob_stands_there_once_with_its_default_as_a_space_file_writes_it() -> None:
    assert list(every()) == list(knobs())
    for name, one in every().items():
        assert tomllib.loads(f"x = {one.default}")["x"] == json.loads(one.default) == knobs()[name]


def test_words_and_limits_are_those_that_are_checked() -> None:
    found = every()
    assert {name: tuple(one.takes.split(", ")) for name, one in found.items() if words(name)} == {
        name: words(name) for name in found if words(name)
    }
    assert found["stage3.cycles"].takes == "whole number >= 1, <= 3"
    assert found["network.dropout"].takes == "number >= 0, < 1"
    assert found["stage1.jitter_frames"].takes == "list, each a whole number >= 0"
    assert found["stage3.positive_weight_decay"].takes == "true, false"
    assert found["network.backbone"].takes == "text"


def test_notes_are_the_comments_beside_the_knobs() -> None:
    assert every()["stage3.mixup_alpha"].note == "of Beta(alpha, alpha); diary"
    assert every()["network.pretrained"].note == '"hub", "none", or the path of a weight file'
    assert every()["stage1.epochs"].note == ""


def test_a_part_of_a_name_takes_its_own() -> None:
    assert {group.name for group in listed("mixup")} == {"stage1", "stage2", "stage3"}
    (group,) = listed("stage3.mixup")
    assert [one.name for one in group.knobs] == ["stage3.mixup_site", "stage3.mixup_alpha"]
    text = as_text((group,))
    assert text.splitlines()[0].startswith("stage3  As stage 2, ")
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["stage3.mixup_site", "stage3.mixup_alpha"]


@pytest.mark.parametrize(("asked", "said"), [("stage3.mixup_sites", "mean `stage3.mixup_site`"), ("xx", "Groups")])
def test_a_part_of_no_knobs_name_is_refused(asked: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        listed(asked)
