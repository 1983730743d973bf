"""A sweep, or a part of it, carried out here: in this process, or by workers. Also `python -m chtexp.launch.conduct FOLDER`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from chtexp.cores import available_cores, share_cores
from chtexp.launch.pool import Place, Pool, Say
from chtexp.launch.settings import Launcher, Local, Serial, Slurm, SweepSettings, describe_sweep
from chtexp.launch.sweep_folder import SweepFolder, Task


def places(launcher: Local | Slurm, tasks: Sequence[Task], folder: SweepFolder, label: str = "") -> list[Place]:
    """A place a worker: cores shared out evenly, GPUs handed out exclusively.

    label: what tells the workers of this pool from those of others that share the sweep's folder.
    """
    here = launcher if isinstance(launcher, Local) else Local(workers=launcher.parallel)
    cores = launcher.cpus if isinstance(launcher, Slurm) else available_cores()
    wants_gpus = any(task.config["hardware"]["device"] == "cuda" for task in tasks)
    gpus = list(here.gpus) if here.gpus is not None else _visible_gpus() if wants_gpus else []
    workers = min(here.workers or len(gpus) or max(1, cores // (here.threads or 1)), len(tasks))
    if gpus:
        workers = min(workers, len(gpus))  # one is never shared
    threads = here.threads or max(1, cores // workers)
    labels = [f"{label}{index}" for index in range(workers)]
    return [
        Place(name, threads, ",".join(gpus[index::workers]) if gpus else None, folder.worker_log(name))
        for index, name in enumerate(labels)
    ]


def conduct(folder: SweepFolder, say: Say) -> None:
    """Carry out a sweep by what its launcher says."""
    values, tasks = folder.read()
    settings = describe_sweep(values)
    launcher: Launcher = settings.launcher
    if isinstance(launcher, Serial):
        one_after_the_other(tasks, settings, say)
    else:
        Pool(places(launcher, tasks, folder), settings.max_failures, say).run(tasks)


def one_after_the_other(tasks: Sequence[Task], settings: SweepSettings, say: Say) -> None:
    """In this process: for a debugger."""
    from chtexp.errors import UserError
    from chtexp.experiments.run import RunFailed, execute
    from chtexp.store import RunLocked

    failures = 0
    for number, task in enumerate(tasks, 1):
        if settings.max_failures is not None and failures >= settings.max_failures:
            say(f"{len(tasks) - number + 1} runs were not started")
            return
        say(f"[{number}/{len(tasks)}] {task.label}")
        try:
            execute(task.run(), task.command)
        except (UserError, RunLocked, RunFailed) as error:
            say(f"chtexp: {error}")
            failures += not isinstance(error, RunLocked)


def _visible_gpus() -> list[str]:
    """As CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


if __name__ == "__main__":
    share_cores()
    conduct(SweepFolder(Path(sys.argv[1])), lambda line: print(line, flush=True))
