"""The exception that means: the user can mend this; the one that means: work failed; and errors in one line."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 60


class InputError(ValueError):
    """A user's mistake or an unsound input, found before work began.

    The text says where, the rule, what was got, and the way out, in one or two lines. The command line prints it
    on stderr and ends with exit code 2.
    """


class RunError(RuntimeError):
    """Work had begun and failed; the command line ends with exit code 1."""


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its name where it says nothing."""
    return next(iter(_lines(error)), type(error).__name__)


def last_line(error: BaseException | str | None) -> str:
    """The last line of what an error says, such as a traceback's own error, or its name."""
    return _lines(error)[-1] if _lines(error) else type(error).__name__


def cut(text: str) -> str:
    """A cell of a table as it is told, the long ones cut."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def printable(text: str) -> str:
    r"""A text as a terminal may show it: what a file has put into it as a control character stands as \\x1b."""
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)


def _lines(error: BaseException | str | None) -> list[str]:
    return [line.strip() for line in str(error or "").splitlines() if line.strip()]
