"""Errors that end a command with one line: a mistake in what was typed, or a failure of the machine or the network."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MISTAKE, FAILURE = 2, 1  # exit codes


class UserError(ValueError):
    """A wrong value from outside: its message names what was wrong, what is allowed and what to do.

    The command line prints the message as one line and exits with `exit_code`; from Python it is a `ValueError`.
    """

    exit_code = MISTAKE


class Unavailable(UserError):
    """The disk or the network failed: nothing that was typed is wrong, and the same command may work later."""

    exit_code = FAILURE


def unknown(kind: str, value: object, choices: Iterable[object], folder: str = "") -> UserError:
    """Make the error for a name that is none of the choices, with the nearest one as a hint.

    Args:
        kind: what the name should be a name of, in words.
        value: the name.
        choices: the known names.
        folder: the folder in which the choices lie, and which then stands before each; of `value` the last part is looked for.

    Returns:
        The error, to be raised.
    """
    names = sorted(str(choice) for choice in choices)
    near = difflib.get_close_matches(str(value).rpartition("/")[2] if folder else str(value), names, n=1)
    place = f"{folder}/" if folder else ""
    hint = f" (did you mean '{place}{near[0]}'?)" if near else ""
    return UserError(f"unknown {kind} '{value}'{hint}; choose one of: {', '.join(place + name for name in names)}")
