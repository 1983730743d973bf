"""chtexp campaign: carry out what is missing of many tables, the worthiest first, for as long as there is time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from chtexp.cli.common import (
    EXIT_FAILURE,
    add_config_dir,
    check_config_dir,
    conditions,
    keep_first,
    not_negative,
    positive,
)
from chtexp.config.compose import train_command
from chtexp.errors import UserError
from chtexp.launch.campaign import Campaign, collection_of, read_campaign
from chtexp.launch.carrier import Carrier, Deadline, Wanted
from chtexp.launch.pace import Pace, in_words
from chtexp.paper.plan import plan_runs
from chtexp.report.formats import lines_of
from chtexp.report.number_format import GAP
from chtexp.store import OPEN
from chtexp.store.collection import Collection, Key

EXAMPLE = "chtexp campaign results/campaign.yaml --hours 60"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    sub.add_argument("file", type=Path, metavar="FILE", help="ranks in order of worth, as YAML")
    sub.add_argument(
        "--hours", type=not_negative, metavar="H", help="stop then, with a checkpoint (default: when all is done)"
    )
    sub.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="runs at once, of one thread each (default: %(default)s)",
    )
    sub.add_argument(
        "--dry-run", action="store_true", help="show what is done, what is missing, and hours; start nothing"
    )
    sub.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="of all ranks, e.g. paths.runs=FOLDER budget=smoke",
    )
    add_config_dir(sub)


def run(parsed: argparse.Namespace) -> int:
    """Carry it out, or show what that would be."""
    deadline = Deadline(parsed.hours)
    check_config_dir(parsed.config_dir)
    asked = read_campaign(parsed.file)
    collected = collection_of(asked, parsed.file)
    carrier = Carrier(_wanted(asked, parsed), collected, deadline, _aloud, keep_first)
    if parsed.dry_run:
        _show(asked, carrier.wanted, carrier.done())
        return 0
    try:
        carrier.carry_out(parsed.workers)
    finally:
        for item in carrier.wanted:
            if reason := carrier.failed.get(item.key):
                print(f"failed: {item}: {reason}; {item.run.folder.path}", file=sys.stderr)
        print(_ending(carrier))
    return EXIT_FAILURE if carrier.failed else 0


def _ending(carrier: Carrier) -> str:
    """How many runs are done, and why not all."""
    left = [item for item in carrier.left(carrier.done()) if item.key not in carrier.failed]
    elsewhere = sum(found.state in OPEN for found in conditions([item.run.folder for item in left]))
    said = f"{len(carrier.wanted) - len(carrier.left(carrier.done()))} of {len(carrier.wanted)} runs done: {carrier.collected}"
    if elsewhere:
        said += f"; {elsewhere} at work elsewhere"
    if len(left) > elsewhere:
        said += f"; {len(left) - elsewhere} to go: start the same campaign again"
    return said


def _aloud(line: str) -> None:
    print(line, flush=True)


def _wanted(asked: Campaign, parsed: argparse.Namespace) -> list[Wanted]:
    """Every run of the campaign in the order of its turn: rank by rank, within a rank the cheapest first; each once."""
    found: dict[Key, Wanted] = {}
    for rank, words in enumerate(asked.ranks, 1):
        table, *overrides = words
        try:
            planned = plan_runs(table, [*overrides, *parsed.overrides], parsed.config_dir)
            planned.sort(key=lambda item: item.cost.sparse_flops)
        except UserError as error:
            raise UserError(f"{parsed.file}, rank {rank} ({' '.join(words)}): {error}") from None
        if any(item.overwrite for item in planned):
            raise UserError("a campaign goes on with what there is: it takes no overwrite=true")
        for item in planned:
            command = train_command(item.overrides, parsed.config_dir)
            wanted = Wanted(rank, table, item.cell.row, item.cell.column, item.run, command)
            found.setdefault(wanted.key, wanted)
    return list(found.values())


def _show(asked: Campaign, wanted: Sequence[Wanted], done: Collection) -> None:
    """A line a cell: which seeds are done and which are missing, in what state if they were begun, and hours of these."""
    found = conditions([item.run.folder for item in wanted])
    states = {
        item.key: "done" if item.key in done else condition.state for item, condition in zip(wanted, found, strict=True)
    }
    pace = Pace([*done.values(), *(condition.result for condition in found if condition.result)])

    def to_go(items: Iterable[Wanted]) -> str:
        return in_words(pace.of_all(item.run for item in items if states[item.key] != "done"))

    for number, words in enumerate(asked.ranks, 1):
        runs = [item for item in wanted if item.rank == number]
        count = sum(states[item.key] == "done" for item in runs)
        print(f"rank {number}: {' '.join(words)}: {count} of {len(runs)} runs done, about {to_go(runs)} to go")
        cells = [list(cell) for _, cell in groupby(runs, lambda item: item.run.id)]
        rows = [[cell[0].row, cell[0].column, cell[0].run.id, *_seeds(cell, states), to_go(cell)] for cell in cells]
        print(lines_of(rows, ["row", "column", "id", "done", "missing", "about"]) + "\n")
    count = sum(state == "done" for state in states.values())
    print(
        f"{count} of {len(wanted)} runs done; about {to_go(wanted)} to go on one core (by the pace of runs that are done, or a "
        "guess where there are none)"
    )


def _seeds(cell: list[Wanted], states: Mapping[Key, str]) -> tuple[str, str]:
    """Those that are done, and the others with their states but for those never begun."""
    done = [f"seed {item.run.seed}" for item in cell if states[item.key] == "done"]
    others = [(item.run.seed, states[item.key]) for item in cell if states[item.key] != "done"]
    missing = [f"seed {seed}" if state == "missing" else f"seed {seed} ({state})" for seed, state in others]
    return ", ".join(done) or GAP, ", ".join(missing) or GAP
