"""What `launch.ready` does around a study, without Ray."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rfcx_model.errors import InputError
from study import launch, place, report

ORDER: Any = type("Order", (), {"address": "nowhere"})()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened, in order."""
    told: list[str] = []

    @contextmanager
    def session(*_: object, **__: object) -> Iterator[None]:
        try:
            yield
        finally:
            told.append("Ray is down")

    @contextmanager
    def held(*_: object) -> Iterator[str]:
        yield "place"
        told.append("lease given up")

    def write(folder: Path) -> None:
        assert threading.current_thread() is threading.main_thread()
        told.append(f"report of {folder}")

    monkeypatch.setattr(launch, "session", session)
    monkeypatch.setattr(place, "held", held)
    monkeypatch.setattr(report, "write", write)
    return told


def ready() -> Any:
    nothing: Any = None
    return launch.ready(nothing, nothing, Path("folder"), ORDER, nothing)


def test_the_report_is_written_when_ray_is_down(said: list[str]) -> None:
    with ready() as where:
        said.append(f"trials at {where}")
    assert said == ["trials at place", "lease given up", "Ray is down", "report of folder"]


def test_what_ends_a_study_leaves_it_without_a_new_report(said: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), ready():
        raise KeyboardInterrupt
    assert said == ["Ray is down"]


def test_a_report_that_cannot_be_written_is_told(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def write(folder: Path) -> None:
        raise InputError(f"{folder}: no ledger")

    monkeypatch.setattr(report, "write", write)
    with pytest.raises(InputError, match="folder: no ledger"), ready():
        pass
    assert said == ["lease given up", "Ray is down"]
