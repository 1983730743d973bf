"""Weights & Biases as a mirror of the run's own records; nothing depends on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

from chtexp.experiments.curves import curves
from chtexp.experiments.description import Run


class Mirror(Protocol):
    """Gets what the run's folder gets."""

    def record(self, record: Mapping[str, Any]) -> None: ...

    def finish(self, result: Mapping[str, Any] | None) -> None: ...


class NoMirror:
    """Mirrors nothing."""

    def record(self, record: Mapping[str, Any]) -> None:
        pass

    def finish(self, result: Mapping[str, Any] | None) -> None:
        pass


class WandbMirror:
    """Mirrors config, metrics, and at the end tables and a figure, to W&B; `offline` writes them into the run's folder only.

    Steps are the run's own. A run that goes on has one history: online W&B goes on where it stood; offline, where W&B itself
    cannot go on, all that the run's folder holds is logged again, and what former starts wrote gives way to it.
    """

    def __init__(self, run: Run) -> None:
        import wandb

        self._wandb, self._folder = wandb, run.folder
        identity = "-".join([run.id, f"seed{run.seed}", *([f"anew{anew}"] if (anew := run.folder.cleared_by) else [])])
        keeps = run.logger.mode == "disabled"  # nothing takes the place of what former starts wrote
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
        self._next = self._run.step  # earlier ones are there
        for record in run.folder.read_metrics():
            self.record(record)
        for left in former:
            shutil.rmtree(left, ignore_errors=True)

    def record(self, record: Mapping[str, Any]) -> None:
        """One evaluation or update, under its kind; an update's layers under their names."""
        kind, step = record["kind"], record["step"]
        if step >= self._next:
            flat = {f"{kind}/{key}": value for key, value in _flat(record).items() if isinstance(value, int | float)}
            self._run.log({**flat, "optimizer_step": step}, step=step)

    def finish(self, result: Mapping[str, Any] | None) -> None:
        """Close the W&B run; `result` becomes its summary and a table, what was recorded a table of each kind and a figure."""
        if result is not None:
            numbers = {key: value for key, value in _flat(result).items() if isinstance(value, int | float | str)}
            self._run.summary.update(numbers)
            tables = {"result": self._table([{"key": key, "value": str(value)} for key, value in numbers.items()])}
            records = self._folder.read_metrics()
            for kind in dict.fromkeys(record["kind"] for record in records):
                tables[f"{kind}s"] = self._table([_flat(record) for record in records if record["kind"] == kind])
            self._run.log({**tables, "curves": self._wandb.Image(curves(records, str(result["metric"])))})
        self._run.finish(exit_code=0 if result is not None else 1)

    def _table(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        return self._wandb.Table(columns=[*columns], data=[[row.get(column) for column in columns] for row in rows])


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


class Unbreakable:
    """A mirror whose failure is said once and costs the run nothing."""

    def __init__(self, make: Callable[[], Mirror], say: Callable[[str], None]) -> None:
        self._say, self._mirror = say, cast(Mirror, NoMirror())
        with self._guarded():
            self._mirror = make()

    def record(self, record: Mapping[str, Any]) -> None:
        with self._guarded():
            self._mirror.record(record)

    def finish(self, result: Mapping[str, Any] | None) -> None:
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
    """The mirror that the run's logger names; `say` is told if it fails."""
    return Unbreakable(lambda: WandbMirror(run), say) if run.logger.name == "wandb" else NoMirror()
