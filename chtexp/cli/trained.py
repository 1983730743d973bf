"""What the commands share that put a trained run to use: its folder, where it computes, and its model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from chtexp.cli.common import said_if_slow
from chtexp.config.text import LanguageModellingRecipe
from chtexp.config.translation import TranslationRecipe
from chtexp.errors import UserError
from chtexp.trained.folder import trained_run

if TYPE_CHECKING:
    import torch

    from chtexp.trained.translator import Translator
    from chtexp.trained.writer import Writer


def add_trained_run(sub: argparse.ArgumentParser) -> None:
    """Add the arguments that name a run whose model is put to use, and where it computes."""
    sub.add_argument("folder", type=Path, metavar="RUN", help="a run's folder, .../seed-0")
    sub.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where (default: %(default)s)")


def _device(name: str) -> torch.device:
    """Return the device of that name; a GPU that is not there raises UserError."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("torch finds no CUDA GPU here; use --device cpu")
    return torch.device(name)


def writer_of(parsed: argparse.Namespace) -> Writer:
    """Load the language model that was named.

    Args:
        parsed: what was typed: the run's folder, and the device.

    Raises:
        UserError: the folder holds no language model, which is said before torch is loaded; or there is no such device.
    """
    trained_run(parsed.folder, LanguageModellingRecipe, "go on with a text")
    with said_if_slow("loading the model"):
        from chtexp.trained.writer import Writer

        return Writer(parsed.folder, _device(parsed.device))


def translator_of(parsed: argparse.Namespace) -> Translator:
    """Load the translation model that was named.

    Args:
        parsed: what was typed: the run's folder, and the device.

    Raises:
        UserError: the folder holds no translation model, which is said before torch is loaded; or there is no such device.
    """
    trained_run(parsed.folder, TranslationRecipe, "translate")
    with said_if_slow("loading the model"):
        from chtexp.trained.translator import Translator

        return Translator(parsed.folder, _device(parsed.device))
