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
WARM: Final = {
    "RAY_preload_python_modules": "study.warm",
    "RAY_idle_worker_killing_time_threshold_ms": "20000",  # Tune reserves cores before it uses a process
}
AGAIN_S = 2.0


@contextlib.contextmanager
def session(address: str | None, *, warm: bool = False) -> Iterator[None]:
    """Ray, up. A local cluster listens on loopback only and leaves no process and no folder behind.

    Args:
        address: of a cluster that runs; a local one is started without
        warm: have a local one's workers, a process a core, import as they start what trials need: it takes seconds

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
        with contextlib.redirect_stdout(sys.stderr):  # Ray tells of lost nodes on stdout, some while it goes down
            try:
                with _heard_interrupts():
                    yield
            finally:
                _shut_down()
        return
    with ray_folder() as folder:
        try:
            _start(folder, warm)
            with _heard_interrupts(), _any_process_will_do() if warm else contextlib.nullcontext():
                yield
        finally:
            _shut_down()


def _start(folder: Path, warm: bool) -> None:
    own = WARM if warm else {}
    os.environ.update(own)
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
    finally:
        for name in own:  # it was for the processes that Ray has just started
            del os.environ[name]


@contextlib.contextmanager
def _any_process_will_do() -> Iterator[None]:
    """Let Tune's trials have the processes that run already.

    Tune gives a trial's process environment variables of its own, so that a new one is started. They are settings of
    Ray, which all processes of this machine have from the driver, and one of PyTorch Lightning, which is not used.
    """
    from ray.tune.execution import class_cache

    kept = class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = {}, set()
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = kept


def _shut_down() -> None:
    """Undisturbed: an interrupt in the middle of it ends the process without a word, and Ray's agents live on."""
    if threading.current_thread() is not threading.main_thread():
        ray.shutdown()
        return
    kept = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.shutdown()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _heard_interrupts() -> Iterator[None]:
    """Ctrl-C until it is heard: code of Ray may swallow a KeyboardInterrupt, so it is raised again a little later.

    SIGTERM, by which clusters and job queues end a driver, is the same: Ray's own handler of it ends without a word.
    """

    def strike(_number: int, _frame: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return
    kept = {number: signal.signal(number, strike) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in kept.items():
            signal.signal(number, handler)
