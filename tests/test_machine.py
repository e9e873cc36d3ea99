"""What the command line makes of folders and of `--set`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfcx_model.errors import InputError
from study.machine import Share, cache_folder, cores, parse_settings, share_of, shared_path
from study.space_settings import Resources


def test_this_machine_has_cores() -> None:
    assert cores() >= 1


def test_the_cache_stands_where_asked_else_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder(None) == tmp_path / "xdg" / "rfcx-study"
    assert cache_folder(tmp_path / "mine") == tmp_path / "mine"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / ".cache" / "rfcx-study"
    monkeypatch.chdir(tmp_path)
    assert cache_folder(Path("here")) == tmp_path / "here"


@pytest.mark.parametrize("address", ["s3://bucket/studies", "gs://x", "file:///tmp/x", "hdfs://host/x"])
def test_a_storage_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"a path that all nodes mount must be given, not a storage address\. Mount"):
        shared_path(address)


def test_a_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shared_path("studies") == tmp_path / "studies"


def test_a_relative_path_in_a_jobs_working_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    job.mkdir(parents=True)
    monkeypatch.chdir(job)
    with pytest.raises(InputError, match=r"studies: a Ray job's working folder is thrown away\. Give an absolute path"):
        shared_path("studies")
    assert shared_path("/mnt/studies") == Path("/mnt/studies")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("stage1.epochs=20", 20),
        ("stage1.learning_rate=1e-4", 1e-4),
        ("stage3.positive_weight_decay=true", True),
        ("stage1.jitter_frames=[0, 8]", [0, 8]),
        ("network.backbone=resnet18", "resnet18"),
        ('network.backbone="resnet18"', "resnet18"),
        ("network.pretrained=/a b/c=d.safetensors", "/a b/c=d.safetensors"),
        ("network.pretrained=none", "none"),
        ("network.backbone=", ""),
    ],
)
def test_settings_are_read_as_toml_where_that_is_possible(setting: str, value: Any) -> None:
    (read,) = parse_settings([setting]).values()
    assert read == value
    assert type(read) is type(value)


def test_the_last_of_two_settings_counts() -> None:
    assert parse_settings(["a=1", " a =2"]) == {"a": 2}


def test_a_setting_without_a_value_is_refused() -> None:
    with pytest.raises(InputError, match=r"--set stage1.epochs: KNOB=VALUE must be given"):
        parse_settings(["stage1.epochs"])


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_numbers_and_truth_values_come_back(value: Any) -> None:
    if isinstance(value, int) and abs(value) >= 2**63:
        return
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    assert parse_settings([f"x={text}"]) == {"x": value}


def test_a_trial_takes_a_core_where_there_is_no_gpu_and_half_of_a_gpu_where_there_is() -> None:
    assert share_of([(2, 0)], Resources()) == Share(cpus=1, gpus=0, concurrent=2)
    assert share_of([(16, 1)], Resources()) == Share(cpus=8, gpus=0.5, concurrent=2)
    assert share_of([(16, 2)], Resources(gpus=0.25)) == Share(cpus=2, gpus=0.25, concurrent=8)


def test_asked_resources_bound_how_many_trials_run_at_once() -> None:
    assert share_of([(8, 0)], Resources(cpus=3)).concurrent == 2
    assert share_of([(8, 0)], Resources(concurrent=5)).concurrent == 5
    assert share_of([(2, 0)], Resources(concurrent=5)).concurrent == 2


@pytest.mark.parametrize(("gpus", "at_once"), [(1, 1), (0.5, 2), (1 / 3, 3), (0.25, 4), (0.2, 5), (0.1, 10)])
def test_the_part_of_a_gpu_says_how_many_trials_share_it(gpus: float, at_once: int) -> None:
    assert share_of([(64, 1)], Resources(gpus=gpus)).concurrent == at_once
    assert share_of([(4, 0), (64, 1), (64, 1)], Resources(gpus=gpus)).concurrent == 2 * at_once


def test_a_trial_runs_on_one_node_so_parts_of_two_do_not_add_up() -> None:
    assert share_of([(3, 0), (3, 0)], Resources(cpus=2)) == Share(cpus=2, gpus=0, concurrent=2)
    assert share_of([(1, 0), (1, 0), (0, 0)], Resources()) == Share(cpus=1, gpus=0, concurrent=2)
    assert share_of([(4, 0), (8, 2)], Resources()) == Share(cpus=2, gpus=0.5, concurrent=4)
    assert share_of([(4, 0), (8, 2)], Resources(gpus=0)) == Share(cpus=1, gpus=0, concurrent=12)
    with pytest.raises(InputError, match=r"cpus = 4: the largest node has 3\."):
        share_of([(3, 0), (3, 0)], Resources(cpus=4))
    with pytest.raises(InputError, match=r"gpus = 2: the largest node has 1\."):
        share_of([(8, 1), (8, 1)], Resources(gpus=2))
    with pytest.raises(InputError, match=r"cpus = 8, gpus = 1: no node has both\."):
        share_of([(8, 0), (4, 1)], Resources(cpus=8, gpus=1))


@pytest.mark.parametrize("asked", [Resources(gpus=0.5), Resources(cpus=4)])
def test_more_than_there_is_is_refused(asked: Resources) -> None:
    with pytest.raises(InputError, match="eave"):
        share_of([(2, 0)], asked)


def test_one_and_a_half_gpus_are_refused() -> None:
    with pytest.raises(InputError, match=r"gpus = 1\.5: a part of one GPU \(0\.5, 0\.25, \.\.\.\) or whole ones"):
        share_of([(8, 4)], Resources(gpus=1.5))
