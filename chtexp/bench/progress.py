"""What a person sees while a benchmark runs: lines on the terminal, none where a program reads."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Write a line to the terminal, if there is one behind stderr."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)
