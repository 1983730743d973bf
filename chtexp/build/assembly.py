"""A run's parts put together: from its description to a training that can begin."""

from __future__ import annotations

import os

import torch
from torch import nn

from chtexp.build import builder_of
from chtexp.config.run import Run
from chtexp.distributed.group import ALONE, Processes
from chtexp.errors import UserError
from chtexp.sparse import DynamicSparsity
from chtexp.tasks import Task
from chtexp.train.loop import Training
from chtexp.train.precision import with_weights_in


def assemble(run: Run, task: Task, device: torch.device, processes: Processes = ALONE) -> Training:
    """Put together the training that a run describes, before its first step. Nothing is written to disk.

    Args:
        run: the run.
        task: its task, as the run's builder makes it.
        device: where this process trains.
        processes: those that train together.

    Returns:
        The training, at step 0.

    Raises:
        UserError: a model or an optimizer that the run's hardware settings or its method do not fit.
    """
    builder = builder_of(run)
    built = builder.model()
    model = with_weights_in(run.hardware.precision, built.model.to(device))
    if run.hardware.recompute:
        recompute_activations(model)
    optimizer = builder.optimizer(model)
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
    rate = builder.learning_rate(task.total_steps, sparsity.last_update)
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
    """Let the layers of a Transformer recompute their activations in the backward pass, to save memory.

    Args:
        model: the model, changed in place.

    Raises:
        UserError: the model is not a Transformer.
    """
    network = getattr(model, "network", None)
    if network is None:
        raise UserError(
            f"hardware.recompute is for Transformers, and the model is a {type(model).__name__}: leave it out"
        )
    network.activation_checkpointing_enable({"use_reentrant": False})


def device_of(run: Run) -> torch.device:
    """Choose the device that this process trains on, and set its number of threads.

    Args:
        run: the run, which names a kind of device; of several GPUs each process takes its own.

    Returns:
        The device.

    Raises:
        UserError: there is no GPU, or there are fewer than processes.
    """
    if run.hardware.device == "cuda" and not torch.cuda.is_available():
        raise UserError("hardware.device is cuda, but torch finds no CUDA GPU here; use hardware=cpu")
    if run.hardware.threads:
        torch.set_num_threads(run.hardware.threads)
    if run.hardware.device == "cuda" and run.hardware.together:
        local_rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local_rank >= gpus:
            raise UserError(
                f"hardware.processes={run.hardware.processes} needs a GPU for each on every node, and here are {gpus}; use "
                f"hardware.processes={gpus}"
            )
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(run.hardware.device)
