"""The one kind of error that a person can mend by typing something else."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A wrong value from outside: its message names what was wrong, what is allowed and what to do.

    The command line prints the message as one line and exits with code 2; from Python it is a `ValueError`.
    """


def unknown(kind: str, value: object, choices: Iterable[object]) -> UserError:
    """The error for a name that is none of `choices`, with the nearest one as a hint."""
    names = sorted(str(choice) for choice in choices)
    near = difflib.get_close_matches(str(value), names, n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return UserError(f"unknown {kind} '{value}'{hint}; choose one of: {', '.join(names)}")
