"""chtexp table: a table from the results there are."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from chtexp.cli.common import (
    add_config_dir,
    add_results,
    add_table_arguments,
    check_config_dir,
    runs_folder,
    said_if_slow,
)
from chtexp.errors import unknown
from chtexp.paper.tables import finished_table
from chtexp.report import FORMATS, render

EXAMPLE = "chtexp table table7 --format latex"
SUFFIXES = {".md": "md", ".csv": "csv", ".tex": "latex", ".html": "html", ".json": "json"}


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    sub.add_argument(
        "--format", metavar="md|csv|latex|html|json", help="the format (default: by the suffix of --output, or md)"
    )
    sub.add_argument("--output", type=Path, help="write to this file instead of the terminal")
    add_results(sub)
    add_table_arguments(sub)
    add_config_dir(sub)


def run(parsed: argparse.Namespace) -> int:
    """A table, from results alone."""
    style = parsed.format or _format_of(parsed.output)
    if style not in FORMATS:
        raise unknown("format", style, FORMATS)
    check_config_dir(parsed.config_dir)
    with said_if_slow(f"reading the results of {parsed.name}"):
        found = finished_table(parsed.name, parsed.overrides, parsed.config_dir, parsed.results, parsed.accept)
    text = render(found, style)
    if parsed.output:
        parsed.output.parent.mkdir(parents=True, exist_ok=True)
        parsed.output.write_text(text)
        print(f"written: {parsed.output}")
    else:
        print(text, end="")
    for damage in found.damaged:
        print(f"chtexp: not shown: {damage}", file=sys.stderr)
    if not any(row.n for row in found.rows):
        print(f"chtexp: {_nothing_done(parsed)}", file=sys.stderr)
    return 0


def _format_of(output: Path | None) -> str:
    """What the suffix of a file stands for. Raises UserError for one that stands for nothing."""
    if output is None:
        return "md"
    if output.suffix not in SUFFIXES:
        raise unknown("suffix of a table", output.suffix, SUFFIXES)
    return SUFFIXES[output.suffix]


def _nothing_done(parsed: argparse.Namespace) -> str:
    """Where was looked in vain for runs of a table, and what to type to see which it wants."""
    paths = [override for override in parsed.overrides if override.startswith("paths.")]
    runs = runs_folder(paths, parsed.config_dir, required=False).resolve()
    where = f", neither in {runs} nor in {', '.join(map(str, parsed.results))}" if parsed.results else f" in {runs}"
    own = ["--config-dir", str(parsed.config_dir)] if parsed.config_dir else []
    own += [word for file in parsed.plugins for word in ("--plugin", file)]
    wanted = shlex.join(["chtexp", "plan", parsed.name, *parsed.overrides, *own])
    return f"no run of this table is done{where}; see which it wants: {wanted}"
