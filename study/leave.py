"""The end of a process, at once.

Python takes apart all that was imported before it ends; after torch and Ray that takes a second and a half. What
others count on is done first: threads are waited for, what is registered for the end is called, streams are flushed.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import NoReturn

UNFLUSHED = 120  # as Python has it


def leave(code: int) -> NoReturn:
    """End this process with a status; 120 where its last words could not be written."""
    threading._shutdown()  # type: ignore[attr-defined]  # as Python's own end begins; pools hang their threads' end on it
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # a closed pipe, a full disk, a closed stream
            code = UNFLUSHED
    os._exit(code)
