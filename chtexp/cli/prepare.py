"""chtexp prepare: download and check a data set ahead of time; images of one's own are measured."""

from __future__ import annotations

import argparse

from chtexp.build import builder_of
from chtexp.cli.common import add_config_dir, check_config_dir
from chtexp.config.compose import compose_run
from chtexp.errors import UserError
from chtexp.pictures.kept import FilesChanged

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
    try:
        builder_of(compose_run(parsed.overrides, parsed.config_dir)).prepare()
    except FilesChanged as changed:  # whoever types this wants them measured as they are now
        print(changed.reason)
        changed.kept.measure_anew()
        builder_of(compose_run(parsed.overrides, parsed.config_dir)).prepare()
    return 0
