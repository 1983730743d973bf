"""What the commands share: their arguments, the runs they are about, and the verdict at the end."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Timer
from typing import Any, NoReturn

from chtexp.config.compose import compose_runs_folder
from chtexp.config.run import Run
from chtexp.errors import UserError, unknown
from chtexp.launch.slurm_queue import queue_of
from chtexp.paper.plan import PlannedRun, plan_runs
from chtexp.store import Condition, RunFolder, condition, is_conducted
from chtexp.store.collection import SUFFIXES
from chtexp.store.many import many_records

EXIT_FAILURE, EXIT_INTERRUPTED = 1, 130
SLOW_SECONDS = 1.0


class Parser(argparse.ArgumentParser):
    """Whatever is wrong is a UserError: one line, and not the usage before it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """What argparse has to say."""
        raise UserError(f"{message}; {self.prog} --help says more")

    def parse(self, typed: Sequence[str]) -> argparse.Namespace:
        """What was typed, flags and words in any order."""
        parsed, rest = self.parse_known_intermixed_args(typed)
        if rest:
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            raise (
                unknown("flag", rest[0], flags) if rest[0].startswith("-") else UserError(f"{rest[0]} is one too many")
            )
        return parsed


def add_table_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", metavar="TABLE", help="a file of conf/paper, e.g. table7")
    sub.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="choose cells (data=mnist), change runs (budget=smoke), set seeds (seed=0,1), add a row (+method=mine)",
    )


QUIET = "logger.quiet=true"


def positive(word: str) -> int:
    """A whole number from 1 on, for argparse."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"'{word}' is no whole number from 1 on")
    return int(word)


def not_negative(word: str) -> float:
    """A number from 0 on, for argparse."""
    try:
        number = float(word)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"'{word}' is no number from 0 on")
    return number


def add_config_dir(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--config-dir", type=Path, help="a folder of your own configuration, laid out as conf/")


def take_results(parsed: argparse.Namespace) -> None:
    """Files after `--results FILE`, as a shell makes them of `results/*.jsonl`, are results, too, and no overrides."""
    if getattr(parsed, "results", None) and hasattr(parsed, "overrides"):
        more = [word for word in parsed.overrides if "=" not in word and Path(word).suffix in SUFFIXES]
        parsed.results = [*parsed.results, *map(Path, more)]
        parsed.overrides = [word for word in parsed.overrides if word not in more]


def add_results(sub: argparse.ArgumentParser, also: str = "may be repeated") -> None:
    """Collected results, `results`, beside those below the folder of runs."""
    sub.add_argument(
        "--results",
        type=Path,
        action="append",
        default=[],
        help=f"besides the runs here, those that 'chtexp collect' wrote; {also}",
    )
    add_keep_first(sub, "the run folders, then each --results")


def add_keep_first(sub: argparse.ArgumentParser, order: str) -> None:
    """What to do about results that differ: `accept` is told of each, where they are not refused."""
    sub.add_argument(
        "--keep-first",
        dest="accept",
        action="store_const",
        const=keep_first,
        help=f"where places hold other numbers for a run, take those of the first ({order}) instead of refusing",
    )


def keep_first(conflict: str) -> None:
    """Say that the first was taken."""
    print(f"chtexp: took the first of {conflict}", file=sys.stderr)


def check_config_dir(config_dir: Path | None) -> None:
    if config_dir is not None and not config_dir.is_dir():
        raise UserError(f"--config-dir {config_dir} is not a folder")


def planned_runs(parsed: argparse.Namespace, overrides: list[str]) -> list[PlannedRun]:
    """The runs of the table that was named."""
    check_config_dir(parsed.config_dir)
    with said_if_slow(f"composing the runs of {parsed.name}"):
        return plan_runs(parsed.name, overrides, parsed.config_dir)


def is_for_sweep(override: str) -> bool:
    """Whether it is about who carries out a sweep, and not about its runs."""
    key = override.lstrip("+~").partition("=")[0].split(".")[0]
    return key == "launcher" or bool(difflib.get_close_matches(key, ["max_failures"], cutoff=0.8))


def runs_folder(overrides: Sequence[str], config_dir: Path | None, *, required: bool = True) -> Path:
    """Where runs are, by what was typed. Raises UserError if there is no such folder, where one is required."""
    check_config_dir(config_dir)
    for override in overrides:
        if override.partition("=")[0] != "paths.runs":
            hint = "" if "=" in override else f": paths.runs={override}"
            raise UserError(f"'{override}' means nothing to this command; it takes paths.runs=FOLDER alone{hint}")
    runs = compose_runs_folder(overrides, config_dir)
    if required and not runs.is_dir():
        raise UserError(
            f"there is no folder {runs}: nothing was trained here yet, or it is elsewhere (paths.runs=FOLDER)"
        )
    return runs


def conditions(folders: Sequence[RunFolder]) -> list[Condition]:
    """What is known of each run, after asking the scheduler once for all of them."""
    queue, conducted = queue_of(folders), cache(is_conducted)
    with said_if_slow(f"reading the folders of {len(folders)} runs"), many_records():
        return [condition(folder, queue, conducted) for folder in folders]


@contextmanager
def said_if_slow(doing: str) -> Iterator[None]:
    """Tell the person at the terminal what is going on, once it has taken a second."""
    if not sys.stderr.isatty():
        yield
        return
    timer = Timer(SLOW_SECONDS, lambda: print(f"{doing} ...", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def exit_code_of(runs: Sequence[Run]) -> int:
    """Say what became of runs that were launched; a failure if any is not done."""
    found = conditions([run.folder for run in runs])
    left = [(run, one) for run, one in zip(runs, found, strict=True) if one.state != "done"]
    for run, one in left:
        reason = f"  ({one.reason})" if one.reason else ""
        print(f"{one.state}: {run.folder.path}{reason}", file=sys.stderr)
    if len(runs) > 1:
        print(f"{len(runs) - len(left)} of {len(runs)} runs done")
    return EXIT_FAILURE if left else 0
