"""Weights & Biases (W&B) as a mirror of the run's own records; nothing depends on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from chtexp.config.run import Run
from chtexp.run.curves import curves


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


class WandbMirror:
    """Sends config and metrics to W&B, and at the end tables and a figure. Offline, they are only written to the run's folder.

    Steps are optimizer steps. A run that was resumed has one history: online, W&B continues it. Offline, where W&B cannot
    continue, all records in the run's folder are logged again, and replace what earlier starts wrote.

    Args:
        run: the run, with its folder and the settings of its logger.
    """

    def __init__(self, run: Run) -> None:
        import wandb

        self._wandb, self._folder = wandb, run.folder
        identity = "-".join([run.id, f"seed{run.seed}", *([f"anew{anew}"] if (anew := run.folder.cleared_by) else [])])
        keeps = run.logger.mode == "disabled"  # nothing replaces what earlier starts wrote
        former = [] if keeps else list((run.folder.path / "wandb").glob("offline-run-*"))
        self._run = wandb.init(
            project=run.logger.project,
            mode=run.logger.mode,
            dir=run.folder.path,
            id=identity,
            name=f"{run.data.name}-{run.method.name}-seed{run.seed}",
            group=run.id,
            config=run.config(),  # plain values: a nested DictConfig would crash here
            allow_val_change=True,
            resume="allow" if run.logger.mode == "online" else None,
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._next = self._run.step  # records of earlier steps are there already
        for record in run.folder.read_metrics():
            self.record(record)
        for left in former:
            shutil.rmtree(left, ignore_errors=True)

    def record(self, record: Mapping[str, object]) -> None:
        """Log the numbers of one record: under its kind, and those of layers under their names."""
        kind, step = record["kind"], record["step"]
        assert isinstance(step, int)
        if step >= self._next:
            flat = {f"{kind}/{key}": value for key, value in _flat(record).items() if isinstance(value, int | float)}
            self._run.log({**flat, "optimizer_step": step}, step=step)

    def finish(self, result: Mapping[str, object] | None) -> None:
        """Close the W&B run.

        Args:
            result: it becomes the W&B run's summary and a table; the records become a table for each kind, and a figure.
                None: the run did not finish, and is marked as failed.
        """
        if result is not None:
            numbers = {key: value for key, value in _flat(result).items() if isinstance(value, int | float | str)}
            self._run.summary.update(numbers)
            tables: dict[str, object] = {
                "result": self._table([{"key": key, "value": str(value)} for key, value in numbers.items()])
            }
            records = self._folder.read_metrics()
            for kind in dict.fromkeys(record["kind"] for record in records):
                tables[f"{kind}s"] = self._table([_flat(record) for record in records if record["kind"] == kind])
            self._run.log({**tables, "curves": self._wandb.Image(curves(records, str(result["metric"])))})
        self._run.finish(exit_code=0 if result is not None else 1)

    def _table(self, rows: Sequence[Mapping[str, object]]) -> object:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        return self._wandb.Table(columns=[*columns], data=[[row.get(column) for column in columns] for row in rows])


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Numbers and texts by the path that leads to them, `layers/0/density`."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


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
    return Unbreakable(lambda: WandbMirror(run), say) if run.logger.name == "wandb" else NoMirror()
