"""chtexp figure: a figure from the results there are."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from chtexp.cli.common import add_config_dir, add_results, check_config_dir, said_if_slow
from chtexp.paper.draw import Wanted, draw_figure
from chtexp.report.figures import check_suffix, write

EXAMPLE = "chtexp figure figure9 --output figure9.pdf --output figure9.png"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    sub.add_argument("name", metavar="FIGURE", help="figure2, figure3, figure5 to figure12; with --kind any table")
    sub.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="choose cells (data=mnist, row=CHTs,SET) and the budget (budget=cpu), as of a table",
    )
    sub.add_argument(
        "--kind",
        metavar="KIND",
        help="bars, curves (over training), heat_map, win_rates, flops or seconds (the metric against them), "
        "neurons (active ones by layer) or degrees (their links by layer); default: as the grid says",
    )
    sub.add_argument(
        "--output",
        type=Path,
        action="append",
        default=[],
        help="*.svg, *.pdf or *.png; may be repeated (default: FIGURE.svg)",
    )
    add_results(sub, "of figure2, what 'chtexp bench linkpred' wrote")
    add_config_dir(sub)


def run(parsed: argparse.Namespace) -> int:
    """A figure, from results alone."""
    check_config_dir(parsed.config_dir)
    outputs = parsed.output or [Path(f"{parsed.name}.svg")]
    for path in outputs:
        check_suffix(path)
    with said_if_slow(f"reading results and drawing {parsed.name}"):
        drawn = draw_figure(
            parsed.name, Wanted(parsed.overrides, parsed.config_dir, parsed.results, parsed.kind, parsed.accept)
        )
    for path in outputs:
        write(drawn.figure, path)
        print(f"written: {path}")
    for damage in drawn.damaged:
        print(f"chtexp: not shown: {damage}", file=sys.stderr)
    if drawn.results == 0:
        print(f"chtexp: {parsed.name} shows no results: none was found", file=sys.stderr)
    return 0
