"""Two machines on one: processes in a sandbox of namespaces, with their own loopback, host names and mounts.

Nothing in it can be reached from outside, no port of it is in anybody's way, and all of it ends with the sandbox.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parent.parent
HEAD, WORKER, PORT = "127.0.0.2", "127.0.0.3", 6379
ADDRESS = f"{HEAD}:{PORT}"
TOKEN = "0123456789abcdef0123456789abcdef"
START_S = 120.0
NAMESPACES = ("--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
FIRST_PROCESS = """
import fcntl, signal, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS: loopback goes up
print("up", flush=True)
signal.pause()
"""
NODES = """
import ray, sys, time
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    time.sleep(0.2)
"""


@dataclass(frozen=True)
class Sandbox:
    """Where the machines live. `temporary` is short, since Ray's sockets stand below it."""

    first: int  # the process that all others end with
    temporary: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self,
        words: Sequence[str],
        *,
        host: str = "driver",
        hides: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """A process on a machine of its own name, which does not see what lies in the folder `hides`."""
        hidden = f"mount -t tmpfs none '{hides}'; " if hides else ""
        inside = f'hostname {host}; {hidden}exec "$@"'
        enter = ["nsenter", f"--target={self.first}", "--user", "--net", "--mount", "--pid", "--preserve-credentials"]
        self.started.append(
            subprocess.Popen(
                [*enter, "unshare", "--mount", "--uts", "sh", "-c", inside, "sh", *words],
                cwd=ROOT,
                env=self.environment() | dict(environment or {}),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return self.started[-1]

    def environment(self) -> dict[str, str]:
        """What head, worker and driver share: one token, and no user's Ray settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))}
        return kept | {
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.temporary),
            "HOME": str(self.temporary),
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        }

    def node(self, name: str, *words: str, hides: Path | None = None) -> subprocess.Popen[str]:
        """`ray start`: the head, or the worker once the head listens."""
        place = ["--head", f"--port={PORT}", f"--node-ip-address={HEAD}", "--include-dashboard=false"]
        if name != "head":
            place = [f"--address={ADDRESS}", f"--node-ip-address={WORKER}"]
        few = ["--num-cpus=1", f"--object-store-memory={100 * 1024**2}", f"--temp-dir={self.temporary / name}"]
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        return self.start([*ray, *place, *few, *words], host=name, hides=hides)

    def raylet(self, name: str) -> int:
        """The process that is a node."""
        for process in psutil.process_iter(["name", "cmdline"]):
            if process.info["name"] == "raylet" and str(self.temporary / name) in " ".join(process.info["cmdline"]):
                return int(process.pid)
        raise LookupError(f"no raylet of {name}")

    def await_nodes(self, count: int) -> None:
        """Wait until so many nodes have joined."""
        asked = self.start([sys.executable, "-c", NODES, ADDRESS, str(count)])
        try:
            _, err = asked.communicate(timeout=START_S)
        finally:
            asked.kill()
        assert asked.returncode == 0, err

    def cluster(self, *worker: str, hides: Path | None = None) -> None:
        """A head and a worker, up; `worker` are its own options."""
        self.node("head")
        time.sleep(3.0)
        self.node("worker", *worker, hides=hides)
        self.await_nodes(2)


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A sandbox; skips where the machine makes no namespaces."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("unshare and nsenter make two machines of one, and are not here")
    first = subprocess.Popen(
        ["unshare", *NAMESPACES, sys.executable, "-c", FIRST_PROCESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None
    temporary = Path("/tmp") / f"m{os.getpid()}"
    started: list[subprocess.Popen[str]] = []
    try:
        if first.stdout.readline() != "up\n":
            pytest.skip(f"no namespaces here: {first.communicate()[1].strip()}")
        temporary.mkdir()
        (inside,) = psutil.Process(first.pid).children()
        machines = Sandbox(inside.pid, temporary)
        started = machines.started
        yield machines
    finally:
        first.kill()
        for process in (first, *started):
            process.communicate()
        shutil.rmtree(temporary, ignore_errors=True)
