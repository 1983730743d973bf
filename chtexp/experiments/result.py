"""What a finished run says of itself: `result.json`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import torch

from chtexp.experiments.description import Run
from chtexp.experiments.environment import environment
from chtexp.store import LAST
from chtexp.tasks import Task, Tested
from chtexp.train.beside import Beside
from chtexp.train.loop import Judged, Training

CLOCKED = ("seconds", "beside")  # of a training's state: of two trainings that end equal, they are not


def summary(
    run: Run,
    training: Training,
    state: Mapping[str, Any],
    task: Task,
    judged: Judged,
    tested: Tested | None,
    executed: Mapping[str, str],
    source: str,
    command: str,
) -> dict[str, Any]:
    """All numbers of a training that ended with `state`, and where they come from.

    tested: of a task that tests the selected model once; without it there is nothing that such a run reports.
    executed: how the layers were at the end of the training.
    """
    sparsity = training.sparsity
    reported = judged.selected if task.validation_metric else judged.best
    per_position = 6.0 * task.positions(task.total_steps)
    mean_links = sparsity.link_steps / task.total_steps
    alone = training.processes.world == 1
    dense_weights = _linear_weights(training.model) - sparsity.pairs
    return {
        "id": run.id,
        "seed": run.seed,
        "data": run.data.name,
        "method": run.method.name,
        "budget": run.budget.name,
        "metric": task.metric,
        "higher_is_better": task.higher_is_better,
        "reported": reported,
        "selected_by": LAST if task.reports_last else task.validation_metric or f"test {task.metric}",
        "last": judged.last.get(task.metric),
        "best": judged.best,
        "best_step": judged.best_step,
        "validation_selected": judged.selected,
        "validation_selected_step": judged.selected_step,
        "metrics": {**judged.last, **(tested.metrics if tested else {})},
        "tested": dict(tested.details) if tested else None,
        "steps": training.step,
        "density": sparsity.density,
        "anp": sparsity.anp(),
        "itop": sparsity.itop(),
        "links": sparsity.links,
        "pairs": sparsity.pairs,
        "nonzeros": sum(int(parameter.count_nonzero()) for parameter in training.model.parameters()),
        "parameters": sum(parameter.numel() for parameter in training.model.parameters())
        + sum(layer.linear.in_features * layer.linear.out_features - layer.weight.numel() for layer in sparsity.layers),
        "execution": dict(executed),
        "flops": {
            "dense": per_position * (sparsity.pairs + dense_weights),
            "sparse": per_position * (mean_links + dense_weights),
        },
        "state_sha256": _fingerprint(state),
        "data_source": source,
        "science": run.science,
        "command": command,
        "seconds": training.seconds,
        "environment": {
            **environment(training.processes.world),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "beside": Beside(**state["beside"]).summary(computes=training.device.type == "cpu" and alone),
        },
    }


def _linear_weights(model: torch.nn.Module) -> int:
    """Weights of all linear layers as matrices, whatever their execution."""
    linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    return sum(linear.in_features * linear.out_features for linear in linears)


def _fingerprint(state: Mapping[str, Any]) -> str:
    """One hash of everything in a training's state but its clock: equal for two trainings that ended equal."""
    digest = hashlib.sha256()

    def take(key: str, value: Any) -> None:
        digest.update(key.encode())
        if isinstance(value, torch.Tensor):
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(value, Mapping):
            for name in value:
                take(f"{key}/{name}", value[name])
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                take(f"{key}/{index}", item)
        else:
            digest.update(repr(value).encode())

    take("", {key: value for key, value in state.items() if key not in CLOCKED})
    return digest.hexdigest()
