"""The whole journey, as `rfcx-study demo` walks it; judging a submission; the command line's forest."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rfcx_model.errors import InputError
from rfcx_model.forest import Forest
from rfcx_model.metrics import lwlrap
from study import verbs_of_data
from study.bundle import load_bundle
from study.judge import CHANCE, SUBMISSION, judge
from study.trials import read_trials


def table(path: Path, rows: dict[str, list[float]]) -> Path:
    columns = [f"s{species}" for species in range(len(next(iter(rows.values()))))]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    frame.rename_axis("recording_id").reset_index().to_csv(path, index=False)
    return path


def test_a_submission_is_judged_by_recording_id_whatever_its_order(tmp_path: Path) -> None:
    truth = {"a": [1.0, 0.0, 0.0], "b": [0.0, 1.0, 1.0], "c": [0.0, 0.0, 1.0]}
    scores = {"c": [0.2, 0.9, 0.4], "a": [0.9, 0.1, 0.2], "b": [0.8, 0.1, 0.9]}
    told = judge(table(tmp_path / "submission.csv", scores), table(tmp_path / "truth.csv", truth))
    expected = lwlrap(np.array(list(truth.values())), np.array([scores[name] for name in truth]))
    point = {row.name: row for row in told.rows}
    assert point[SUBMISSION].lwlrap == expected
    assert point[SUBMISSION].low <= expected <= point[SUBMISSION].high
    assert point[CHANCE].low < point[CHANCE].lwlrap < point[CHANCE].high
    assert json.dumps(told.as_dict())


def test_submissions_are_judged_beside_each_other_draw_by_draw(tmp_path: Path) -> None:
    truth = table(tmp_path / "truth.csv", {str(n): [float(n % 2), 1.0 - n % 2] for n in range(20)})
    good = table(tmp_path / "good.csv", {str(n): [float(n % 2), 1.0 - n % 2] for n in range(20)})
    bad = table(tmp_path / "bad.csv", {str(n): [1.0 - n % 2, float(n % 2)] for n in range(20)})
    told = judge(good, truth, beside=[bad])
    assert [row.name for row in told.rows] == [SUBMISSION, str(bad), CHANCE]
    assert [row.lwlrap for row in told.rows[:2]] == [1.0, 0.5]
    assert dict(told.above)[str(bad)] == 1.0
    assert f"above {bad} in 100.0% of bootstrap draws" in str(told)
    with pytest.raises(InputError, match=r"bad\.csv: each submission must be named once, but got this one twice"):
        judge(good, truth, beside=[bad, bad])


@pytest.mark.parametrize(
    ("scores", "rule"),
    [
        ({"a": [0.1, 0.2]}, "lacks recordings b"),
        ({"a": [0.1, 0.2], "b": [float("nan"), 0.2]}, "finite number, but got nothing for s0 of recording b"),
        ({"a": [0.1], "b": [0.2]}, "lacks columns s1"),
    ],
)
def test_a_submission_that_cannot_be_judged_is_refused(
    tmp_path: Path, scores: dict[str, list[float]], rule: str
) -> None:
    truth = table(tmp_path / "truth.csv", {"a": [1.0, 0.0], "b": [0.0, 1.0]})
    with pytest.raises(InputError, match=rule):
        judge(table(tmp_path / "submission.csv", scores), truth)


def test_a_recording_that_stands_twice_is_refused(tmp_path: Path) -> None:
    truth = table(tmp_path / "truth.csv", {"a": [1.0, 0.0], "b": [0.0, 1.0]})
    submission = tmp_path / "submission.csv"
    submission.write_text("recording_id,s0,s1\na,0.1,0.2\na,0.1,0.2\nb,0.3,0.4\n")
    with pytest.raises(InputError, match="a stands twice"):
        judge(submission, truth)


def test_synthesize_makes_the_forest_of_the_defaults() -> None:
    asked = {name: one.default for name, one in inspect.signature(verbs_of_data.synthesize).parameters.items()}
    asked["train_recordings"] = asked.pop("recordings")
    forest = Forest()
    for name, value in asked.items():
        if name != "folder":
            assert getattr(forest, name) == value, name


@pytest.mark.slow
def test_the_demo_leaves_all_that_it_promises_and_beats_the_baseline(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    out = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "study", "demo", "--out", str(out)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (study,) = (out / "studies").iterdir()
    trials = read_trials(study / "trials.jsonl")
    states = [trial.state for trial in trials]
    assert len(states) >= 8
    assert "COMPLETE" in states
    assert "PRUNED" in states
    assert (study / "report.html").stat().st_size > 0
    assert (study / "report.md").exists()
    for trial in trials:
        assert list((study / "trials" / trial.name).glob("events.out.tfevents.*")), trial.name
    bundle = load_bundle(out / "bundle")
    assert trials[bundle.trial].score == bundle.score
    submission = pd.read_csv(out / "submission.csv")
    sample = pd.read_csv(out / "forest" / "sample_submission.csv")
    assert list(submission.columns) == list(sample.columns)
    assert list(submission["recording_id"]) == list(sample["recording_id"])
    assert submission.drop(columns="recording_id").to_numpy().min() >= 0
    told = judge(out / "submission.csv", out / "forest-truth" / "test_truth.csv", out / "forest", out / "cache")
    points = {row.name: row.lwlrap for row in told.rows}
    assert points[SUBMISSION] > points["log-mel means + logistic regression"] > points[CHANCE]
    assert "nothing was trained" in done.stderr  # the winner's models stand in the store
