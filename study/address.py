"""The address of a running Ray cluster: who does not answer, and what Ray's refusals mean. Knows no Ray.

Ray asks again for minutes where nobody is, and tells its reasons in tracebacks. Here each is found in a moment, and is
one sentence with the way out.
"""

from __future__ import annotations

import os
import socket
from typing import Final

import psutil

from rfcx_model.errors import InputError, first_line, last_line

KNOCK_S: Final = 5.0
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # RFC 9113, 3.4: with empty SETTINGS
SETTINGS: Final = 4  # the type of a frame, its fourth byte
JOB: Final = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set for the entrypoint of `ray job submit`
START: Final = "Start one with `ray start --head`, or leave --address out to use this machine alone."
ON_A_NODE: Final = "call `run` on a node of the cluster with --address HOST:PORT or `auto`, or use `ray job submit`."
TOKEN: Final = (
    "One setting for head, nodes and driver: RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH, "
    "or ~/.ray/auth_token), or RAY_AUTH_MODE=disabled for all."
)


def refuse_unreachable(address: str | None) -> None:
    """Find out in a moment whether a Ray cluster can be there.

    Raises:
        InputError: nobody listens at the address, it is no Ray port, or no node runs on this machine.
    """
    if address is None:
        if JOB in os.environ:
            raise InputError("in a Ray job the cluster must be named: add `--address auto`.")
        return
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address
    if address.startswith("ray://"):
        raise InputError(
            f"--address {address}: a study's driver writes the study's folder and must be a node's process, which Ray "
            f"Client's is not; {ON_A_NODE}"
        )
    if "://" in address:
        raise InputError(
            f"--address {address}: HOST:PORT of the head must be given, such as 10.0.0.1:6379. An http address is the "
            "dashboard's: that is for `ray job submit`."
        )
    if address != "auto":
        _knock(address)
        if not any(process.info["name"] == "raylet" for process in psutil.process_iter(["name"])):
            raise InputError(
                f"--address {address}: no Ray node runs on this machine. Start one with "
                f"`ray start --address={address}`, or {ON_A_NODE}"
            )


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError(
            f"--address {address}: HOST:PORT must be given, such as 10.0.0.1:6379, or `auto` for the cluster of this "
            "machine."
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S) as line:
            line.settimeout(KNOCK_S)
            if os.environ.get("RAY_USE_TLS", "0") in ("", "0"):
                line.sendall(PREFACE)
                answer = line.recv(9)
                if len(answer) < 4 or answer[3] != SETTINGS or answer.startswith(b"HTTP"):
                    raise InputError(f"--address {address}: what answers there is not Ray's head (its port is 6379).")
    except OSError as error:
        raise InputError(
            f"--address {address}: no Ray cluster answers ({error.strerror or first_line(error)}). {START}"
        ) from error


def refusal(address: str, error: Exception) -> InputError:
    """What Ray's refusal to join a cluster means, in one sentence with the way out."""
    reasons = list(_reasons(error))
    told = "\n".join(str(one) for one in reasons)
    where = f"--address {address}: "
    if "Version mismatch" in told:
        lines = [line.strip() for line in told.partition("Version mismatch")[2].splitlines()]
        found = [line for line in lines if line.startswith(("Ray: ", "Python: "))][:4]
        theirs, ours = (" and ".join(part).replace(": ", " ") for part in (found[:2], found[2:]))
        return InputError(
            f"{where}the cluster runs {theirs}, this process {ours}; both must be the same. "
            "Install the cluster's versions here, or start the cluster from this environment."
        )
    if "uthentication token" in told or "InvalidAuthToken" in told:
        if "no authentication token was found" in told:
            got = "RAY_AUTH_MODE is `token` here, but there is no token"
        elif "RAY_AUTH_MODE is currently 'disabled'" in told:
            got = "the cluster asks for a token, and RAY_AUTH_MODE=token is not set here"
        else:
            got = "the cluster does not take this token"
        return InputError(f"{where}{got}. {TOKEN}")
    if "No node info found" in told:
        return InputError(f"{where}no node of this cluster runs on this machine; {ON_A_NODE}")
    return InputError(f"{where}no Ray cluster answers ({last_line(reasons[-1])}). {START}")


def _reasons(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
