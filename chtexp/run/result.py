"""The result of a finished run: what `result.json` says."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime

import torch

from chtexp.config.run import Run
from chtexp.cost.count import layers_of
from chtexp.data import Origin
from chtexp.run.environment import environment
from chtexp.sparse.restored import restored
from chtexp.store import LAST
from chtexp.tasks import Selection, Task, Tested
from chtexp.train.beside import Beside
from chtexp.train.loop import Judged, Training
from chtexp.train.saved import TrainingState

CLOCKED = ("seconds", "beside")  # entries of a training's state that differ between two trainings that end equal


def summary(
    run: Run,
    training: Training,
    state: TrainingState,
    task: Task,
    judged: Judged,
    tested: Tested | None,
    executed: Mapping[str, str],
    origin: Origin,
    command: str,
) -> dict[str, object]:
    """Collect all numbers of a finished training, and where they come from.

    Args:
        run: the run.
        training: the training.
        state: its state at the end, before a test.
        task: what was learned.
        judged: the metrics that the run is judged by.
        tested: the test scores, of a task that tests the selected model once; None if it was not tested.
        executed: how the sparse layers were executed at the end of the training, by name.
        origin: where the data come from, and in what they are not the paper's.
        command: what to type to train the run again.

    Returns:
        JSON values by name. `reported` is the metric in the task's units, `seconds` are of training, `flops` are those of
        the whole training, for dense and for sparse layers.
    """
    sparsity = training.sparsity
    reported = judged.best if task.selection.moment == "best test" else judged.selected
    per_position = 6.0 * task.positions(task.total_steps)
    alone = training.processes.world == 1
    return {
        "id": run.id,
        "seed": run.seed,
        "data": run.data.name,
        "method": run.method.name,
        "budget": run.budget.name,
        "metric": task.metric,
        "higher_is_better": task.higher_is_better,
        "reported": reported,
        "selected_by": _selected_by(task.selection),
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
        + sum(math.prod(layer.shape) - layer.weight.numel() for layer in sparsity.layers),
        "execution": dict(executed),
        "flops": {name: per_position * products for name, products in _products(run, training).items()},
        "state_sha256": _fingerprint(state),
        "data_source": origin.source,
        "deviations": list(origin.deviations),
        "science": run.science,
        "command": command,
        "seconds": training.seconds,
        "environment": {
            **environment(training.processes.world),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "beside": restored(Beside, state["beside"]).summary(computes=training.device.type == "cpu" and alone),
        },
    }


def _selected_by(selection: Selection) -> str:
    """How the reported evaluation was selected, as results put it."""
    match selection.moment:
        case "last":
            return LAST
        case "best validation":
            return selection.metric
        case "best test":
            return f"test {selection.metric}"


def _products(run: Run, training: Training) -> dict[str, float]:
    """Multiplications at one position in a forward pass: `dense`, and `sparse`, the mean over the training."""
    sparsity, layers = training.sparsity, layers_of(run)
    if layers:
        links = sparsity.mean_links()
        return {
            "dense": sum(layer.weights * layer.uses for layer in layers),
            "sparse": sum(links.get(layer.name, layer.weights) * layer.uses for layer in layers),
        }
    others = _linear_weights(training.model) - sparsity.pairs
    return {"dense": sparsity.pairs + others, "sparse": sparsity.link_steps / training.task.total_steps + others}


def _linear_weights(model: torch.nn.Module) -> int:
    """The number of weights of all linear layers as dense matrices, whatever their execution."""
    linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    return sum(linear.in_features * linear.out_features for linear in linears)


def _fingerprint(state: Mapping[str, object]) -> str:
    """A hash of everything in a training's state but measured times: equal for two trainings that ended equal."""
    digest = hashlib.sha256()

    def take(key: str, value: object) -> None:
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
