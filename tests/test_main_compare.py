"""The verb `compare`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_replicates import SITE, THRESHOLD, Made, grid
from made_study import make_study

Call = Callable[..., tuple[int, str, str]]


def test_compare_prints_tables_and_sentences_that_fit_120_columns(call: Call, tmp_path: Path) -> None:
    grid(tmp_path, {"input": 1.0, "stage4": 2.0}, replicates=3)
    code, out, err = call("compare", tmp_path, "--by", SITE)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 120
    assert "stage4 − input" in out
    assert "Replicate by replicate" in out


def test_compare_as_markdown_and_as_json(call: Call, tmp_path: Path) -> None:
    grid(tmp_path, {"input": 1.0, "stage4": 2.0})
    code, out, _ = call("compare", tmp_path, "--by", SITE, "--markdown")
    assert code == 0
    assert out.startswith("| pair | figure | n | new recordings | p |")
    assert "\n- score: stage4 is better than input by " in out
    code, out, _ = call("compare", tmp_path, "--by", SITE, "--figure", "lwlrap", "--json")
    (answer,) = json.loads(out)["answers"]
    assert (answer["figure"], answer["word"]) == ("lwlrap", "better")


def test_a_wider_margin_makes_arms_practically_equal(call: Call, tmp_path: Path) -> None:
    grid(tmp_path, {"input": 1.0, "stage4": 1.1})
    _, out, _ = call("compare", tmp_path, "--by", SITE, "--margin", 0.2, "--markdown")
    assert "practically equal" in out
    assert "within ±0.2" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "nowhere"], "nowhere: not a study's folder"),
        (["compare", "SEARCH", "--by", SITE], "reads replicated trials only"),
        (["compare", "GRID", "--by", "stage3.mixup_site2"], "Did you mean `stage3.mixup_site`?"),
        (["compare", "GRID", "--figure", "accuracy"], "--figure must be score, lwlrap"),
        (["compare", "APART", "--by", SITE], f"differ in {THRESHOLD} (0.9 against 0.5) as well"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(call: Call, tmp_path: Path, words: list[str], said: str) -> None:
    make_study(tmp_path / "search")
    grid(tmp_path / "grid", {"input": 1.0, "stage4": 2.0}, replicates=1)
    apart = Made(tmp_path / "apart")
    apart.trial({SITE: "input", THRESHOLD: 0.9}, 0, 1.0)
    apart.trial({SITE: "stage4", THRESHOLD: 0.5}, 0, 1.0)
    here = {name.upper(): str(tmp_path / name) for name in ("search", "grid", "apart")}
    code, out, err = call(*(here.get(word, word) for word in words))
    assert (code, out) == (2, "")
    assert err.startswith("rfcx-study: ")
    assert said in err
    assert err.count("\n") == 1


def test_a_study_whose_data_are_not_on_file_is_told_what_to_do(call: Call, tmp_path: Path) -> None:
    grid(tmp_path, {"input": 1.0, "stage4": 2.0}, replicates=1)
    (tmp_path / "listed.npz").unlink()
    code, _, err = call("compare", tmp_path, "--by", SITE)
    assert code == 2
    assert "Call `run` again" in err
