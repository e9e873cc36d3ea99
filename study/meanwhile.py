"""What takes seconds to import, imported by a thread while the main one waits for Ray, or for a trial."""

from __future__ import annotations

import contextlib
import gc
import importlib
import threading
from collections.abc import Iterator
from typing import Final

SLOW: Final = "study.setting"  # torch, timm and the model; nothing of Ray's, whose modules import each other in circles


def import_meanwhile(*modules: str) -> None:
    """Begin to import modules. Who imports one afterwards waits for the rest, and gets its error if it has one."""

    def imported() -> None:
        with contextlib.suppress(Exception), _uncollected():
            for module in modules:
                importlib.import_module(module)

    threading.Thread(target=imported, name=f"import {' '.join(modules)}", daemon=True).start()


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Nobody looks for garbage: what is imported is none, and to go through it again and again takes long."""
    looked_for = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked_for:
            gc.enable()
