"""The command line."""

from chtexp.cli.main import main

__all__ = ["main"]
