"""EleutherAI's harness and the Hugging Face hub behind it: its version, its chatter, and a hub that is down."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from importlib.metadata import PackageNotFoundError, version

from chtexp.errors import UserError


def harness_version() -> str:
    """Of the harness that evaluates here. Raises UserError if there is none."""
    try:
        return version("lm-eval")
    except PackageNotFoundError:
        raise UserError("zero-shot evaluation needs EleutherAI's harness: pip install 'chtexp[zeroshot]'") from None


@contextmanager
def quietly() -> Iterator[None]:
    """Only errors are logged, and bars of progress are for terminals. What fails is raised all the same."""
    import datasets
    from huggingface_hub.utils import logging as hub_logging

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    datasets.logging.set_verbosity_error()
    hub_logging.set_verbosity_error()
    with nullcontext() if sys.stderr.isatty() else _hidden():
        yield


@contextmanager
def _hidden() -> Iterator[None]:
    """Nothing gets to stderr, neither from Python nor from a program that it starts (the harness asks git for a commit)."""
    with redirect_stderr(io.StringIO()), open(os.devnull, "w") as nowhere:
        stderr = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def go_offline() -> None:
    """The hub cannot be reached: from now on only what lies in its cache is had, without waiting for it again."""
    import datasets
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True
    datasets.config.HF_HUB_OFFLINE = True
