"""Ctrl-C is heard although code in between swallows it."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from rfcx_model.errors import RunError
from study import ray_session


def test_an_interrupt_that_is_swallowed_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_session, "AGAIN_S", 0.05)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
    with pytest.raises(KeyboardInterrupt):
        _swallow_the_first()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)) == before
    time.sleep(0.1)  # and no more once it has been heard


def _swallow_the_first() -> None:
    with ray_session._heard_interrupts():
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1.0)
        time.sleep(5.0)
        pytest.fail("the interrupt was swallowed")


def test_a_ray_that_does_not_start_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(**told: object) -> None:
        raise Exception("The current node timed out during startup. Some of it.")

    monkeypatch.setattr("ray.init", late)
    with pytest.raises(RunError, match=r"Ray could not start on this machine: The current node timed out"):
        ray_session.session(None).__enter__()
