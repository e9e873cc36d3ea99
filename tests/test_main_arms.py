"""The verbs of a study that lists its arms: `arms`, `truth`, and what `run` ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made_study import STUDY, ended, epoch, started, write
from tiny import KNOBS, fixed, write_folder

ROOT = Path(__file__).parent.parent
SITE = "stage3.mixup_site"
PATIENCE_S = 900.0
LITTLE = (
    fixed(KNOBS | {"stage2.epochs": 0, "stage3.epochs": 0})
    + """
[[arm]]
regime = "stage 1"
published = { cv = 0.84 }
"stage1.mixup_site" = "input"
[[arm]]
regime = "stage 1"
"stage1.mixup_site" = "stage4"
[search]
sampler = "grid"
scheduler = "none"
replicates = 2
folds = 2
"""
)
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A study of two arms in two replicates."""
    arms = [{"regime": "pseudo 0.9", "params": {SITE: site}, "published": {"cv": 0.94}} for site in ("input", "stage4")]
    events = []
    for number in range(4):
        metrics: dict[str, float | None] = {"lwlrap": 0.5 + 0.1 * number, "precision": 0.4, "recall": 0.3}
        begin = started(number, float(number), {SITE: ("input", "stage4")[number % 2]})
        events += [begin | {"replicate": number // 2}, epoch(number, 1, number + 0.1, metrics)]
        events.append(ended(number, number + 0.2, "COMPLETE", 0.5))
    write(tmp_path / "listed", {**STUDY, "arms": arms, "search": {"replicates": 2}}, events)
    return tmp_path / "listed"


def test_arms_prints_a_table_that_fits_120_columns(call: Call, listed: Path) -> None:
    code, out, err = call("arms", listed)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 120
    assert "0.600 ± 1.271" in out  # t(0.975, 1 degree of freedom) is 12.706; half the distance is 0.1
    assert "0.94" in out


def test_arms_as_markdown_and_as_json(call: Call, listed: Path) -> None:
    code, out, _ = call("arms", listed, "--markdown")
    assert code == 0
    assert "| pseudo 0.9 | input | 2 | 0.600 ± 1.271 | 0.400 ± 0.000 | 0.300 ± 0.000 | 0.94 |  |  |" in out.splitlines()
    code, out, _ = call("arms", listed, "--json")
    assert code == 0
    assert json.loads(out)["arms"][0]["values"]["lwlrap"] == {"0": 0.5, "1": 0.7}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["arms", "nowhere"], "nowhere: not a study's folder"),
        (["arms", "PLAIN"], "the study lists no arms"),
        (["truth", "nowhere", "nowhere", "--data", "nowhere"], "nowhere: not a study's folder"),
        (["truth", "PLAIN", "nowhere", "--data", "DATA"], "these are other data"),
    ],
)
def test_what_cannot_be_told_is_refused_in_a_line(
    call: Call, tmp_path: Path, shared_tiny_folder: Path, words: list[str], said: str
) -> None:
    places = {"store": str(tmp_path / "store"), "cache": str(tmp_path / "cache"), "threads": 1}
    write(tmp_path / "plain", STUDY | places, [started(0, 1.0, {SITE: "input"}), ended(0, 2.0, "COMPLETE", 0.5)])
    here = {"PLAIN": str(tmp_path / "plain"), "DATA": str(shared_tiny_folder)}
    code, out, err = call(*(here.get(word, word) for word in words))
    assert (code, out) == (2, "")
    assert err.startswith("rfcx-study: ")
    assert said in err
    assert err.count("\n") == 1


def rfcx_study(folder: Path, *words: str) -> str:
    """A command in a process group of its own, which does not outlive it; returns its stdout."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "study", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, err
    return out


@pytest.mark.slow
def test_run_ends_with_the_table_and_truth_adds_its_columns(tmp_path: Path) -> None:
    write_folder(tmp_path / "data")
    (tmp_path / "little.toml").write_text(LITTLE)
    (tmp_path / "data-truth").mkdir()
    for part, count in (("train", 12), ("test", 4)):
        rows = [f"{part}{k:03d},{int(k % 3 == 0)},{int(k % 3 == 1)},{int(k % 3 == 2)}" for k in range(count)]
        (tmp_path / "data-truth" / f"{part}_truth.csv").write_text("\n".join(["recording_id,s0,s1,s2", *rows]) + "\n")
    out = rfcx_study(tmp_path, "run", "little.toml", "--data", "data", "--cache", "cache")
    assert "Arms: mean over replicates" in out
    assert "test LWLRAP" not in out
    (study,) = (tmp_path / "studies").glob("little-*")
    assert rfcx_study(tmp_path, "arms", str(study)) == out[out.index("Arms: mean") :]
    told = rfcx_study(tmp_path, "truth", str(study), "data-truth", "--data", "data")
    assert told.strip() == str(study / "truth.csv")
    arms = json.loads(rfcx_study(tmp_path, "arms", str(study), "--json"))["arms"]
    assert [(arm["regime"], arm["site"], arm["finished"]) for arm in arms] == [
        ("stage 1", "input", 2),
        ("stage 1", "stage4", 2),
    ]
    for arm in arms:
        assert len(arm["values"]["test_lwlrap"]) == 2
        # every species of a tiny training recording is listed, so the truth and the listed labels are the same
        assert arm["values"]["train_truth_lwlrap"] == pytest.approx(arm["values"]["lwlrap"])
    rfcx_study(tmp_path, "report", str(study))
    assert "LWLRAP on the hidden truth" in (study / "report.md").read_text()
