"""chtexp translate: sentences, or a file of them, by a trained run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from chtexp.cli.common import subcommand
from chtexp.errors import UserError


def add(commands: Any) -> None:
    """The command."""
    sub = subcommand(
        commands,
        "translate",
        translate,
        "translate with a trained run",
        'chtexp translate runs/multi30k-chtss-cpu-160fb85c6a/seed-0 "A man is riding a bike."',
    )
    sub.add_argument("folder", type=Path, metavar="RUN", help="a run's folder, .../seed-0")
    sub.add_argument("sentences", nargs="*", default=[], metavar="SENTENCE", help="what to translate")
    sub.add_argument("--file", type=Path, help="translate every line of this file")
    sub.add_argument("--output", type=Path, help="write to this file instead of the terminal")
    sub.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where (default: %(default)s)")


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
    import torch

    from chtexp.experiments.translator import Translator

    if parsed.device == "cuda" and not torch.cuda.is_available():
        raise UserError("torch finds no CUDA GPU here; use --device cpu")
    text = "".join(f"{line}\n" for line in Translator(parsed.folder, torch.device(parsed.device))(sentences))
    if parsed.output:
        parsed.output.write_text(text, encoding="utf-8")
        print(f"written: {parsed.output}")
    else:
        print(text, end="")
    return 0
