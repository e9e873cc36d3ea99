"""What nodes are asked, and how long a study waits for a node: without a cluster. With one: test_cluster."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from rfcx_model.errors import RunError
from study import nodes
from study.machine import Share
from study.nodes import Folder, Node, Patience, faults, marked, unlike, versions


@pytest.fixture
def folders(shared_tiny_folder: Path, tmp_path: Path) -> list[Folder]:
    data = shutil.copytree(shared_tiny_folder, tmp_path / "data")
    return [Folder("--data", data, written=False), Folder("--out", tmp_path / "studies" / "mine")]


def test_a_node_that_sees_every_folder_lacks_nothing_and_nothing_stays_behind(folders: list[Folder]) -> None:
    data, out = (folder.path for folder in folders)
    before = sorted(data.rglob("*"))
    with marked(folders) as marks:
        assert list(faults(folders, marks)) == []
        assert len(list(out.iterdir())) == 1
        assert sorted(data.rglob("*")) == before
    assert list(out.iterdir()) == []


def test_each_folder_that_a_node_does_not_see_is_told(folders: list[Folder]) -> None:
    data, out = (folder.path for folder in folders)
    with marked(folders) as marks:
        shutil.rmtree(data)
        shutil.rmtree(out)
        told = list(faults(folders, marks))
        out.mkdir()  # a folder of the same name, on the node's own disk
        (empty,) = list(faults(folders[1:], marks))
    says = "node {node} does not see it (No such file or directory). Give a path that all nodes mount."
    assert told == [f"--data {data}: {says}", f"--out {out}: {says}"]
    assert empty == f"--out {out}: {says}"


def test_other_data_under_the_same_path_is_told(folders: list[Folder]) -> None:
    with marked(folders) as marks:
        with (folders[0].path / "train_tp.csv").open("a") as file:
            file.write("another,0,1,1.0,300,2.0,700\n")
        (told,) = list(faults(folders, marks))
    assert told == f"--data {folders[0].path}: node {{node}} has other data there. Give a path that all nodes mount."


def test_a_file_of_weights_must_be_the_same_everywhere(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"one")
    asked = [Folder("network.pretrained", weights, written=False)]
    with marked(asked) as marks:
        assert list(faults(asked, marks)) == []
        weights.write_bytes(b"another")
        (other,) = list(faults(asked, marks))
        weights.unlink()
        (none,) = list(faults(asked, marks))
    assert "has other data there" in other
    assert "does not see it" in none


def test_a_folder_in_which_a_node_cannot_write_is_told(folders: list[Folder], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(30, os.strerror(30), str(path))

    with marked(folders) as marks:
        monkeypatch.setattr(Path, "touch", refuse)
        (told,) = list(faults(folders, marks))
    assert told.endswith("node {node} cannot write there (Read-only file system). Mount it writable on all nodes.")


def test_only_what_differs_between_a_node_and_this_process_is_told() -> None:
    mine = versions()
    assert {"ray", "python", "torch", "timm", "code", "RAY_AUTH_MODE"} <= mine.keys()
    assert list(unlike(mine, Node("far (10.0.0.2)", mine), tuple(mine))) == []
    other = Node("far (10.0.0.2)", mine | {"torch": "1.0", "code": "cafe"})
    assert list(unlike(mine, other, ("ray", "python"))) == []
    (told,) = unlike(mine, other, tuple(mine))
    assert told == (
        f"node far (10.0.0.2) has code cafe, torch 1.0, this process code {mine['code']}, torch {mine['torch']}"
    )


def test_a_node_with_room_is_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    now, there = 0.0, [(1.0, 0.0), (8.0, 1.0)]
    said: list[str] = []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(nodes, "room", lambda: there)
    patience = Patience(Share(cpus=2, gpus=0.5, concurrent=2), said.append)

    def wait(duration_s: float) -> None:
        nonlocal now
        for _ in range(int(duration_s / nodes.LOOK_S)):
            now += nodes.LOOK_S
            patience.look()

    wait(3600.0)
    assert said == []
    there.pop()
    wait(nodes.NEW_NODE_S - 60.0)
    assert said == ["no node is left that has 2 CPUs and 0.5 GPUs for a trial; waiting 600 s for one"]
    there.append((4.0, 2.0))
    wait(3600.0)
    there.pop()
    with pytest.raises(RunError, match=r"no node has had 2 CPUs and 0\.5 GPUs for a trial for 600 s\. Call it again"):
        wait(3600.0)
    assert len(said) == 2
