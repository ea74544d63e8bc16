"""What can go wrong, by whose hand it must be put right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LifesimError(Exception):
    """Something failed that is not the user's input; the command line exits with status 1."""

    exit_status = 1


class UserError(LifesimError):
    """The user's input cannot be used; the message is one line that says how to mend it. Exit status 2."""

    exit_status = 2


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest allowed name, or an empty string if none is near."""
    near = difflib.get_close_matches(str(given), [str(name) for name in allowed], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
