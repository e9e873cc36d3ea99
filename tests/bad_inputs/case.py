"""One bad input: what is wrong, how it is made of a sound world, and the command that meets it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

Make = Callable[[Path], object]


_MOVING: Final = (
    (r"(logmel|stage\d)-[0-9a-f]{16,20}", r"\1-HASH"),
    (r"fingerprint [0-9a-f]{12}\)( than the study's) \([0-9a-f]{12}\)", r"fingerprint HASH)\1 (HASH)"),
    (r"only \d+ are there", "only N are there"),
    (r"(timm|torch|numpy|scipy|librosa) \d[\w.+]*", r"\1 VERSION"),
)
"""What another machine or version says otherwise."""


def nothing(world: Path) -> None:
    """The command alone is wrong."""


@dataclass(frozen=True)
class Bad:
    """A case. `wrong` names it; `words` are the command line, given in the world's folder."""

    wrong: str
    words: str
    make: Make = nothing


def text(name: str, content: str) -> Make:
    """A file with this content."""
    return lambda world: (world / name).write_text(content, encoding="utf-8")


def raw(name: str, content: bytes) -> Make:
    """A file with these bytes."""
    return lambda world: (world / name).write_bytes(content)


def swap(name: str, old: str, new: str) -> Make:
    """Change the first place where a file says something."""

    def make(world: Path) -> None:
        said = (world / name).read_text(encoding="utf-8")
        assert old in said, (name, old)
        (world / name).write_text(said.replace(old, new, 1), encoding="utf-8")

    return make


def more(name: str, content: str) -> Make:
    """Say more at the end of a file."""
    return lambda world: (world / name).write_text(
        (world / name).read_text(encoding="utf-8") + content, encoding="utf-8"
    )


def gone(name: str) -> Make:
    """A file or folder is missing."""

    def make(world: Path) -> None:
        path = world / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return make


def cut(name: str, share: float) -> Make:
    """Only the first part of a file is there."""
    return lambda world: (world / name).write_bytes(
        (world / name).read_bytes()[: int(share * (world / name).stat().st_size)]
    )


def flip(name: str, at: float) -> Make:
    """One byte is another, at a share of the file's length."""

    def make(world: Path) -> None:
        content = bytearray((world / name).read_bytes())
        content[int(at * len(content))] ^= 0xFF
        (world / name).write_bytes(bytes(content))

    return make


def folder(name: str) -> Make:
    """A folder stands where a file is wanted."""

    def make(world: Path) -> None:
        (world / name).unlink(missing_ok=True)
        (world / name).mkdir(parents=True)

    return make


def loop(name: str) -> Make:
    """A link to itself stands where a file is wanted: nobody can read it, whoever asks."""

    def make(world: Path) -> None:
        (world / name).unlink(missing_ok=True)
        (world / name).symlink_to(Path(name).name)

    return make


def fact(name: str, *path: str | int, value: Any) -> Make:
    """A JSON file says something else at a place."""

    def make(world: Path) -> None:
        whole = json.loads((world / name).read_text(encoding="utf-8"))
        inner = whole
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        (world / name).write_text(json.dumps(whole), encoding="utf-8")

    return make


def without(name: str, key: str) -> Make:
    """A JSON file does not say something."""

    def make(world: Path) -> None:
        whole = json.loads((world / name).read_text(encoding="utf-8"))
        del whole[key]
        (world / name).write_text(json.dumps(whole), encoding="utf-8")

    return make


def sound(
    name: str, samples: Callable[[], np.ndarray[Any, Any]], rate_hz: int = 8000, subtype: str | None = None
) -> Make:
    """A sound file of these samples."""

    def make(world: Path) -> None:
        (world / name).unlink(missing_ok=True)
        soundfile.write(world / name, samples(), rate_hz, subtype=subtype)

    return make


def both(*makes: Make) -> Make:
    """One after another."""

    def make(world: Path) -> None:
        for one in makes:
            one(world)

    return make


def told(said: str, world: Path) -> str:
    """What a person reads, with the world's folder as FOLDER, names that hash contents cut, and no bar's progress."""
    for pattern, plain in _MOVING:
        said = re.sub(pattern, plain, said)
    lines = [line.rstrip() for line in said.replace(str(world), "FOLDER").splitlines()]
    return "\n".join(line for line in lines if line and not re.match(r"[\w ]+: \d+/\d+", line))
