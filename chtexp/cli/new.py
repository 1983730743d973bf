"""chtexp new: the files of a rule, a method, a model, a data set or a task of one's own, which work and are to be changed."""

from __future__ import annotations

import argparse
from pathlib import Path

from chtexp.errors import UserError
from chtexp.plugins.scaffold import PARTS, RULES, Scaffold, new_method, new_part, new_rule

EXAMPLE = "chtexp new rule preferential --kind regrowth"
WHAT = ("rule", "method", *PARTS)


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    sub.add_argument("what", choices=WHAT, metavar="WHAT", help=f"one of: {', '.join(WHAT)}")
    sub.add_argument("name", metavar="NAME", help="lower-case letters, digits and _")
    sub.add_argument("--kind", choices=RULES, help=f"of a rule: {', '.join(RULES)}; default: regrowth")
    sub.add_argument("--folder", type=Path, default=Path(), help="where the files are written; default: here")


def run(parsed: argparse.Namespace) -> int:
    """Write the files, and say what to type next."""
    if parsed.kind and parsed.what != "rule":
        raise UserError(f"--kind is for rules, and a {parsed.what} has none")
    made = _made(parsed.what, parsed.name, parsed.kind)
    for path in made.write(parsed.folder):
        print(f"wrote {path}")
    print("next:" if parsed.folder == Path() else f"next, in {parsed.folder}:")
    width = max(map(len, made.next))
    for command, what in made.next.items():
        print(f"  {command:<{width}}  # {what}")
    return 0


def _made(what: str, name: str, kind: str | None) -> Scaffold:
    if what in PARTS:
        return new_part(name, what)
    return new_rule(name, kind or "regrowth") if what == "rule" else new_method(name)
