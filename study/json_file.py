"""A JSON file as it stands, or why it cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rfcx_model.errors import InputError


def read_object(path: Path, way_out: str) -> dict[str, Any]:
    """What a JSON file says, which must be an object; `way_out` ends what is told where it is none.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such file.
        InputError: it cannot be read, is not JSON, or no object.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except IsADirectoryError:
        raise InputError(f"{path}: must be a file, but is a folder. {way_out}") from None
    except OSError as error:
        raise InputError(f"{path}: must be readable, but: {error.strerror}. {way_out}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: must be UTF-8 text, but byte {error.start} is not. {way_out}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{path}: must be JSON, but is none from {place} on. {way_out}") from None
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        raise InputError(f"{path}: must be JSON that can be read, but goes too far. {way_out}") from None
    if not isinstance(said, dict):
        raise InputError(f"{path}: must be a JSON object, but got {type(said).__name__}. {way_out}")
    return said
