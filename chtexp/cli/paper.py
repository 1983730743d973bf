"""chtexp paper: every table and figure of the paper, what there is of it, and what to type to make it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from chtexp.cli.common import add_config_dir, add_results, runs_folder, said_if_slow
from chtexp.paper.inventory import Entry, paper_entries
from chtexp.paper.results import Results
from chtexp.report.formats import lines_of
from chtexp.report.number_format import GAP, MARK
from chtexp.store.collection import merged, read_collection

HEADS = ("name", "cells", "state", "budget", "last run", "to make it", "what")


EXAMPLE = "chtexp paper --results results/multi30k-cpu.jsonl"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    sub.add_argument("--json", action="store_true", help="as JSON, for scripts")
    add_results(sub)
    sub.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help="paths.runs=FOLDER")
    add_config_dir(sub)


def run(parsed: argparse.Namespace) -> int:
    """Show the list."""
    runs = runs_folder(parsed.overrides, parsed.config_dir, required=False)
    more = merged({str(path): read_collection(path) for path in parsed.results}, parsed.accept)
    results = Results(runs, more, parsed.accept)
    with said_if_slow("looking through all tables and figures"):
        entries = paper_entries(results, parsed.config_dir)
    for damage in results.all_damaged():
        print(f"chtexp: not counted: {damage}", file=sys.stderr)
    if parsed.json:
        print(json.dumps([{**asdict(entry), "state": entry.state} for entry in entries], indent=2))
        return 0
    print(lines_of([_fields(entry) for entry in entries], HEADS))
    if found_marks := dict.fromkeys(mark for entry in entries for mark in entry.marks):
        print(f"{MARK}: runs that are not the paper's: {'; '.join(found_marks)}")
    print(
        "The paper's own training may take days of GPUs: chtexp plan NAME --gpu A100. budget=cpu is a part of it, smoke seconds."
    )
    complete = sum(entry.state == "complete" for entry in entries)
    print(f"{len(entries)} tables and figures, {complete} complete; runs in {runs}")
    return 0


def _fields(entry: Entry) -> list[str]:
    return [
        entry.name,
        f"{entry.done}/{entry.wanted}" if entry.wanted else GAP,
        entry.state,
        f"{entry.budget or GAP}{MARK if entry.marks else ''}",
        (entry.last_run or GAP)[:10],
        "; ".join(entry.make),
        entry.title.partition(": ")[2] or entry.title,
    ]
