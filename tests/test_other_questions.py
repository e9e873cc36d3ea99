"""A changed question is told what it changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from study.other_questions import difference
from study.space import Study, load

SPACE = """
[scientific]
"stage3.mixup_site" = { choices = ["none", "input"] }
[nuisance]
"stage3.focal_gamma" = { low = 0.0, high = 4.0 }
[fixed]
"network.backbone" = "test_resnet"
[search]
folds = 3
"""


def space(folder: Path, text: str = SPACE) -> Study:
    path = folder / "question.toml"
    path.write_text(text)
    return load(path)


def asked(folder: Path, study: Study, fingerprint: str = "f") -> Path:
    made = folder / f"question-{study.signature(fingerprint)[:8]}"
    made.mkdir(parents=True)
    (made / "study.json").write_text(json.dumps(study.resolved() | {"data": {"fingerprint": fingerprint}}))
    return made


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("folds = 3", "folds = 5", "in search.folds (5, was 3)"),
        ('"test_resnet"', '"resnet18"', "in network.backbone (resnet18, was test_resnet)"),
        ("high = 4.0", "high = 2.0", "in stage3.focal_gamma (low 0.0 high 2.0, was low 0.0 high 4.0)"),
        ('["none", "input"]', '["none", "input", "stage4"]', "in stage3.mixup_site (choices ["),
        ("[search]", '[[try]]\n"stage3.focal_gamma" = 1.0\n[search]', "in try (1 of them, was [])"),
    ],
)
def test_what_differs_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    before = asked(tmp_path, space(tmp_path))
    study = space(tmp_path, SPACE.replace(old, new))
    said = difference(study, "f", tmp_path / "question-new")
    assert said.startswith(f"a new question, so a folder of its own: question-new differs from {before.name} in ")
    assert told in said


def test_other_data_are_another_question(tmp_path: Path) -> None:
    asked(tmp_path, space(tmp_path))
    assert difference(space(tmp_path), "g", tmp_path / "question-new").endswith("in other data")


def test_the_same_question_a_first_one_and_one_of_another_name_are_told_nothing(tmp_path: Path) -> None:
    study = space(tmp_path)
    assert difference(study, "f", tmp_path / "question-new") == ""
    assert difference(study, "f", asked(tmp_path, study)) == ""
    other = asked(tmp_path / "elsewhere", study)
    other.rename(other.with_name("another-12345678"))
    assert difference(study, "f", tmp_path / "elsewhere" / "question-new") == ""
    (tmp_path / "broken" / "question-broken").mkdir(parents=True)
    (tmp_path / "broken" / "question-broken" / "study.json").write_text("{")
    assert difference(study, "f", tmp_path / "broken" / "question-new") == ""
