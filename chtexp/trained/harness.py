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
    """The version of the harness that evaluates here.

    Raises:
        UserError: it is not installed.
    """
    try:
        return version("lm-eval")
    except PackageNotFoundError:
        raise UserError("zero-shot evaluation needs EleutherAI's harness: pip install 'chtexp[zeroshot]'") from None


@contextmanager
def quietly() -> Iterator[None]:
    """Inside, only errors are logged, and progress bars are for terminals. What fails is raised all the same."""
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
    """Use only what lies in the hub's cache from now on, without waiting for a hub that cannot be reached."""
    import datasets
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True
    datasets.config.HF_HUB_OFFLINE = True
