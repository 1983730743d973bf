"""What all tracking tools want alike: numbers by flat names, and what a run is called."""

from __future__ import annotations

from collections.abc import Mapping

from chtexp.config.run import Run


def flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Numbers and texts by the path that leads to them, `layers/0/density`."""
    found: dict[str, object] = {}
    for key, value in values.items():
        found.update(flat(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return found


def numbers(record: Mapping[str, object]) -> tuple[int, dict[str, float]]:
    """Return the step of a record, and its numbers under its kind: `evaluation/accuracy`, `update/layers/0/density`.

    Args:
        record: an evaluation or a topology update.
    """
    kind, step = record["kind"], record["step"]
    assert isinstance(step, int)
    values = flat(record).items()
    return step, {f"{kind}/{key}": value for key, value in values if isinstance(value, int | float)}


def identity(run: Run) -> str:
    """Return what tells a run from all others, also from itself before overwrite=true."""
    return "-".join([run.id, f"seed{run.seed}", *([f"anew{anew}"] if (anew := run.folder.cleared_by) else [])])


def title(run: Run) -> str:
    """Return the name of a run for a reader."""
    return f"{run.data.name}-{run.method.name}-seed{run.seed}"
