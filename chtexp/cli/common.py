"""What the commands share: their arguments, the runs they are about, and the verdict at the end."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from chtexp.config.compose import compose_runs_folder
from chtexp.config.plugins import name_plugin
from chtexp.config.run import Run
from chtexp.errors import UserError, unknown
from chtexp.launch.slurm_queue import queue_of
from chtexp.paper.plan import PlannedRun, plan_runs
from chtexp.store import Condition, RunFolder, condition, is_conducted
from chtexp.store.collection import SUFFIXES
from chtexp.store.many import many_records
from chtexp.system.patience import said_if_slow as said_if_slow

EXIT_FAILURE, EXIT_INTERRUPTED = 1, 130


class Parser(argparse.ArgumentParser):
    """A parser for which whatever is wrong is a UserError: one line, and not the usage before it.

    Args:
        settings: as of `argparse.ArgumentParser`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse has to say as an error of one line.

        Args:
            message: what argparse has to say.

        Raises:
            UserError: always.
        """
        raise UserError(f"{message}; {self.prog} --help says more")

    def parse(self, typed: Sequence[str]) -> argparse.Namespace:
        """Parse what was typed, flags and words in any order.

        Args:
            typed: the words.

        Returns:
            The values by name.

        Raises:
            UserError: a flag is unknown, a word is one too many, or argparse finds another mistake.
        """
        parsed, rest = self.parse_known_intermixed_args(typed)
        if rest:
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            raise (
                unknown("flag", rest[0], flags) if rest[0].startswith("-") else UserError(f"{rest[0]} is one too many")
            )
        return parsed


def add_table_arguments(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of a command about a table: its name, and overrides."""
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
    """Parse a whole number from 1 on, for argparse.

    Raises:
        argparse.ArgumentTypeError: the word is no such number.
    """
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"'{word}' is no whole number from 1 on")
    return int(word)


def not_negative(word: str) -> float:
    """Parse a number from 0 on, for argparse.

    Raises:
        argparse.ArgumentTypeError: the word is no such number.
    """
    try:
        number = float(word)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"'{word}' is no number from 0 on")
    return number


def above_zero(word: str) -> float:
    """Parse a number above 0, for argparse.

    Raises:
        argparse.ArgumentTypeError: the word is no such number.
    """
    if not not_negative(word):
        raise argparse.ArgumentTypeError(f"'{word}' is no number above 0")
    return float(word)


def add_config_dir(sub: argparse.ArgumentParser) -> None:
    """Add the flag for a folder of the person's own configuration, laid out as `conf/`."""
    sub.add_argument("--config-dir", type=Path, help="a folder of your own configuration, laid out as conf/")


def add_plugin(sub: argparse.ArgumentParser) -> None:
    """Add the flag for modules of the person's own, `plugins`."""
    sub.add_argument(
        "--plugin",
        dest="plugins",
        action="append",
        default=[],
        metavar="FILE.py",
        help="a module that registers rules, data, models or tasks of your own; may be repeated",
    )


def name_plugins(named: Sequence[str]) -> None:
    """Import the modules that were named, here and in every process that this one starts.

    Raises:
        UserError: there is no such module, or it cannot be imported.
    """
    for one in named:
        name_plugin(one)


def take_results(parsed: argparse.Namespace) -> None:
    """Take files that follow `--results FILE` for results, too, and not for overrides.

    A shell makes such files of `results/*.jsonl`.

    Args:
        parsed: what was typed; it is changed in place.
    """
    if getattr(parsed, "results", None) and hasattr(parsed, "overrides"):
        more = [word for word in parsed.overrides if "=" not in word and Path(word).suffix in SUFFIXES]
        parsed.results = [*parsed.results, *map(Path, more)]
        parsed.overrides = [word for word in parsed.overrides if word not in more]


def add_results(sub: argparse.ArgumentParser, also: str = "may be repeated") -> None:
    """Add the flag for collected results, `results`, which are read beside those below the folder of runs.

    Args:
        sub: the parser of the command.
        also: what else the help of the flag says.
    """
    sub.add_argument(
        "--results",
        type=Path,
        action="append",
        default=[],
        help=f"besides the runs here, those that 'chtexp collect' wrote; {also}",
    )
    add_keep_first(sub, "the run folders, then each --results")


def add_keep_first(sub: argparse.ArgumentParser, order: str) -> None:
    """Add the flag that says what to do about results that differ.

    Args:
        sub: the parser of the command. Its value `accept` is told of each difference, where they are not refused.
        order: the order of the places that results come from, in words.
    """
    sub.add_argument(
        "--keep-first",
        dest="accept",
        action="store_const",
        const=keep_first,
        help=f"where places hold other numbers for a run, take those of the first ({order}) instead of refusing",
    )


def keep_first(conflict: str) -> None:
    """Say that the first of two results that differ was taken.

    Args:
        conflict: the run, and the places that hold different numbers for it, in words.
    """
    print(f"chtexp: took the first of {conflict}", file=sys.stderr)


def check_config_dir(config_dir: Path | None) -> None:
    """Check that the person's own folder of configuration files exists, if one was named.

    Raises:
        UserError: there is no such folder.
    """
    if config_dir is not None and not config_dir.is_dir():
        raise UserError(f"--config-dir {config_dir} is not a folder")


def planned_runs(parsed: argparse.Namespace, overrides: list[str]) -> list[PlannedRun]:
    """Plan the runs of the table that was named.

    Args:
        parsed: what was typed: the name of the table, and the folder of configuration files.
        overrides: those that choose and change runs.

    Returns:
        The runs.

    Raises:
        UserError: something that was typed is wrong.
    """
    check_config_dir(parsed.config_dir)
    with said_if_slow(f"composing the runs of {parsed.name}"):
        return plan_runs(parsed.name, overrides, parsed.config_dir)


def is_for_sweep(override: str) -> bool:
    """Tell whether an override is about who carries out a sweep, and not about its runs."""
    key = override.lstrip("+~").partition("=")[0].split(".")[0]
    return key == "launcher" or bool(difflib.get_close_matches(key, ["max_failures"], cutoff=0.8))


def runs_folder(overrides: Sequence[str], config_dir: Path | None, *, required: bool = True) -> Path:
    """Find the folder of runs by what was typed.

    Args:
        overrides: the overrides that were typed; `paths.runs=FOLDER` is the only one that is allowed.
        config_dir: the person's own folder of configuration files.
        required: whether the folder must exist.

    Raises:
        UserError: another override was typed, or there is no such folder where one is required.
    """
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
    """Find out what is known of each run, after asking the scheduler once for all of them."""
    queue, conducted = queue_of(folders), cache(is_conducted)
    with many_records():
        return [condition(folder, queue, conducted) for folder in folders]


def exit_code_of(runs: Sequence[Run]) -> int:
    """Say what became of runs that were launched.

    Args:
        runs: the runs.

    Returns:
        The exit code: a failure if any run is not done.
    """
    found = conditions([run.folder for run in runs])
    left = [(run, one) for run, one in zip(runs, found, strict=True) if one.state != "done"]
    for run, one in left:
        reason = f"  ({one.reason})" if one.reason else ""
        print(f"{one.state}: {run.folder.path}{reason}", file=sys.stderr)
    if len(runs) > 1:
        print(f"{len(runs) - len(left)} of {len(runs)} runs done")
    return EXIT_FAILURE if left else 0
