"""The commands, `chtexp --help` lists them: the parser, and what becomes of errors.

Exit codes: 0 done, 1 something failed, 2 a mistake in what was typed, 128 + n stopped by signal n.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from chtexp import __version__
from chtexp.cli.common import EXIT_FAILURE, EXIT_INTERRUPTED, Parser, add_plugin, name_plugins, take_results
from chtexp.config.reader import at_home
from chtexp.errors import MISTAKE, UserError, unknown
from chtexp.system.cores import share_cores
from chtexp.system.signals import Stopped

COMMANDS = {  # each is a module of this room, loaded when it is typed
    "train": "one run, or Hydra's sweep with -m",
    "paper": "list every table and figure of the paper, and what there is of it",
    "plan": "list a table's runs, their states and their cost",
    "sweep": "train the cells of a table that are missing",
    "campaign": "carry out what is missing of a list of tables, beside other work",
    "table": "print a table from the results there are",
    "figure": "draw a figure from the results there are, or any table by --kind",
    "report": "write one HTML file with what reproduces, all tables, figures and runs",
    "status": "list every run and its state",
    "collect": "gather the results of all finished runs in one file, together with what it holds already",
    "clean": "show what can be removed, and remove it when told to",
    "prepare": "download and check a data set ahead of time",
    "translate": "translate with a trained run",
    "generate": "go on with a text, by a trained language model",
    "export": "write a trained network for use elsewhere: an image classifier, or a language model",
    "zeroshot": "zero-shot accuracy and Matthews correlation of a language model",
    "new": "write the files of a rule, method, model, data set or task of your own",
    "bench": "measure time and memory here, dense against sparse",
    "completion": "print what bash, zsh or fish need to complete commands, tables, axes and runs",
}

NOT_SUCH = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)  # a path that was typed


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    share_cores()
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(_command(typed))
    except UserError as error:
        print(f"chtexp: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
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
        sys.exit(MISTAKE if isinstance(error, NOT_SUCH) else EXIT_FAILURE)


def _command(typed: list[str]) -> int:
    if not typed or typed[0].startswith("-"):
        _overview().parse_args(typed)
        raise UserError("name a command; chtexp --help lists them")
    name, *rest = at_home(typed)
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    command = import_module(f"chtexp.cli.{name}")
    if name == "train":
        return int(command.train(rest))  # Hydra's own command line, flags and all
    parser = Parser(prog=f"chtexp {name}", description=COMMANDS[name], epilog=f"example: {command.EXAMPLE}")
    command.add_arguments(parser)
    add_plugin(parser)
    parsed = parser.parse(rest)
    name_plugins(parsed.plugins)
    take_results(parsed)
    return int(command.run(parsed))


def _overview() -> Parser:
    """What `chtexp --help` prints."""
    parser = Parser(
        prog="chtexp",
        description="Dynamic sparse training: run it, compare it, and print the paper's tables from the results.",
        epilog="example: chtexp train data=digits method=chts_n budget=smoke",
    )
    parser.add_argument("--version", action="version", version=f"chtexp {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, what in COMMANDS.items():
        commands.add_parser(name, help=f"{what}: chtexp train --help" if name == "train" else what, add_help=False)
    return parser
