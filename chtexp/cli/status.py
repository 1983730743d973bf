"""chtexp status: every run and its state, read off its folder and off the scheduler."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chtexp.cli.common import add_config_dir, conditions, runs_folder, said_if_slow
from chtexp.store import DAMAGED, Condition, Damaged, RunFolder

if TYPE_CHECKING:
    from rich.table import Table


STYLES = {
    "done": "green",
    "running": "cyan",
    "pending": "blue",
    "failed": "bold red",
    "damaged": "bold red",
    "stale": "red",
}
HEADS = ("run", "seed", "state", "step", "result, or reason")
MOST_STYLED = 1000
LOG_LINES = 5
WATCH_SECONDS = 5.0


EXAMPLE = "chtexp status --failed"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    how = sub.add_mutually_exclusive_group()
    how.add_argument(
        "--failed",
        action="store_true",
        help="only runs that ended before they were done: the reason, the last log lines, and the command that goes on",
    )
    how.add_argument("--json", action="store_true", help="as JSON, for scripts")
    how.add_argument(
        "--watch", action="store_true", help="show it again and again, until Ctrl-C or until nothing is open"
    )
    sub.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help="paths.runs=FOLDER")
    add_config_dir(sub)


@dataclass(frozen=True)
class Line:
    """One run, as it is shown."""

    folder: RunFolder
    condition: Condition
    step: int | None
    shown: str

    def values(self) -> dict[str, Any]:
        """For scripts."""
        result = self.condition.result
        return {
            "run": self.folder.path.parent.name,
            "seed": self.folder.path.name.removeprefix("seed-"),
            "folder": str(self.folder.path),
            "state": self.condition.state,
            "reason": self.condition.reason,
            "step": self.step,
            "result": result.said if result else None,
            "command": result.command if result else self.last_command(),
        }

    def last_command(self) -> str | None:
        """What goes on with it, as far as that can be read; of a finished run, only its scores can be damaged."""
        with suppress(Damaged):
            if self.folder.finished() is not None:
                return f"chtexp zeroshot {shlex.quote(str(self.folder.path))}"
        with suppress(Damaged):
            start, command = self.folder.last_start(), self.folder.last_command()
            anew = start is not None and start.ending is not None and start.ending.begins_anew
            return f"{command} overwrite=true" if command and anew else command
        return None

    def log_tail(self) -> list[str]:
        """The end of what it printed, or why that cannot be read."""
        try:
            return self.folder.log_tail(LOG_LINES)
        except Damaged as damage:
            return [str(damage)]


def run(parsed: argparse.Namespace) -> int:
    """Show the state of every run."""
    from chtexp.store.many import many_records

    runs = runs_folder(parsed.overrides, parsed.config_dir)
    if parsed.watch:
        return _watch(runs)
    with many_records():
        with said_if_slow(f"reading the folders of runs in {runs}"):
            lines = _lines(runs)
        _show(parsed, lines, runs)
    return 0


def _show(parsed: argparse.Namespace, lines: list[Line], runs: Path) -> None:
    """As it was asked for."""
    if parsed.json:
        print("[" + ",\n".join(json.dumps(line.values()) for line in lines) + "]")
    elif parsed.failed:
        _print_failed(lines, runs)
    else:
        if sys.stdout.isatty() and len(lines) <= MOST_STYLED:
            from rich.console import Console

            Console().print(_table(lines))
        else:
            print(_plain(lines))
        print(f"{len(lines)} runs in {runs}{_counts(lines)}")


def _lines(runs: Path) -> list[Line]:
    folders = RunFolder.every(runs)
    return [_line(folder, condition) for folder, condition in zip(folders, conditions(folders), strict=True)]


def _line(folder: RunFolder, condition: Condition) -> Line:
    if result := condition.result:
        best = result.reported
        return Line(folder, condition, result.steps, f"{result.metric} {best:.2f}" if best is not None else "")
    try:
        step = condition.step if condition.step is not None else folder.last_step()
    except Damaged as damage:
        condition = Condition(DAMAGED, str(damage))
        return Line(folder, condition, None, condition.reason)
    return Line(folder, condition, step, condition.reason)


def _cells(line: Line) -> tuple[str, ...]:
    step = "" if line.step is None else str(line.step)
    seed = line.folder.path.name.removeprefix("seed-")
    return line.folder.path.parent.name, seed, line.condition.state, step, line.shown


def _plain(lines: list[Line]) -> str:
    """For pipes, and for more runs than anybody looks at in colour."""
    rows = [HEADS, *map(_cells, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)), row[-1]]) for row in rows
    )


def _table(lines: list[Line]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in HEADS:  # in a narrow window the run's name and the reason give way
        least = (
            None
            if head in (HEADS[0], HEADS[-1])
            else max((len(_cells(line)[HEADS.index(head)]) for line in lines), default=1)
        )
        table.add_column(head, no_wrap=True, overflow="ellipsis", min_width=least)
    for line in lines:
        run, seed, state, step, shown = _cells(line)
        table.add_row(run, seed, f"[{STYLES.get(state, 'yellow')}]{state}[/]", step, escape(shown))
    return table


def _counts(lines: list[Line]) -> str:
    counts = Counter(line.condition.state for line in lines)
    return ": " + ", ".join(f"{count} {state}" for state, count in counts.most_common()) if counts else ""


def _print_failed(lines: list[Line], runs: Path) -> None:
    left = [line for line in lines if line.condition.state not in ("done", "running", "pending", "missing")]
    for line in left:
        step = f" at step {line.step}" if line.step is not None else ""
        print(f"{line.folder.path}\n  {line.condition.state}{step}: {line.condition.reason}")
        for text in line.log_tail():
            print(f"  | {text}")
        print(f"  go on: {line.last_command() or 'no command is written down that can be read'}")
    print(f"{len(left)} of {len(lines)} runs in {runs} ended before they were done")


def _watch(runs: Path) -> int:
    from rich.console import Group
    from rich.live import Live

    def picture() -> tuple[Group, bool]:
        lines = _lines(runs)
        is_open = any(line.condition.state in ("running", "pending") for line in lines)
        return Group(
            _table(lines), f"{len(lines)} runs in {runs}{_counts(lines)}   {time.strftime('%H:%M:%S')}"
        ), is_open

    shown, goes_on = picture()
    with Live(shown, auto_refresh=False) as live:
        while goes_on:
            time.sleep(WATCH_SECONDS)
            shown, goes_on = picture()
            live.update(shown, refresh=True)
    return 0
