"""The one exception that means: the user can mend this."""

from __future__ import annotations


class InputError(ValueError):
    """A user's mistake or an unsound input, found before work began.

    The text says where, the rule, what was got, and the way out, in one or two lines. The command line prints it
    on stderr and ends with exit code 2.
    """
