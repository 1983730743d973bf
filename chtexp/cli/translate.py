"""chtexp translate: sentences, or a file of them, by a trained run."""

from __future__ import annotations

import argparse
from pathlib import Path

from chtexp.cli.trained import add_trained_run, translator_of
from chtexp.errors import UserError

TYPE_IT = 'chtexp translate RUN "A sentence." or chtexp translate RUN --file FILE'


EXAMPLE = 'chtexp translate runs/multi30k-chtss-cpu-a0f40485e3/seed-0 "A man is riding a bike."'


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    add_trained_run(sub)
    sub.add_argument("sentences", nargs="*", default=[], metavar="SENTENCE", help="what to translate")
    sub.add_argument("--file", type=Path, help="translate every line of this file")
    sub.add_argument("--output", type=Path, help="write to this file instead of the terminal")


def run(parsed: argparse.Namespace) -> int:
    """Translate what was typed, or the lines of a file."""
    if bool(parsed.sentences) == (parsed.file is not None):
        raise UserError(f"say what to translate: {TYPE_IT}")
    sentences = _lines(parsed.file) if parsed.file is not None else _not_empty(parsed.sentences)
    text = "".join(f"{line}\n" for line in translator_of(parsed)(sentences))
    if parsed.output:
        parsed.output.write_text(text, encoding="utf-8")
        print(f"written: {parsed.output}")
    else:
        print(text, end="")
    return 0


def _not_empty(sentences: list[str]) -> list[str]:
    """`sentences`, of which nobody types an empty one on purpose."""
    for place, sentence in enumerate(sentences, 1):
        if not sentence.strip():
            raise UserError(f"sentence {place} of {len(sentences)} is empty: {TYPE_IT}")
    return sentences


def _lines(file: Path) -> list[str]:
    """The lines of `file`: an empty one keeps its place among the translations, but some must hold a sentence."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 (byte {error.start})") from None
    if not any(line.strip() for line in lines):
        raise UserError(f"{file} holds no sentence: write one a line")
    return lines
