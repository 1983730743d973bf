"""chtexp translate: sentences, or a file of them, by a trained run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from chtexp.cli.common import add_trained_run, subcommand, wanted_device
from chtexp.errors import UserError


def add(commands: Any) -> None:
    """The command."""
    sub = subcommand(
        commands,
        "translate",
        translate,
        "translate with a trained run",
        'chtexp translate runs/multi30k-chtss-cpu-a0f40485e3/seed-0 "A man is riding a bike."',
    )
    add_trained_run(sub)
    sub.add_argument("sentences", nargs="*", default=[], metavar="SENTENCE", help="what to translate")
    sub.add_argument("--file", type=Path, help="translate every line of this file")
    sub.add_argument("--output", type=Path, help="write to this file instead of the terminal")


def translate(parsed: argparse.Namespace) -> int:
    """Translate what was typed, or the lines of a file."""
    sentences = list(parsed.sentences)
    if bool(sentences) == (parsed.file is not None):
        raise UserError('say what to translate: chtexp translate RUN "A sentence." or chtexp translate RUN --file FILE')
    if parsed.file is not None:
        try:
            sentences = parsed.file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise UserError(f"{parsed.file} is not UTF-8 (byte {error.start})") from None
    from chtexp.experiments.translator import Translator

    text = "".join(f"{line}\n" for line in Translator(parsed.folder, wanted_device(parsed.device))(sentences))
    if parsed.output:
        parsed.output.write_text(text, encoding="utf-8")
        print(f"written: {parsed.output}")
    else:
        print(text, end="")
    return 0
