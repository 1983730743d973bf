"""Weights & Biases (W&B)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

from chtexp.config.run import Run
from chtexp.run.curves import curves
from chtexp.run.mirrors.flat import flat, identity, numbers, title


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
        keeps = run.logger.mode == "disabled"  # nothing replaces what earlier starts wrote
        former = [] if keeps else list((run.folder.path / "wandb").glob("offline-run-*"))
        self._run = wandb.init(
            project=run.logger.project,
            mode=run.logger.mode,
            dir=run.folder.path,
            id=identity(run),
            name=title(run),
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
        step, values = numbers(record)
        if step >= self._next:
            self._run.log({**values, "optimizer_step": step}, step=step)

    def finish(self, result: Mapping[str, object] | None) -> None:
        """Close the W&B run.

        Args:
            result: it becomes the W&B run's summary and a table; the records become a table for each kind, and a figure.
                None: the run did not finish, and is marked as failed.
        """
        if result is not None:
            said = {key: value for key, value in flat(result).items() if isinstance(value, int | float | str)}
            self._run.summary.update(said)
            tables: dict[str, object] = {
                "result": self._table([{"key": key, "value": str(value)} for key, value in said.items()])
            }
            records = self._folder.read_metrics()
            for kind in dict.fromkeys(record["kind"] for record in records):
                tables[f"{kind}s"] = self._table([flat(record) for record in records if record["kind"] == kind])
            self._run.log({**tables, "curves": self._wandb.Image(curves(records, str(result["metric"])))})
        self._run.finish(exit_code=0 if result is not None else 1)

    def _table(self, rows: Sequence[Mapping[str, object]]) -> object:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        return self._wandb.Table(columns=[*columns], data=[[row.get(column) for column in columns] for row in rows])
