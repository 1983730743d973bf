"""chtexp bench: measure time and memory here."""

from __future__ import annotations

import argparse
from pathlib import Path

from chtexp.cli.common import add_config_dir
from chtexp.config.compose import compose_run

EXAMPLE = "chtexp bench step networks=mnist density=0.01,0.1 threads=2"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    sub.add_argument("what", metavar="WHAT", help="step, linkpred, update, memory, epoch, checkpoint or run")
    sub.add_argument(
        "settings",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="what and how to measure (networks=mnist,cifar10, rounds=20), lists by commas; a wrong key is answered by all keys",
    )
    sub.add_argument("--json", action="store_true", help="as one JSON object")
    sub.add_argument(
        "--output",
        type=Path,
        action="append",
        default=[],
        help="write to this file, too: .json or .md; may be repeated",
    )
    add_config_dir(sub)


def run(parsed: argparse.Namespace) -> int:
    """One benchmark, measured here and now."""
    from chtexp.bench import check_output, run_benchmark

    for path in parsed.output:
        check_output(path)  # before minutes of measuring
    outcome = run_benchmark(parsed.what, parsed.settings, lambda words: compose_run(words, parsed.config_dir))
    print(outcome.json() if parsed.json else outcome.text())
    for path in parsed.output:
        outcome.write(path)
    return 0
