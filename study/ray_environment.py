"""Settings that Ray reads when it is imported: call `settle` before anything imports `ray`."""

from __future__ import annotations

import os
import secrets
from typing import Final

QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else every worker starts through `uv run`
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger and the boards are the study's own
    "MALLOC_ARENA_MAX": "1",  # a trial is a new thread: else each leaves some 20 MB in an arena of its own
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they stand in the ledger, and whole in the trial's error.txt
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
DESK: Final = "RFCX_STUDY_DESK"  # set in the process that keeps the leases, which trains nothing
WORKERS: Final = ("MALLOC_ARENA_MAX",)  # what the workers of a cluster are given of it


def settle(address: str | None) -> None:
    """Set what Ray reads; what the user has set stays.

    Without an address Ray will be this machine's alone: on loopback only (Ray would listen on every interface), with a
    fresh token that only this process tree knows. With one, authentication is as the user has set it for the cluster.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if address is None:
        os.environ.pop("RAY_ADDRESS", None)
        os.environ.pop("RAY_JOB_CONFIG_JSON_ENV_VAR", None)  # of the job, not of this Ray
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    else:
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # else a refused token is offered for 20 seconds
