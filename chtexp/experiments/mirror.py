"""Weights & Biases as a mirror of the run's own records; nothing depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

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
    """Mirrors metrics, config and the final table to W&B; `offline` writes them into the run's folder only."""

    def __init__(self, run: Run) -> None:
        import wandb

        self._wandb = wandb
        self._run = wandb.init(
            project=run.logger.project,
            mode=run.logger.mode,
            dir=run.folder.path,
            id=f"{run.id}-seed{run.seed}",
            name=f"{run.data.name}-{run.method.name}-seed{run.seed}",
            group=run.id,
            config=run.config(),  # plain values: a nested DictConfig would crash here
            resume="allow" if run.logger.mode == "online" else None,
            reinit="finish_previous",
            settings=wandb.Settings(silent=True),
        )

    def record(self, record: Mapping[str, Any]) -> None:
        """One evaluation or update, under its kind; an update's layers under their names."""
        kind, step = record["kind"], record["step"]
        flat = {f"{kind}/{key}": value for key, value in _flat(record).items() if isinstance(value, int | float)}
        self._run.log({**flat, "optimizer_step": step})

    def finish(self, result: Mapping[str, Any] | None) -> None:
        """Close the W&B run; `result` becomes its summary and a table."""
        if result is not None:
            numbers = {key: value for key, value in _flat(result).items() if isinstance(value, int | float | str)}
            self._run.summary.update(numbers)
            self._run.log(
                {"result": self._wandb.Table(columns=["key", "value"], data=[[k, str(v)] for k, v in numbers.items()])}
            )
        self._run.finish(exit_code=0 if result is not None else 1)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


def mirror_of(run: Run) -> Mirror:
    """The mirror that the run's logger names."""
    return WandbMirror(run) if run.logger.name == "wandb" else NoMirror()
