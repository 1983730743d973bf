"""A run's parts put together: from its description to a training that can begin."""

from __future__ import annotations

import os

import torch
from torch import nn

from chtexp.errors import UserError
from chtexp.experiments.description import Run
from chtexp.processes import ALONE, Processes
from chtexp.sparse import DynamicSparsity
from chtexp.tasks import Task
from chtexp.train.loop import Training
from chtexp.train.precision import with_weights_in


def assemble(run: Run, task: Task, device: torch.device, processes: Processes = ALONE) -> Training:
    """The training that `run` describes, before its first step; makes no folder."""
    family = run.family
    built = family.build_model(run)
    model = with_weights_in(run.hardware.precision, built.model.to(device))
    if run.hardware.recompute:
        recompute_activations(model)
    optimizer = family.build_optimizer(run.task, model)
    sparsity = DynamicSparsity(
        model,
        optimizer,
        run.method,
        total_steps=task.total_steps,
        update_interval=task.update_interval,
        seed=run.seed,
        layers=built.sparse_layers,
        chains=built.chains,
        features=task.features() if run.method.correlates_features else None,
        execution=run.hardware.sparse_execution,
        batch=-(-task.positions(1) // processes.world),
        processes=processes,
    )
    rate = family.learning_rate(run, task.total_steps, sparsity.last_update)
    return Training(
        model,
        task,
        optimizer,
        sparsity,
        rate,
        device=device,
        precision=run.hardware.precision,
        compiled=run.hardware.compile,
        processes=processes,
    )


def recompute_activations(model: nn.Module) -> None:
    """Have the layers of a Transformer compute their activations again in the backward pass. UserError for another model."""
    network = getattr(model, "network", None)
    if network is None:
        raise UserError(
            f"hardware.recompute is for Transformers, and the model is a {type(model).__name__}: leave it out"
        )
    network.activation_checkpointing_enable({"use_reentrant": False})


def device_of(run: Run) -> torch.device:
    """Where this process trains; sets its threads."""
    if run.hardware.device == "cuda" and not torch.cuda.is_available():
        raise UserError("hardware.device is cuda, but torch finds no CUDA GPU here; use hardware=cpu")
    if run.hardware.threads:
        torch.set_num_threads(run.hardware.threads)
    if run.hardware.device == "cuda" and run.hardware.together:
        local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= there:
            raise UserError(
                f"hardware.processes={run.hardware.processes} needs a GPU for each on every node, and here are {there}; use "
                f"hardware.processes={there}"
            )
        torch.cuda.set_device(local)
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(run.hardware.device)
