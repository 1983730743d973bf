"""chtexp prepare: download and check a data set ahead of time."""

from __future__ import annotations

import argparse
from typing import Any

from chtexp.cli.common import add_config_dir, check_config_dir, subcommand
from chtexp.errors import UserError


def add(commands: Any) -> None:
    """The command."""
    sub = subcommand(
        commands, "prepare", prepare, "download and check a data set ahead of time", "chtexp prepare data=mnist"
    )
    sub.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help="data=NAME, paths.data=FOLDER")
    add_config_dir(sub)


def prepare(parsed: argparse.Namespace) -> int:
    """Download and check a data set."""
    from chtexp.compose import compose_run

    if not any(word.startswith("data=") for word in parsed.overrides):
        raise UserError("say which data set: chtexp prepare data=mnist")
    check_config_dir(parsed.config_dir)
    run = compose_run(parsed.overrides, parsed.config_dir)
    run.family.prepare(run)
    return 0
