"""A study on two nodes that share what is mounted: it outlives the worker, and what cannot work is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from place import LITTLE
from tiny import write_folder
from two_machines import ADDRESS, ROOT, Sandbox, sandbox

from study.events import read_events
from study.trials import Trial, read_trials

EPOCHS = 24
PATIENCE_S = 300.0
OLD_RAY = '''
"""Found by the driver alone: its Ray says that it is older."""
import importlib.util, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "ray._version":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            module.version = "2.59.0"
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
'''


@dataclass(frozen=True)
class Cluster:
    """Two machines, and a folder that both mount; what lies in `own` each has for itself."""

    machines: Sandbox
    mount: Path

    @property
    def own(self) -> Path:
        return self.mount / "own"

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """`rfcx-study run` on the head's machine; the last of two options counts."""
        space, data, out, cache = (str(self.mount / name) for name in ("space.toml", "data", "studies", "cache"))
        usual = [space, "--data", data, "--out", out, "--cache", cache, "--address", ADDRESS]
        command = [sys.executable, "-m", "study", "run", *usual, *words]
        return self.machines.start(command, host="head", environment=environment)

    def refuses(self, said: str, *words: str, **environment: str) -> None:
        """The run is refused in one sentence, and nothing has begun."""
        out, err = (process := self.start(*words, **environment)).communicate(timeout=PATIENCE_S)
        assert process.returncode == 2, err
        assert said in err.splitlines()[-1]
        assert err.splitlines()[-1].startswith("rfcx-study: ")
        assert "Traceback" not in err
        assert out == ""
        assert not list(self.mount.rglob("trials.jsonl"))

    @property
    def ledger(self) -> Path | None:
        return next((self.mount / "studies").glob("*/trials.jsonl"), None)

    def trials(self) -> list[Trial]:
        return [] if self.ledger is None else read_trials(self.ledger)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with sandbox() as machines:
        write_folder(tmp_path / "data")
        (tmp_path / "own").mkdir()
        (tmp_path / "space.toml").write_text(LITTLE.replace("EPOCHS", str(EPOCHS)))
        yield Cluster(machines, tmp_path)


def both_at_work(cluster: Cluster, attempts: int, before: dict[int, int]) -> bool:
    """Whether both nodes train, so many attempts have begun, and each trial has got further than it was."""
    trials = cluster.trials()
    running = [trial for trial in trials if trial.state == "RUNNING"]
    further = all(trial.step > before.get(trial.number, 0) for trial in running)
    return len(running) == 2 and sum(trial.attempt for trial in trials) >= attempts and further


@pytest.mark.slow
def test_a_study_outlives_the_worker_node_and_every_trial_is_accounted_for(cluster: Cluster) -> None:
    """The worker is lost in mid-run, and once more where another has come before the study is over."""
    cluster.machines.cluster()
    run = cluster.start("--set", "budget.trials=4")
    until = time.monotonic() + PATIENCE_S
    lost = 0
    while lost < 2 and run.poll() is None:
        before = {trial.number: trial.step for trial in cluster.trials()}
        attempts = sum(trial.attempt for trial in cluster.trials()) + 1
        while run.poll() is None and not both_at_work(cluster, attempts, before):
            assert time.monotonic() < until, cluster.trials()
            time.sleep(0.1)
        if run.poll() is None:
            os.kill(cluster.machines.raylet("worker"), signal.SIGKILL)
            lost += 1
            if lost == 1:
                cluster.machines.node("worker")
    out, err = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, err
    assert "4 trials done, 0 running, 0 pruned, 0 failed" in err
    assert out.startswith("study   "), "what Ray says of lost nodes is no answer"
    trials = cluster.trials()
    assert [(trial.number, trial.state, trial.step) for trial in trials] == [
        (number, "COMPLETE", EPOCHS) for number in range(4)
    ]
    assert lost
    assert sum(trial.attempt for trial in trials) >= 4 + lost
    assert cluster.ledger is not None
    events = read_events(cluster.ledger)
    epochs = [(event["trial"], event["step"]) for event in events if event["event"] == "epoch"]
    assert sorted(epochs) == [(number, step) for number in range(4) for step in range(1, EPOCHS + 1)]
    assert sorted(event["trial"] for event in events if event["event"] == "ended") == [0, 1, 2, 3]


@pytest.mark.slow
def test_what_cannot_work_on_a_cluster_is_refused_in_one_sentence(cluster: Cluster) -> None:
    cluster.machines.cluster("--num-gpus=1", hides=cluster.own)
    lacks = "node worker (127.0.0.3) does not see it (No such file or directory). Give a path that all nodes mount."
    cluster.refuses(f"--out {cluster.own / 'studies'}: {lacks}", "--out", str(cluster.own / "studies"))
    cluster.refuses("[resources] gpus = 2: the largest node has 1.", "--set", "resources.gpus=2")
    cluster.refuses("Ray counts a GPU on worker, but torch", "--set", "resources.gpus=0.5")
    cluster.refuses("the cluster does not take this token. One setting", RAY_AUTH_TOKEN="f" * 32)
    cluster.refuses("and RAY_AUTH_MODE=token is not set here. One setting", RAY_AUTH_MODE="disabled")
    (cluster.mount / "older").mkdir()
    (cluster.mount / "older" / "sitecustomize.py").write_text(OLD_RAY)
    path = f"{cluster.mount / 'older'}{os.pathsep}{ROOT}"
    cluster.refuses("the cluster runs Ray 2.60.0 and Python", PYTHONPATH=path)
