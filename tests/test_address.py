"""The address of a cluster: each way of being wrong is found in a moment and told in one sentence."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import ray
from ray._private.utils import check_version_info

from rfcx_model.errors import InputError
from study import address
from study.address import refusal, refuse_unreachable
from study.ray_session import session

SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of somebody who answers so to whatever is said; b"" says nothing and keeps the line open."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        lines = []

        def answer_one() -> None:
            line, _ = server.accept()
            lines.append(line)
            line.recv(1024)
            line.sendall(answer)

        thread = threading.Thread(target=answer_one)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            thread.join()
            for line in lines:
                line.close()


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(address.JOB, raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_USE_TLS", raising=False)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says which processes run on this machine."""

    def run(name: str) -> None:
        monkeypatch.setattr(psutil, "process_iter", lambda _: [SimpleNamespace(info={"name": name})])

    return run


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("127.0.0.1:1", r"no Ray cluster answers \(.*refused\)\. Start one with `ray start --head`"),
        ("no-such-host.invalid:6379", r"no Ray cluster answers \("),
        ("127.0.0.1", r"HOST:PORT must be given, such as 10\.0\.0\.1:6379, or `auto`"),
        ("127.0.0.1:", "HOST:PORT must be given"),
        (":6379", "HOST:PORT must be given"),
        ("127.0.0.1:x", "HOST:PORT must be given"),
        ("127.0.0.1:99999", "HOST:PORT must be given"),
        ("http://127.0.0.1:8265", "An http address is the dashboard's: that is for `ray job submit`"),
        ("ray://127.0.0.1:10001", "must be a node's process, which Ray Client's is not; call `run` on a node"),
    ],
)
def test_an_address_where_no_cluster_can_be_is_refused(given: str, said: str) -> None:
    with pytest.raises(InputError, match=f"--address {given}: .*{said}") as refused:
        refuse_unreachable(given)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"ERR\n"])
def test_a_port_that_is_not_rays_is_refused(answer: bytes) -> None:
    with answering(answer) as given, pytest.raises(InputError, match="what answers there is not Ray's head"):
        refuse_unreachable(given)


def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "KNOCK_S", 0.2)
    with answering(b"") as given, pytest.raises(InputError, match=r"no Ray cluster answers \(timed out\)"):
        refuse_unreachable(given)


def test_a_driver_on_a_machine_without_a_node_is_refused(processes: Callable[[str], None]) -> None:
    processes("python")
    with answering(SETTINGS) as given:
        said = f"no Ray node runs on this machine. Start one with `ray start --address={given}`, or call `run` on"
        with pytest.raises(InputError, match=said):
            refuse_unreachable(given)
    processes("raylet")
    with answering(SETTINGS) as given:
        refuse_unreachable(given)


def test_auto_is_the_address_of_the_environment_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_unreachable("auto")  # Ray looks for one
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"--address 127\.0\.0\.1:1: no Ray cluster answers"):
        refuse_unreachable("auto")


def test_a_job_must_name_its_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_unreachable(None)
    monkeypatch.setenv(address.JOB, "{}")
    with pytest.raises(InputError, match="in a Ray job the cluster must be named: add `--address auto`"):
        refuse_unreachable(None)


def wrapped(text: str) -> ConnectionError:
    """As Ray wraps it: the reason stands in the traceback of a traceback."""
    error = ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379")
    error.__cause__ = RuntimeError(f"Failed to connect to GCS. Last connection error: Traceback ...\n{text}\n")
    return error


def other_versions() -> Exception:
    """What Ray raises where the cluster's Python is another."""
    try:
        check_version_info({"ray_version": "2.59.0", "python_version": "3.12.1"}, "node 10.0.0.2")
    except RuntimeError as error:
        return error
    raise AssertionError("the versions are the same")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            other_versions(),
            r"the cluster runs Ray 2\.59\.0 and Python 3\.12\.1, this process Ray 2\.\S+ and Python 3\.\S+; ",
        ),
        (
            wrapped("AuthenticationError: RPC error: InvalidAuthToken: Authentication token is missing or incorrect."),
            r"the cluster does not take this token\. One setting for head, nodes and driver: RAY_AUTH_MODE=token and",
        ),
        (
            wrapped("InvalidAuthToken: ... Note: RAY_AUTH_MODE is currently 'disabled' (not 'token'). Ensure"),
            "the cluster asks for a token, and RAY_AUTH_MODE=token is not set here. One setting",
        ),
        (
            ray.exceptions.AuthenticationError("Token authentication is enabled but no authentication token was found"),
            "RAY_AUTH_MODE is `token` here, but there is no token. One setting",
        ),
        (
            wrapped("No node info found matching attributes: '' when trying to resolve node to connect to."),
            "no node of this cluster runs on this machine; call `run` on a node of the cluster",
        ),
        (wrapped("RpcError: Method not found!"), r"no Ray cluster answers \(RpcError: Method not found!\)\. Start one"),
        (ValueError("Invalid address"), r"no Ray cluster answers \(Invalid address\)\. Start one"),
    ],
)
def test_what_ray_refuses_is_told_in_one_sentence(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\n" not in str(refusal("10.0.0.1:6379", error))

    def refuse(**settings: Any) -> None:
        assert settings["address"] == "10.0.0.1:6379"
        raise error

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(InputError, match=f"--address 10.0.0.1:6379: {said}"), session("10.0.0.1:6379"):
        pytest.fail("nobody is there")
