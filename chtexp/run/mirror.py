"""A mirror of the run's own records in somebody's tracking tool; nothing depends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Protocol

from chtexp.config.run import Run

MIRRORS = {
    "wandb": "WandbMirror",
    "tensorboard": "TensorBoardMirror",
    "mlflow": "MlflowMirror",
}  # each in a file of its own


class Mirror(Protocol):
    """Takes in what is written into the run's folder."""

    def record(self, record: Mapping[str, object]) -> None:
        """Take in one evaluation or topology update, as JSON values by name."""

    def finish(self, result: Mapping[str, object] | None) -> None:
        """Take in the result, None of a run that did not finish; nothing comes after it."""


class NoMirror:
    """Mirrors nothing."""

    def record(self, record: Mapping[str, object]) -> None:
        """Do nothing."""

    def finish(self, result: Mapping[str, object] | None) -> None:
        """Do nothing."""


class Unbreakable:
    """A mirror whose failure is reported once, and does not stop the run.

    Args:
        make: makes the mirror; it may fail, too.
        say: receives a line about the failure.
    """

    def __init__(self, make: Callable[[], Mirror], say: Callable[[str], None]) -> None:
        self._say = say
        self._mirror: Mirror = NoMirror()
        with self._guarded():
            self._mirror = make()

    def record(self, record: Mapping[str, object]) -> None:
        """Pass the record on, unless the mirror has failed."""
        with self._guarded():
            self._mirror.record(record)

    def finish(self, result: Mapping[str, object] | None) -> None:
        """Pass the result on, unless the mirror has failed."""
        with self._guarded():
            self._mirror.finish(result)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._say(f"note: the mirror failed and is left off ({type(error).__name__}: {error}); the run goes on")
            self._mirror = NoMirror()


def mirror_of(run: Run, say: Callable[[str], None]) -> Mirror:
    """Make the mirror that the run's logger names.

    Args:
        run: the run.
        say: receives a line if the mirror fails.

    Returns:
        The mirror, which never raises.
    """
    name = run.logger.name
    if name not in MIRRORS:
        return NoMirror()
    return Unbreakable(lambda: getattr(import_module(f"chtexp.run.mirrors.{name}"), MIRRORS[name])(run), say)
