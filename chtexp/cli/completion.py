"""chtexp completion: what a shell needs to complete commands, flags, tables, axes, their choices, and runs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from chtexp.cli.common import Parser
from chtexp.config.method import PARTS
from chtexp.config.resources import axes, conf_dir
from chtexp.errors import unknown

EXAMPLE = "source <(chtexp completion bash)   # in ~/.bashrc; for zsh alike; chtexp completion fish | source"
SCRIPTS = {
    "bash": """_chtexp() {
    local IFS=$'\\n' line=${COMP_LINE:0:COMP_POINT}
    COMPREPLY=($(chtexp completion bash --line "$line" 2>/dev/null))
    case ${COMPREPLY[0]} in *=) compopt -o nospace ;; esac
}
complete -o default -F _chtexp chtexp
""",
    "zsh": """#compdef chtexp
_chtexp() {
    local -a whole open
    whole=(${(f)"$(chtexp completion zsh --line "${LBUFFER}" 2>/dev/null)"})
    open=(${(M)whole:#*=})
    whole=(${whole:#*=})
    compadd -S '' -a open
    compadd -a whole
}
compdef _chtexp chtexp
""",
    "fish": """complete -c chtexp -f -a '(chtexp completion fish --line (commandline -cp) 2>/dev/null)'
""",
}
TABLES = ("plan", "sweep", "table", "figure")
RUNS = ("translate", "generate", "export", "zeroshot")
OVERRIDES = ("train", "plan", "sweep", "table", "figure", "prepare", "campaign")
PLACES = ("status", "collect", "clean", "paper", "report")  # which take paths.runs= alone
OTHERS = ("seed=", "paths.runs=", "overwrite=true")


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Add what may be typed after the command."""
    sub.add_argument("shell", metavar="bash|zsh|fish", help="the shell whose script is printed")
    sub.add_argument("--line", help="print what may stand at the end of this line instead; the scripts ask this")


def run(parsed: argparse.Namespace) -> int:
    """Print the script of a shell, or what may stand at the end of a line."""
    if parsed.shell not in SCRIPTS:
        raise unknown("shell", parsed.shell, SCRIPTS)
    if parsed.line is None:
        print(SCRIPTS[parsed.shell], end="")
        return 0
    for word in candidates(parsed.line):
        # bash takes what follows an equals sign for a word of its own
        print(word.rpartition("=")[2] if parsed.shell == "bash" and "=" in word[:-1] else word)
    return 0


def candidates(line: str) -> list[str]:
    """List the words that may stand at the end of a command line.

    Args:
        line: as it was typed so far, from `chtexp` on.

    Returns:
        Whole words, each beginning with the one that was begun.
    """
    words = _words(line)
    begun = words.pop() if words and not line.endswith(" ") else ""
    return sorted({word for word in _possible(words[1:], begun) if word.startswith(begun)})


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a quotation that goes on
        return line.split()


def _possible(typed: list[str], begun: str) -> Iterable[str]:
    from chtexp.cli.main import COMMANDS

    if not typed:
        yield from (*COMMANDS, "--help", "--version")
        return
    command, *given = typed
    if command not in COMMANDS:
        return
    if begun.startswith("-"):
        yield from _flags(command)
        return
    first = not [word for word in given if not word.startswith("-") and "=" not in word]
    if command in TABLES and first:
        yield from _tables()
    if command in RUNS and first:
        yield from map(str, sorted(Path("runs").glob("*/seed-*")))
    if command == "completion" and first:
        yield from SCRIPTS
    if command in PLACES:
        yield "paths.runs="
    if command in OVERRIDES:
        axis, equals, _ = begun.partition("=")
        yield from (
            (f"{axis}={choice}" for choice in _choices(axis)) if equals else (*(f"{axis}=" for axis in axes()), *OTHERS)
        )


def _flags(command: str) -> Iterable[str]:
    if command == "train":
        from chtexp.cli.train import TRAIN_FLAGS  # loads Hydra

        return TRAIN_FLAGS
    parser = Parser(prog="chtexp")
    import_module(f"chtexp.cli.{command}").add_arguments(parser)
    return [flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")]


def _tables() -> list[str]:
    return [path.stem for path in (conf_dir() / "paper").glob("*.yaml")]


def _choices(axis: str) -> list[str]:
    """The files of an axis, by their paths in it; parts of methods are axes of their own."""
    if axis not in axes():
        return []
    folder = conf_dir() / axis
    paths = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml"))
    return [path.as_posix() for path in paths if axis != "method" or path.parts[0] not in PARTS]
