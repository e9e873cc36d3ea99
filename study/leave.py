"""The end of a process, at once.

Python takes apart all that was imported before it ends; after torch and Ray that takes a while. What others count on is
done first: threads are waited for, what is registered for the end is called, streams are flushed.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from typing import NoReturn

UNFLUSHED = 120  # as Python has it


def leave(code: int) -> NoReturn:
    """End this process with a status; 120 where its last words could not be written. An interrupt changes no status."""
    with contextlib.suppress(KeyboardInterrupt):  # it ends the waiting
        threading._shutdown()  # type: ignore[attr-defined]  # Python's own end begins so; pools hang their threads' end on it
    with contextlib.suppress(KeyboardInterrupt):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BrokenPipeError:  # nobody listens
            code = UNFLUSHED
        except OSError as error:
            code = UNFLUSHED
            with contextlib.suppress(OSError):
                os.write(2, f"rfcx-study: what was to be printed is lost: {error.strerror}\n".encode())
        except KeyboardInterrupt:
            pass
    os._exit(code)
