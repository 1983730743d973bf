"""Weights & Biases as a mirror of the run's own records; nothing depends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

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
