"""chtexp generate and chtexp export: a trained language model goes on with a text, or becomes a Hugging Face folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chtexp.cli.common import add_trained_run, not_negative, positive, subcommand, wanted_device

if TYPE_CHECKING:
    from chtexp.experiments.writer import Writer

RUN = "runs/webmix-chtss-cpu-160fb85c6a/seed-0"


def add(commands: Any) -> None:
    """Both commands."""
    generate_ = subcommand(
        commands,
        "generate",
        generate,
        "go on with a text, by a trained language model",
        f'chtexp generate {RUN} "Once"',
    )
    add_trained_run(generate_)
    generate_.add_argument("text", metavar="TEXT", help="what to go on with")
    generate_.add_argument("--tokens", type=positive, default=50, help="at most so many more (default: %(default)s)")
    generate_.add_argument(
        "--temperature", type=not_negative, default=1.0, help="0: always the likeliest (default: %(default)s)"
    )
    generate_.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
    export_ = subcommand(
        commands,
        "export",
        export,
        "write a trained language model as a Hugging Face folder",
        f"chtexp export {RUN} mine",
    )
    add_trained_run(export_)
    export_.add_argument("output", type=Path, metavar="FOLDER", help="a new folder")


def generate(parsed: argparse.Namespace) -> int:
    """Print the text and what follows it."""
    print(_writer(parsed)(parsed.text, parsed.tokens, temperature=parsed.temperature, seed=parsed.seed))
    return 0


def export(parsed: argparse.Namespace) -> int:
    """Write the folder."""
    _writer(parsed).export(parsed.output)
    print(f"written: {parsed.output}; transformers.AutoModelForCausalLM.from_pretrained loads it")
    return 0


def _writer(parsed: argparse.Namespace) -> Writer:
    from chtexp.experiments.writer import Writer

    return Writer(parsed.folder, wanted_device(parsed.device))
