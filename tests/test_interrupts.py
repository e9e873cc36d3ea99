"""Ctrl-C and SIGTERM are heard although code in between swallows them, and disturb no end that has begun."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest
import ray

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


def test_sigterm_is_heard_as_ctrl_c_is() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), ray_session._heard_interrupts():
        told_to_end()
    assert signal.getsignal(signal.SIGTERM) == before


def told_to_end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ray_is_shut_down_undisturbed(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    told: list[signal.Signals] = []

    def shut_down() -> None:
        os.kill(os.getpid(), number)
        time.sleep(0.1)
        told.append(number)

    monkeypatch.setattr("ray.shutdown", shut_down)
    before = signal.getsignal(number)
    ray_session._shut_down()
    assert told == [number]
    assert signal.getsignal(number) == before


def test_a_ray_that_does_not_start_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(**told: object) -> None:
        raise Exception("The current node timed out during startup. Some of it.")

    monkeypatch.setattr("ray.init", late)
    with pytest.raises(RunError, match=r"Ray could not start on this machine: The current node timed out"):
        ray_session.session(None).__enter__()


def test_what_ray_says_while_it_leaves_a_cluster_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "shutdown", lambda: print("a node was lost"))
    with ray_session.session("10.0.0.1:6379"):
        print("a node is being lost")
    assert capsys.readouterr() == ("", "a node is being lost\na node was lost\n")
