"""The commands, `chtexp --help` lists them: the parser, and what becomes of errors.

Exit codes: 0 done, 1 something failed, 2 a mistake in what was typed, 128 + n stopped by signal n.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from chtexp import __version__
from chtexp.cli import (
    bench,
    campaign,
    clean,
    collect,
    figure,
    generate,
    paper,
    prepare,
    report,
    status,
    sweep,
    tables,
    translate,
    zeroshot,
)
from chtexp.cli.common import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_USER_ERROR, Parser, take_results
from chtexp.cli.train import train
from chtexp.cores import share_cores
from chtexp.errors import UserError, unknown
from chtexp.stopping import Stopped


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    share_cores()
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(_command(typed))
    except UserError as error:
        print(f"chtexp: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except Stopped as stopped:
        print(f"chtexp: stopped ({stopped}); the same command goes on from where it stopped", file=sys.stderr)
        sys.exit(stopped.code)
    except KeyboardInterrupt:
        print("chtexp: interrupted; the same command goes on with what is missing", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.exit(EXIT_FAILURE)
    except OSError as error:
        print(f"chtexp: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)


def _command(typed: list[str]) -> int:
    if typed[:1] == ["train"]:
        return train(typed[1:])  # Hydra's own command line, flags and all
    parser, commands = _parser()
    if typed and typed[0] in commands:
        parsed = commands[typed[0]].parse(typed[1:])
    elif typed and not typed[0].startswith("-"):
        raise unknown("command", typed[0], commands)
    else:
        parsed = parser.parse_args(typed)
    take_results(parsed)
    return int(parsed.run(parsed))


def _parser() -> tuple[Parser, dict[str, Parser]]:
    parser = Parser(
        prog="chtexp",
        description="Dynamic sparse training: run it, compare it, and print the paper's tables from the results.",
        epilog="example: chtexp train data=digits method=chts_n budget=smoke",
    )
    parser.add_argument("--version", action="version", version=f"chtexp {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    commands.add_parser("train", help="one run, or Hydra's sweep with -m: chtexp train --help", add_help=False)
    for command in (
        paper,
        sweep,
        campaign,
        tables,
        figure,
        report,
        status,
        collect,
        clean,
        prepare,
        translate,
        generate,
        zeroshot,
        bench,
    ):
        command.add(commands)
    choices: dict[str, Parser] = commands.choices
    return parser, choices
