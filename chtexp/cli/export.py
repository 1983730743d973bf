"""chtexp export: a trained language model becomes a Hugging Face folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from chtexp.cli.trained import add_trained_run, writer_of

EXAMPLE = "chtexp export runs/webmix-chtss-cpu-160fb85c6a/seed-0 mine"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    add_trained_run(sub)
    sub.add_argument("output", type=Path, metavar="FOLDER", help="a new folder")


def run(parsed: argparse.Namespace) -> int:
    """Write the folder."""
    writer_of(parsed).export(parsed.output)
    print(f"written: {parsed.output}; transformers.AutoModelForCausalLM.from_pretrained loads it")
    return 0
