"""Ray, up and down again: a cluster that runs already, or one on this machine alone."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import ray

from rfcx_model.errors import RunError, first_line
from study.address import refusal
from study.machine import cores
from study.ray_environment import WORKERS
from study.ray_folder import ray_folder

LOCAL_STORE_BYTES: Final = 200 * 1024**2  # Ray carries boxes and configs; spectrograms are memory-mapped files
AGAIN_S = 2.0


@contextlib.contextmanager
def session(address: str | None) -> Iterator[None]:
    """Ray, up. A local cluster listens on loopback only and leaves no process and no folder behind.

    Raises:
        InputError: there is no cluster at the address, or it cannot be joined.
        RunError: Ray did not start on this machine.
    """
    if address is not None:
        try:
            ray.init(
                address=address,
                runtime_env={"env_vars": {name: os.environ[name] for name in WORKERS if name in os.environ}},
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise refusal(address, error) from error
        try:
            with _heard_interrupts(), contextlib.redirect_stdout(sys.stderr):  # Ray tells of lost nodes on stdout
                yield
        finally:
            ray.shutdown()
        return
    with ray_folder() as folder:
        try:
            _start(folder)
            with _heard_interrupts():
                yield
        finally:
            ray.shutdown()


def _start(folder: Path) -> None:
    try:
        ray.init(
            address="local",
            num_cpus=cores(),
            include_dashboard=False,
            object_store_memory=LOCAL_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
        )
    except Exception as error:  # Ray raises a bare one where its processes are not up in half a minute
        raise RunError(
            f"Ray could not start on this machine: {first_line(error)} Call again; a machine that is very busy may "
            "need that, and `--address` takes a Ray that runs already."
        ) from error


@contextlib.contextmanager
def _heard_interrupts() -> Iterator[None]:
    """Ctrl-C until it is heard: code of Ray may swallow a KeyboardInterrupt, so it is raised again a little later."""

    def strike(_number: int, _frame: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return
    kept = {number: signal.signal(number, strike) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in kept.items():
            signal.signal(number, handler)
