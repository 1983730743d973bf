"""chtexp generate: a trained language model goes on with a text."""

from __future__ import annotations

import argparse

from chtexp.cli.common import not_negative, positive
from chtexp.cli.trained import add_trained_run, writer_of

EXAMPLE = 'chtexp generate runs/webmix-chtss-cpu-160fb85c6a/seed-0 "Once"'


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    add_trained_run(sub)
    sub.add_argument("text", metavar="TEXT", help="what to go on with")
    sub.add_argument("--tokens", type=positive, default=50, help="at most so many more (default: %(default)s)")
    sub.add_argument(
        "--temperature", type=not_negative, default=1.0, help="0: always the likeliest (default: %(default)s)"
    )
    sub.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")


def run(parsed: argparse.Namespace) -> int:
    """Print the text and what follows it."""
    writer = writer_of(parsed)
    print(writer(parsed.text, parsed.tokens, temperature=parsed.temperature, seed=parsed.seed))
    return 0
