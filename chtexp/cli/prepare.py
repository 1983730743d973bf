"""chtexp prepare: download and check a data set ahead of time."""

from __future__ import annotations

import argparse

from chtexp.build import builder_of
from chtexp.cli.common import add_config_dir, check_config_dir
from chtexp.config.compose import compose_run
from chtexp.errors import UserError

EXAMPLE = "chtexp prepare data=mnist"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    sub.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help="data=NAME, paths.data=FOLDER")
    add_config_dir(sub)


def run(parsed: argparse.Namespace) -> int:
    """Download and check a data set."""
    if not any(word.startswith("data=") for word in parsed.overrides):
        raise UserError("say which data set: chtexp prepare data=mnist")
    check_config_dir(parsed.config_dir)
    run = compose_run(parsed.overrides, parsed.config_dir)
    builder_of(run).prepare()
    return 0
