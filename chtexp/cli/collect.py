"""chtexp collect: the results of all finished runs in one file; those of several machines merge."""

from __future__ import annotations

import argparse
from pathlib import Path

from chtexp.cli.common import add_config_dir, add_keep_first, runs_folder, said_if_slow
from chtexp.errors import UserError
from chtexp.store.collection import add_to_collection, check_suffix, read_collection, results_below

EXAMPLE = "chtexp collect --output results/runs.parquet --add laptop.jsonl"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    sub.add_argument(
        "--output", type=Path, default=Path("results/runs.jsonl"), help="*.parquet or *.jsonl (default: %(default)s)"
    )
    sub.add_argument(
        "--add", type=Path, action="append", default=[], help="a file that was collected elsewhere; may be repeated"
    )
    add_keep_first(sub, "the output file, then each --add, then the runs here")
    sub.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help="paths.runs=FOLDER")
    add_config_dir(sub)


def run(parsed: argparse.Namespace) -> int:
    """Write the file."""
    check_suffix(parsed.output)
    for path in parsed.add:
        if not path.exists():
            raise UserError(f"{path} is not there")
    there = parsed.output.exists()
    runs = runs_folder(parsed.overrides, parsed.config_dir, required=not (there or parsed.add))
    with said_if_slow(f"reading the results in {runs}"):
        here = results_below(runs)
    found = {**{str(path): read_collection(path) for path in parsed.add}, str(runs): here}
    if not there and not any(found.values()):
        raise UserError(f"no run in {runs} is done; 'chtexp status paths.runs={runs}' shows what there is")
    together = add_to_collection(parsed.output, found, parsed.accept)
    print(
        f"{len(here)} results in {runs}, {len(together) - len(here.keys())} from elsewhere; {len(together)} in {parsed.output}"
    )
    return 0
